/**
 * A pack's run, event by event: the states that it went through, each exactly the fold of the events up to it (I3).
 * Packs of ours are folded from their own events; those of the reference, and the imported beginning of a run, from
 * wrkr's lines.
 */
import { evolve } from '../model/evolve.ts';
import type { RecordedEvent, RunEvent } from '../model/events.ts';
import { genesisHash } from '../model/chain.ts';
import type { JsonObject } from '../model/json.ts';
import type { RunSpec } from '../model/run-spec.ts';
import { emptyState, type RunState } from '../model/state.ts';
import { CHAIN_EVENTS, isObject, readChainLine, type ChainEvent } from './chain-entry.ts';
import { sha256 } from './hash.ts';
import { countersOf, LineEvents, LineSteps } from './line-events.ts';
import { LineCursor, mismatch, readDocument, readManifest } from './pack-reader.ts';
import type { EventRecord } from './records.ts';
import { telling } from './telling.ts';
import { verifyJobpack, type Verified } from './verify.ts';
import { ZipReader } from './zip-reader.ts';

export type Trust = 'verify' | 'no-verify';

/** One event of a pack. */
export interface PackEvent {
  readonly seq: number;
  readonly atMs: number;
  /** In wrkr's words. */
  readonly record: EventRecord;
  /** As it was hashed; absent in packs of the reference. */
  readonly own?: RecordedEvent;
}

export class PackReplay {
  readonly jobId: string;
  readonly producerVersion: string;
  /** Hash that the manifest names; checked only when `verified` is there. */
  readonly manifestSha256: string;
  readonly verified: Verified | undefined;
  readonly reader: ZipReader;
  readonly #trust: Trust;
  /** The spec of a run that the reference made; undefined for runs of ours. */
  #lineSpec: RunSpec | undefined;

  private constructor(
    reader: ZipReader,
    named: { jobId: string; producerVersion: string; manifestSha256: string },
    verified: Verified | undefined,
  ) {
    this.reader = reader;
    this.jobId = named.jobId;
    this.producerVersion = named.producerVersion;
    this.manifestSha256 = named.manifestSha256;
    this.verified = verified;
    this.#trust = verified === undefined ? 'no-verify' : 'verify';
  }

  /** @throws ReeveError what `verifyJobpack` throws; without verifying, for what is no pack at all. */
  static async open(path: string, trust: Trust): Promise<PackReplay> {
    const verified = trust === 'verify' ? await verifyJobpack(path) : undefined;
    const reader = await ZipReader.open(path);
    try {
      const { job_id: jobId, manifest_sha256: manifestSha256 } = await readManifest(reader);
      const { producer_version: producer } = await readDocument(reader, 'job.json');
      const replay = new PackReplay(
        reader,
        { jobId, manifestSha256, producerVersion: producer as string },
        verified,
      );
      await replay.#lookAhead();
      return replay;
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** A fold that stands before the first event. */
  fold(): ReplayFold {
    return new ReplayFold(this.jobId, this.#lineSpec);
  }

  async *events(): AsyncGenerator<PackEvent> {
    const lines = new LineCursor(this.reader, 'events.jsonl', 'events.jsonl');
    const chain = new LineCursor(this.reader, CHAIN_EVENTS);
    const hasChain = this.reader.entries.has(CHAIN_EVENTS);
    let hash = genesisHash(this.jobId, sha256);
    try {
      for (let seq = 1; ; seq += 1) {
        const record = (await lines.next()) as EventRecord | undefined;
        if (record === undefined) return;
        const atMs = Date.parse(record.created_at);
        const text = hasChain ? await chain.text() : undefined;
        if (text === undefined) {
          yield { seq, atMs, record };
          continue;
        }
        const read = this.#trust === 'verify' ? readChainLine(text, hash) : unchecked(text);
        if ('problem' in read) throw mismatch(`${CHAIN_EVENTS}, line ${seq}: ${read.problem}`, { line: seq });
        ({ hash } = read);
        const own = { seq, atMs: read.event.at, event: read.event.event as unknown as RunEvent };
        yield { seq, atMs: own.atMs, record, own };
      }
    } finally {
      await Promise.all([lines.close(), chain.close()]);
    }
  }

  close(): Promise<void> {
    return this.reader.close();
  }

  /** Reads which steps the lines name, where they are all that there is to fold. */
  async #lookAhead(): Promise<void> {
    const steps = new LineSteps();
    for await (const { seq, record, own } of this.events()) {
      if (seq === 1 && own !== undefined && own.event.type !== 'line_imported') return;
      steps.add(record);
    }
    this.#lineSpec = steps.spec(this.jobId);
  }
}

export class ReplayFold {
  state: RunState;
  spec: RunSpec | undefined;
  readonly #lines: LineEvents | undefined;

  constructor(jobId: string, lineSpec: RunSpec | undefined) {
    this.state = emptyState(jobId);
    this.spec = lineSpec;
    this.#lines = lineSpec === undefined ? undefined : new LineEvents(lineSpec);
  }

  /**
   * @returns the event that was applied.
   * @throws ReeveError E_VERIFY_HASH_MISMATCH for an event that cannot follow the ones before it.
   */
  add(event: PackEvent): RecordedEvent {
    return telling(`event ${event.seq} of the pack`, () => this.#add(event));
  }

  #add({ seq, atMs, record, own }: PackEvent): RecordedEvent {
    if (own !== undefined && own.event.type !== 'line_imported') {
      if (own.event.type === 'run_imported') this.state = emptyState(this.state.id);
      if (own.event.type === 'run_created' || own.event.type === 'run_imported') this.spec = own.event.spec;
      return this.#apply(own);
    }
    if (this.#lines === undefined) throw new TypeError('a line of wrkr in a run of ours');
    const applied = this.#apply(this.#lines.next(record, seq, atMs, this.state));
    if (record.type === 'counters_updated') this.state.used = countersOf(record.payload, this.state.used);
    return applied;
  }

  #apply(recorded: RecordedEvent): RecordedEvent {
    evolve(this.state, recorded);
    this.state.fresh.length = 0;
    return recorded;
  }
}

/** A line as it says of itself, for packs that nobody wants verified. */
function unchecked(text: string): { problem: string } | { hash: string; event: ChainEvent } {
  try {
    const { body, spill } = JSON.parse(text) as { body: JsonObject; spill?: JsonObject };
    const { seq, at, event } = body;
    if (typeof seq === 'number' && typeof at === 'number' && isObject(event))
      return { hash: '', event: { seq, at, event: spill ?? event } };
  } catch {}
  return { problem: 'is no event' };
}
