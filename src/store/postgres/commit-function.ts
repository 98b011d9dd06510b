/**
 * The function that commits a batch: one round trip and one transaction, whatever is in it. Its statements are those
 * of `sql/statements.ts`, one after the other as on SQLite; only the locks are added that several writers need.
 *
 * It is named after its own text: programs of different versions each find theirs, and the tables stay the same.
 *
 * Locks are taken in one order by everybody, so that nobody waits in a circle: runs by id (the caller sorts them), and
 * a run's work rows under its lock. Whoever only renews a lease takes one work row and nothing after it.
 */
import { createHash } from 'node:crypto';
import { statement, TEXTS, type StatementName } from '../sql/statements.ts';

/** A statement of the store whose values are fields of the records that the function walks through. */
function inline(name: StatementName, record: 'c' | 'e' | 'w'): string {
  const own: Readonly<Record<string, string>> = { no: 'v_no', run_no: 'v_no', queue: 'c.queue' };
  return statement(TEXTS[name], (_, field) => own[field] ?? `${record}.${field}`).sql;
}

const BODY = `
declare
  c record;
  e record;
  w record;
  v_no bigint;
  v_ok boolean;
  v_results boolean[] := '{}';
begin
  for c in select * from json_to_recordset(batch) as given (
    id text, expected bigint, expected_hash text, rewrite boolean, tenant text, name text, queue text, phase text,
    hold text, version bigint, hash text, created_ms bigint, updated_ms bigint, nodes int, nodes_settled int,
    events json, leases json, work json, snapshot text)
  loop
    -- Before anything is looked at: an earlier try of this very commit may still be on its way.
    select no into v_no from runs where id = c.id for update;
    if c.expected = 0 and v_no is null then
      ${inline('createRun', 'c')}
      returning no into v_no;
      v_ok := found;
    elsif c.expected = 0 or v_no is null then
      v_ok := false;
    else
      v_ok := true;
      for w in select * from json_to_recordset(c.leases) as given (node text, now bigint) loop
        -- Locked first, whatever it says: a renewal on its way is waited for, and a later one finds the new epoch.
        perform 1 from work where run_no = v_no and node = w.node for update;
        if exists (${inline('heldLease', 'w')}) then
          v_ok := false;
        end if;
      end loop;
      if v_ok then
        if c.rewrite then
          ${inline('rewriteRun', 'c')};
        else
          ${inline('moveRunPhase', 'c')};
        end if;
        v_ok := found;
      end if;
    end if;

    if v_ok then
      for e in select * from json_to_recordset(c.events) as given (
        seq bigint, at_ms bigint, type text, body text, hash text)
      loop
        ${inline('addEvent', 'e')};
      end loop;
      for w in select * from json_to_recordset(c.work) as given (
        op text, node text, due_ms bigint, state int, until bigint, epoch bigint, worker text, lease_id text)
      loop
        case w.op
          when 'offer' then ${inline('offerWork', 'w')};
          when 'lease' then ${inline('leaseWork', 'w')};
          when 'unlease' then ${inline('unleaseWork', 'w')};
          when 'drop' then ${inline('dropWork', 'w')};
          when 'park' then ${inline('parkWork', 'w')};
          when 'clear' then ${inline('clearWork', 'w')};
        end case;
      end loop;
      if c.snapshot is not null then
        ${statement(TEXTS.putSnapshot, (_, field) => ({ run_no: 'v_no', body: 'c.snapshot' })[field] ?? `c.${field}`).sql};
      end if;
    elsif again then
      ${inline('runNo', 'c')} into v_no;
      v_ok := coalesce((${statement(TEXTS.eventHash, (_, field) => ({ run_no: 'v_no', seq: 'c.version' })[field] ?? '').sql}) = c.hash, false);
    end if;
    v_results := v_results || v_ok;
  end loop;
  return v_results;
end`;

export const COMMIT_FUNCTION = `commit_${createHash('sha256').update(BODY).digest('hex').slice(0, 12)}`;

export const CREATE_COMMIT_FUNCTION = `create or replace function ${COMMIT_FUNCTION}(batch json, again boolean)
  returns boolean[] language plpgsql as $function$${BODY}$function$`;
