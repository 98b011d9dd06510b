/** Goes along the events of a run, and gathers what is wrong with them. */
import { canonicalJson, type Sha256 } from '../model/canonical.ts';
import { chainHash, genesisHash } from '../model/chain.ts';
import { ReeveError } from '../model/errors.ts';
import type { RunEvent } from '../model/events.ts';
import { evolve } from '../model/evolve.ts';
import { encodeSnapshot } from '../model/snapshot.ts';
import { emptyState, type RunState } from '../model/state.ts';
import type { BlobStore } from './blob-store.ts';
import { headOf } from './run-head.ts';
import type { RunHead, StoredEvent } from './run-store.ts';

/** More of one run are counted, not listed. */
const FINDINGS_MAX = 100;
type FindingKind =
  /** The database finds its own file damaged, or rows without their run. */
  | 'database'
  /** Events are missing, or there are more than the head says. */
  | 'gap'
  /** The text of an event is not what an event of this place looks like. */
  | 'body'
  /** An event's hash does not follow from its predecessor's and its text. */
  | 'chain'
  /** A payload outside the event is missing or damaged. */
  | 'blob'
  /** The events do not make a run. */
  | 'fold'
  /** Not what the events make of it; can be mended. */
  | 'head'
  | 'snapshot'
  | 'work'
  | 'alias';

export interface Finding {
  readonly runId?: string;
  readonly kind: FindingKind;
  readonly seq?: number;
  readonly message: string;
}

export class Findings {
  readonly #runId: string;
  readonly #found: Finding[] = [];
  #more = 0;

  constructor(runId: string) {
    this.#runId = runId;
  }

  add(kind: FindingKind, message: string, seq?: number): void {
    if (this.#found.length >= FINDINGS_MAX) this.#more += 1;
    else this.#found.push({ runId: this.#runId, kind, message, ...(seq === undefined ? {} : { seq }) });
  }

  list(): readonly Finding[] {
    if (this.#more === 0) return this.#found;
    const kind = this.#found.at(-1)?.kind ?? 'database';
    return [...this.#found, { runId: this.#runId, kind, message: `and ${this.#more} more` }];
  }
}

/** Goes along the events of a run, one after the other, as long as they follow each other. */
export class Walk {
  readonly #blobs: Pick<BlobStore, 'get'>;
  readonly #sha256: Sha256;
  readonly #snapshotAt: number | undefined;
  readonly #found: Findings;
  readonly #state: RunState;
  #hash: string;
  #seq = 0;
  #createdAtMs = 0;
  #isFolding = true;
  count = 0;
  /** What a snapshot of the version of the stored one says. */
  snapshot: string | undefined;

  constructor(
    runId: string,
    blobs: Pick<BlobStore, 'get'>,
    sha256: Sha256,
    snapshotAt: number | undefined,
    found: Findings,
  ) {
    this.#blobs = blobs;
    this.#sha256 = sha256;
    this.#snapshotAt = snapshotAt;
    this.#found = found;
    this.#state = emptyState(runId);
    this.#hash = genesisHash(runId, sha256);
  }

  get last(): { readonly seq: number; readonly hash: string } {
    return { seq: this.#seq, hash: this.#hash };
  }

  get folded(): { readonly state: RunState; readonly head: RunHead } | undefined {
    if (!this.#isFolding || this.#state.version === 0) return undefined;
    return { state: this.#state, head: headOf(this.#state, this.#hash, this.#createdAtMs) };
  }

  async take(stored: StoredEvent): Promise<void> {
    const { seq, atMs, body, hash } = stored;
    this.count += 1;
    if (seq !== this.#seq + 1) {
      this.#found.add('gap', `events ${this.#seq + 1} to ${seq - 1} are missing`, this.#seq + 1);
      this.#isFolding = false;
    } else if (chainHash(this.#hash, body, this.#sha256) !== hash) {
      this.#found.add('chain', 'the hash does not follow from the event before and the text', seq);
    }
    if (this.#seq === 0) this.#createdAtMs = atMs;
    this.#seq = seq;
    this.#hash = hash;
    const event = await this.#read(stored);
    if (event === undefined) this.#isFolding = false;
    if (event === undefined || !this.#isFolding) return;
    try {
      evolve(this.#state, { seq, atMs, event });
      this.#state.fresh.length = 0;
    } catch (error) {
      this.#isFolding = false;
      this.#found.add('fold', `the event does not fit the run: ${(error as Error).message}`, seq);
    }
    if (this.#isFolding && seq === this.#snapshotAt) this.snapshot = encodeSnapshot(this.#state);
  }

  async #read({ seq, atMs, type, body }: StoredEvent): Promise<RunEvent | undefined> {
    let parsed: { at?: unknown; seq?: unknown; event?: { type?: unknown }; spilled?: unknown };
    try {
      parsed = JSON.parse(body) as typeof parsed;
      if (canonicalJson(parsed) !== body) this.#found.add('body', 'the text is not canonical', seq);
    } catch {
      this.#found.add('body', 'the text is not JSON', seq);
      return undefined;
    }
    if (parsed.at !== atMs || parsed.seq !== seq || parsed.event?.type !== type) {
      this.#found.add('body', 'the text speaks of another event than its row', seq);
      return undefined;
    }
    const { spilled } = parsed;
    if (spilled === undefined) return parsed.event as RunEvent;
    return this.#readSpilled(typeof spilled === 'string' ? spilled : '', type, seq);
  }

  async #readSpilled(sha256: string, type: string, seq: number): Promise<RunEvent | undefined> {
    try {
      const text = new TextDecoder().decode(await this.#blobs.get(sha256));
      const event = JSON.parse(text) as RunEvent;
      if (event.type === type) return event;
      this.#found.add('blob', `blob ${sha256} holds another event`, seq);
    } catch (error) {
      const isDamage =
        error instanceof SyntaxError || (error instanceof ReeveError && error.code === 'E_STORE_CORRUPT');
      if (!isDamage) throw error;
      this.#found.add('blob', error.message, seq);
    }
    return undefined;
  }
}
