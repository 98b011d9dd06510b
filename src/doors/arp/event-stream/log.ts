/**
 * Events of runs on SQLite. Numbers of a run only grow: the last one given is kept apart from the events, so that none
 * is ever given twice, whatever retention removed (H22). One process has the file to itself: followers are woken by
 * commits of this process, and nobody else's can be missed (H21).
 */
import { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { ArpError, validationFailed } from '../wire/errors.ts';
import { wireTime } from '../wire/ids.ts';
import type { NewEvent } from './schemas.ts';
import type { EventEntry, EventFeed, EventPage } from './stream.ts';
import { Wakers } from './wakers.ts';

const FORMAT = { application: 0x5265_4576, version: 1 };
const SCHEMA = `
create table runs (
  run_id text primary key,
  last_seq integer not null,
  removed_seq integer not null,
  completed integer not null
) without rowid;
create table events (
  run_id text not null,
  seq integer not null,
  node_run_id text,
  stored_ms integer not null,
  line text not null,
  primary key (run_id, seq)
) without rowid;
create index events_node on events (node_run_id, seq, run_id) where node_run_id is not null;
create index events_age on events (stored_ms);`;

/** How much a follower holds of what it has not sent yet, bytes; a larger event is held alone. */
const PAGE_BYTES = 65_536;
const SWEEP_EVENTS = 1000;

/** Whose events: all of a run, or a NodeRun's own. */
export type Scope =
  | { readonly kind: 'run'; readonly id: string }
  | { readonly kind: 'node_run'; readonly id: string };

export interface Appended {
  readonly items: readonly { readonly run_id: string; readonly seq: number }[];
  readonly next_seq_by_run: Readonly<Record<string, number>>;
}

interface RunRow {
  readonly last_seq: number;
  readonly removed_seq: number;
  readonly completed: number;
}
interface EventRow {
  readonly seq: number;
  readonly line: string;
}
interface After {
  readonly id: string;
  readonly after: number;
}

export class EventLog {
  readonly #database: ServiceDatabase;
  readonly #wakers = new Wakers();
  readonly #statements;

  /** @throws ReeveError E_STORE_*; E_STORE_BUSY while another process has the file. */
  constructor(file: string) {
    const database = new ServiceDatabase(file, { format: FORMAT, schema: SCHEMA, sharing: 'exclusive' });
    this.#database = database;
    this.#statements = {
      run: database.prepare<string[], RunRow>(
        'select last_seq, removed_seq, completed from runs where run_id = ?',
      ),
      count: database.prepare<{ id: string; seq: number; completed: number }>(
        `insert into runs (run_id, last_seq, removed_seq, completed) values (:id, :seq, -1, :completed)
         on conflict (run_id) do update set last_seq = max(last_seq, :seq), completed = max(completed, :completed)`,
      ),
      insert: database.prepare<[string, number, string | null, number, string]>(
        'insert into events (run_id, seq, node_run_id, stored_ms, line) values (?, ?, ?, ?, ?) on conflict do nothing',
      ),
      run_events: database.prepare<After, EventRow>(
        'select seq, line from events where run_id = :id and seq > :after order by seq',
      ),
      node_run_events: database.prepare<After, EventRow>(
        'select seq, line from events where node_run_id = :id and seq > :after order by seq, run_id',
      ),
      runsOfNode: database.prepare<string[], { readonly run_id: string; readonly completed: number }>(
        'select run_id, completed from runs where run_id in (select run_id from events where node_run_id = ?)',
      ),
      old: database.prepare<[number, number], { readonly run_id: string; readonly seq: number }>(
        'select run_id, seq from events where stored_ms < ? order by stored_ms limit ?',
      ),
      remove: database.prepare<[string, number]>('delete from events where run_id = ? and seq = ?'),
      removed: database.prepare<[number, string]>(
        'update runs set removed_seq = max(removed_seq, ?) where run_id = ?',
      ),
    };
  }

  /**
   * Stores all of them or none. An event without `seq` gets the next number of its run.
   * @throws ArpError 409 `event_conflict`: a number is taken, or was.
   */
  append(events: readonly NewEvent[], nowMs: number): Appended {
    const items = this.#database.transaction(() => events.map((event) => this.#insert(event, nowMs)));
    this.#wakers.wake(new Set(events.flatMap(keysOf)));
    const runs = [...new Set(items.map((item) => item.run_id))];
    return {
      items,
      next_seq_by_run: Object.fromEntries(runs.map((id) => [id, this.#lastSeq(id) + 1])),
    };
  }

  /**
   * Nothing is missed between a page and waiting for the next as long as nothing is awaited between: a page is read at
   * once, and commits of others cannot come in between.
   */
  feed(scope: Scope): EventFeed {
    return {
      page: (after, limit) => this.#page(scope, after, limit),
      waitFor: (ms, signal) => this.#wakers.wait(this.#keysFor(scope), ms, signal),
      close: () => undefined,
    };
  }

  #page(scope: Scope, after: number, limit: number): EventPage {
    const { kind, id } = scope;
    const entries: EventEntry[] = [];
    let bytes = 0;
    const rows = kind === 'run' ? this.#statements.run_events : this.#statements.node_run_events;
    for (const { seq, line } of rows.iterate({ id, after })) {
      if (entries.length >= limit || (entries.length > 0 && bytes + line.length > PAGE_BYTES)) break;
      entries.push({ seq, text: line.slice(0, -1) });
      bytes += line.length;
    }
    const last = entries.at(-1)?.seq ?? after;
    if (entries.length > 0) return { entries, last, next: 'more' }; // or not: the next page will tell
    return { entries, last, next: this.#isCompleted(scope) ? 'over' : 'tail' };
  }

  /** Whether the run is over, so that a follower need not wait for more. */
  #isCompleted({ kind, id }: Scope): boolean {
    if (kind === 'run') return this.#statements.run.get(id)?.completed === 1;
    const runs = this.#statements.runsOfNode.all(id);
    return runs.length > 0 && runs.every(({ completed }) => completed === 1);
  }

  /** The end of its run ends the wait for events of a NodeRun too. */
  #keysFor(scope: Scope): readonly string[] {
    const runs = scope.kind === 'run' ? [] : this.#statements.runsOfNode.all(scope.id);
    return [keyOf(scope), ...runs.map(({ run_id: id }) => keyOf({ kind: 'run', id }))];
  }

  /** Removes events stored before a time, some at a time, so that nobody waits long. @returns how many. */
  removeBefore(ms: number): number {
    return this.#database.transaction(() => {
      const { old, remove, removed } = this.#statements;
      const rows = old.all(ms, SWEEP_EVENTS);
      for (const { run_id: runId, seq } of rows) {
        remove.run(runId, seq);
        removed.run(seq, runId);
      }
      return rows.length;
    });
  }

  probe(): void {
    this.#database.probe();
  }
  close(): void {
    this.#database.close();
  }

  #insert(event: NewEvent, nowMs: number): { run_id: string; seq: number } {
    const { run_id: id, node_run_id: node, seq: given, type, time, data, extensions } = event;
    const run = this.#statements.run.get(id);
    const seq = given ?? (run?.last_seq ?? 0) + 1;
    if (!Number.isSafeInteger(seq))
      throw validationFailed([{ type: 'maximum', loc: ['body', 'events'], msg: 'seq is too large' }], 422);
    const line = `${JSON.stringify({
      run_id: id,
      ...(node === undefined ? {} : { node_run_id: node }),
      seq,
      type,
      time: time ?? wireTime(nowMs),
      ...(data === undefined ? {} : { data }),
      ...(extensions === undefined ? {} : { extensions }),
    })}\n`;
    const isFree = seq > (run?.removed_seq ?? -1);
    if (!isFree || this.#statements.insert.run(id, seq, node ?? null, nowMs, line).changes === 0)
      throw new ArpError(409, 'event_conflict', `event ${seq} of run ${id} is there already`, {
        details: { run_id: id, seq },
      });
    this.#statements.count.run({ id, seq, completed: type === 'run_completed' ? 1 : 0 });
    return { run_id: id, seq };
  }

  #lastSeq(id: string): number {
    return this.#statements.run.get(id)?.last_seq ?? 0;
  }
}

function keyOf({ kind, id }: Scope): string {
  return `${kind} ${id}`;
}

function keysOf({ run_id: runId, node_run_id: node }: NewEvent): string[] {
  const run = keyOf({ kind: 'run', id: runId });
  return node === undefined ? [run] : [run, keyOf({ kind: 'node_run', id: node })];
}
