import { ReeveError } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { unsignedApproval, type OnApproval } from './approvals.ts';
import { ChainCheck } from './chain-check.ts';
import { CHAIN_EVENTS, CHAIN_NODES, CHAIN_RUN } from './chain-entry.ts';
import { RANK, requireJob, type Findings } from './findings.ts';
import { LineCursor, mismatch } from './pack-reader.ts';
import { approvalOf, checkpointOf, sameJson, type EventRecord } from './records.ts';
import { trimmedTime } from './time.ts';
import type { ZipReader } from './zip-reader.ts';

/** Reads the events, and beside them the lines that have to be their projection. Nothing is kept but the decisions. */
export class LinesCheck {
  /** Undefined in packs of the reference. */
  readonly chain: ChainCheck | undefined;
  readonly #jobId: string;
  readonly #findings: Findings;
  readonly #events: LineCursor;
  readonly #checkpoints: LineCursor;
  readonly #approvals: LineCursor;
  readonly #decisions = new Set<unknown>();
  readonly #onApproval: OnApproval | undefined;
  /** False once the lines are known not to belong together; schemas are still checked to the end. */
  #isTogether = true;
  #isBroken = false;

  /** @param artifacts the paths that the artifacts manifest lists. */
  constructor(
    reader: ZipReader,
    jobId: string,
    artifacts: readonly string[],
    findings: Findings,
    onApproval: OnApproval | undefined,
  ) {
    this.#jobId = jobId;
    this.#findings = findings;
    this.#onApproval = onApproval;
    this.#events = new LineCursor(reader, 'events.jsonl', 'events.jsonl');
    this.#checkpoints = new LineCursor(reader, 'checkpoints.jsonl', 'checkpoints.jsonl');
    this.#approvals = new LineCursor(reader, 'approvals.jsonl', 'approvals.jsonl');
    const hasChain = [CHAIN_EVENTS, CHAIN_NODES, CHAIN_RUN].some((path) => reader.entries.has(path));
    this.chain = hasChain ? new ChainCheck(reader, jobId, artifacts) : undefined;
  }

  async run(): Promise<void> {
    try {
      for (let seq = 1; ; seq += 1) {
        const event = (await this.#take(this.#events, RANK.events)) as EventRecord | undefined;
        if (event === undefined) break;
        if (this.#isTogether) await this.#together(() => this.#event(event, seq));
        await this.#approval(event);
      }
      if (this.#isTogether) {
        await this.#together(async () => {
          await this.#project(undefined, this.#checkpoints, RANK.checkpoints, 'checkpoints.jsonl');
          await this.#project(undefined, this.#approvals, RANK.approvals, 'approvals.jsonl');
        });
        await this.#chained(async (chain) => chain.end());
      }
      while ((await this.#take(this.#checkpoints, RANK.checkpoints)) !== undefined);
      while ((await this.#take(this.#approvals, RANK.approvals)) !== undefined);
    } finally {
      await Promise.all([this.#events.close(), this.#checkpoints.close(), this.#approvals.close()]);
      await this.chain?.close();
    }
  }

  /** The next line, noting when it does not fit its schema; then nothing after it is of interest. */
  async #take(cursor: LineCursor, rank: number): Promise<JsonObject | undefined> {
    try {
      return await cursor.next();
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      this.#findings.note(rank, error);
      this.#isTogether = false;
      return undefined;
    }
  }

  async #together(check: () => Promise<void>): Promise<void> {
    try {
      await check();
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      this.#findings.note(RANK.together, error);
      this.#isTogether = false;
    }
  }

  /** Once the chain is broken, or the lines do not belong together, nothing more is asked of it. */
  async #chained(check: (chain: ChainCheck) => Promise<void>): Promise<void> {
    if (this.chain === undefined || !this.#isTogether || this.#isBroken) return;
    try {
      await check(this.chain);
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      this.#findings.note(RANK.chain, error);
      this.#isBroken = true;
    }
  }

  /** Checks an event against the chain, and tells of the approval that it recorded. */
  async #approval(event: EventRecord): Promise<void> {
    const told = approvalOf(event);
    let recorded = told && unsignedApproval(told);
    await this.#chained(async (chain) => {
      recorded = (await chain.event(event)) ?? recorded;
    });
    if (recorded !== undefined) this.#onApproval?.(recorded);
  }

  async #event(event: EventRecord, seq: number): Promise<void> {
    const line = this.#events.count;
    const path = 'events.jsonl';
    requireJob(this.#jobId, event as unknown as JsonObject, path, line);
    if (event.event_id !== `evt_${seq}`) {
      throw mismatch(`${path}, line ${line}: event ${event.event_id} where evt_${seq} belongs`, {
        path,
        line,
        expected: `evt_${seq}`,
        actual: event.event_id,
      });
    }
    const checkpoint = checkpointOf(event);
    if (checkpoint !== undefined) {
      await this.#project(checkpoint, this.#checkpoints, RANK.checkpoints, 'checkpoints.jsonl');
      if (checkpoint['type'] === 'decision-needed') this.#decisions.add(checkpoint['checkpoint_id']);
    }
    const approval = approvalOf(event);
    if (approval !== undefined) {
      await this.#project(approval, this.#approvals, RANK.approvals, 'approvals.jsonl');
      if (!this.#decisions.has(approval['checkpoint_id'])) {
        throw mismatch(
          `an approval names ${JSON.stringify(approval['checkpoint_id'])}, which is no decision before it`,
          {
            path: 'approvals.jsonl',
            line: this.#approvals.count,
            checkpoint_id: approval['checkpoint_id'],
          },
        );
      }
    }
  }

  /** The next line has to say what an event says; without one, there has to be no further line. */
  async #project(
    wanted: JsonObject | undefined,
    cursor: LineCursor,
    rank: number,
    path: string,
  ): Promise<void> {
    const found = await this.#take(cursor, rank);
    if (!this.#isTogether) return;
    if (found !== undefined) requireJob(this.#jobId, found, path, cursor.count);
    if (found === undefined && wanted === undefined) return;
    if (wanted !== undefined && found !== undefined && isProjection(wanted, found)) return;
    throw mismatch(`${path} is not what the events say`, {
      path,
      ...(found === undefined ? {} : { line: cursor.count }),
    });
  }
}

/** Times may be written in another form, and a checkpoint may have been written down by another version. */
function isProjection(wanted: JsonObject, found: JsonObject): boolean {
  const keys = Object.keys(found);
  if (keys.length !== Object.keys(wanted).length) return false;
  const isCheckpoint = wanted['schema_id'] === 'wrkr.checkpoint';
  return keys.every((key) => {
    if (isCheckpoint && (key === 'producer_version' || key === 'schema_version')) return true;
    if (key === 'created_at') return sameTime(wanted[key], found[key]);
    return sameJson(wanted[key], found[key]);
  });
}

function sameTime(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  return typeof a === 'string' && typeof b === 'string' && trimmedTime(a) === trimmedTime(b);
}
