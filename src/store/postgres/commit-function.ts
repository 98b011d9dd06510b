/**
 * The function that commits a batch: one round trip and one transaction, whatever is in it. Its statements are those
 * of `sql/statements.ts`, in the same order as on SQLite; only the locks are added that several writers need.
 *
 * It is named after its own text: programs of different versions each find theirs, and the tables stay the same.
 *
 * Locks are taken in one order by everybody, so that nobody waits in a circle: runs by id (the caller sorts them), and
 * a run's work rows under its lock. Whoever only renews a lease takes one work row and nothing after it.
 *
 * Taking JSON apart costs more than all else, so it is done three times for a batch and not for each commit.
 */
import { createHash } from 'node:crypto';
import type { CommitResult } from '../run-store.ts';
import { statement, TEXTS, type StatementName } from '../sql/statements.ts';

/** A statement of the store whose values are variables of the function; `of` says which, but for those named here. */
function inline(
  name: StatementName,
  of: (field: string) => string,
  but: Readonly<Record<string, string>> = {},
): string {
  const common: Readonly<Record<string, string>> = { no: 'v_no', run_no: 'v_no', queue: 'c.queue' };
  return statement(TEXTS[name], (_, field) => but[field] ?? common[field] ?? of(field)).sql;
}

const ofCommit = (field: string): string => `c.${field}`;
const ofWork = (field: string): string => `w_${field}[v_at]`;
const ADD_EVENTS = inline('addEvent', (field) => `e.${field}`, { run_no: 'v_runs[e.of]' }).replace(
  /values \((.*)\)$/s,
  'select $1',
);

/** What the function says of each commit. */
export const COMMIT_RESULTS = ['conflict', 'ok', 'alias_taken'] as const satisfies readonly CommitResult[];

const NAMES = 'json_array_elements_text(c.aliases) as given (name)';
/** Whether one of the commit's aliases is another run's; with `left join`, also whether one is nobody's. */
const isTaken = (join: 'join' | 'left join'): string =>
  `exists (select from ${NAMES} ${join} aliases on aliases.alias = given.name where aliases.run_no is distinct from v_no)`;

const BODY = `
declare
  c record;
  v_no bigint;
  v_ok boolean;
  v_taken boolean;
  v_at int;
  v_results int[] := '{}';
  v_runs bigint[] := '{}'; -- of each commit, where its events go; null where they go nowhere
  w_op text[]; w_node text[]; w_due_ms bigint[]; w_state int[]; w_until bigint[];
  w_epoch bigint[]; w_worker text[]; w_lease_id text[]; w_now bigint[];
begin
  if work is not null then
    select array_agg(op), array_agg(node), array_agg(due_ms), array_agg(state), array_agg(until),
        array_agg(epoch), array_agg(worker), array_agg(lease_id), array_agg(now)
      into w_op, w_node, w_due_ms, w_state, w_until, w_epoch, w_worker, w_lease_id, w_now
      from json_to_recordset(work) as w (op text, node text, due_ms bigint, state int, until bigint, epoch bigint,
        worker text, lease_id text, now bigint);
  end if;

  for c in select * from json_to_recordset(commits) as given (
    id text, expected bigint, expected_hash text, is_rewrite boolean, tenant text, name text, queue text, phase text,
    hold text, version bigint, hash text, created_ms bigint, updated_ms bigint, nodes int, nodes_settled int,
    work_from int, work_to int, has_lease boolean, snapshot text, snapshot_version bigint, aliases json)
  loop
    if again or c.has_lease then
      -- Before anything is looked at: an earlier try of this very commit may still be on its way.
      ${inline('runNo', ofCommit)} for update into v_no;
    else
      ${inline('runNo', ofCommit)} into v_no;
    end if;
    v_taken := false;
    if c.expected = 0 and v_no is null then
      v_taken := c.aliases is not null and ${isTaken('join')};
      if v_taken then
        v_ok := false;
      else
        ${inline('createRun', ofCommit)}
        returning no into v_no;
        v_ok := found;
      end if;
    elsif c.expected = 0 or v_no is null then
      v_ok := false;
    else
      v_ok := true;
      if c.has_lease then
        for v_at in c.work_from..c.work_to loop
          continue when w_op[v_at] <> 'lease';
          -- Locked first, whatever it says: a renewal on its way is waited for, and a later one finds the new epoch.
          perform 1 from work where run_no = v_no and node = w_node[v_at] for update;
          if exists (${inline('heldLease', ofWork)}) then
            v_ok := false;
          end if;
        end loop;
      end if;
      if v_ok and c.aliases is not null then
        perform 1 from runs where no = v_no and version = c.expected and hash = c.expected_hash for update;
        v_ok := found;
        v_taken := v_ok and ${isTaken('join')};
        v_ok := v_ok and not v_taken;
      end if;
      if v_ok then
        if c.is_rewrite then
          ${inline('rewriteRun', ofCommit)};
        else
          ${inline('moveRunPhase', ofCommit)};
        end if;
        v_ok := found;
      end if;
    end if;

    v_runs := v_runs || case when v_ok then v_no end;
    if v_ok then
      for v_at in c.work_from..c.work_to loop
        case w_op[v_at]
          when 'offer' then ${inline('offerWork', ofWork)};
          when 'lease' then ${inline('leaseWork', ofWork)};
          when 'unlease' then ${inline('unleaseWork', ofWork)};
          when 'drop' then ${inline('dropWork', ofWork)};
          when 'park' then ${inline('parkWork', ofWork)};
          when 'clear' then ${inline('clearWork', ofWork)};
        end case;
      end loop;
      if c.snapshot is not null then
        ${inline('putSnapshot', ofCommit, { body: 'c.snapshot', version: 'c.snapshot_version' })};
      end if;
      if c.aliases is not null then
        if c.is_rewrite then
          ${inline('dropAliases', ofCommit)};
        end if;
        insert into aliases (alias, run_no) select name, v_no from ${NAMES} on conflict (alias) do nothing;
        if ${isTaken('left join')} then
          -- Somebody took one since we looked: all of it once more, and now we see that.
          raise exception using errcode = 'serialization_failure', message = 'an alias was taken meanwhile';
        end if;
      end if;
    elsif again then
      ${inline('runNo', ofCommit)} into v_no;
      v_ok := coalesce((${inline('eventHash', ofCommit, { seq: 'c.version' })}) = c.hash, false);
    end if;
    v_results := v_results || case when v_ok then 1 when v_taken then 2 else 0 end;
  end loop;

  ${ADD_EVENTS} from json_to_recordset(events) as e (
      of int, seq bigint, at_ms bigint, type text, body text, hash text)
    where v_runs[e.of] is not null;
  return v_results;
end`;

export const COMMIT_FUNCTION = `commit_${createHash('sha256').update(BODY).digest('hex').slice(0, 12)}`;

export const CREATE_COMMIT_FUNCTION = `create or replace function
  ${COMMIT_FUNCTION}(commits json, events json, work json, again boolean)
  returns int[] language plpgsql as $function$
  #variable_conflict use_column
  ${BODY}$function$`;
