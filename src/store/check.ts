/**
 * Whether a store holds what it should, and what can be mended from the events. The events are the truth (I3): head,
 * snapshot, work rows and aliases are written anew from them, an event is never changed or dropped.
 */
import { aliasesOf } from '../model/aliases.ts';
import { canonicalJson, type Sha256 } from '../model/canonical.ts';
import { chainHash, genesisHash } from '../model/chain.ts';
import { ReeveError } from '../model/errors.ts';
import type { RunEvent } from '../model/events.ts';
import { evolve } from '../model/evolve.ts';
import { decodeSnapshot, encodeSnapshot } from '../model/snapshot.ts';
import { emptyState, type RunState } from '../model/state.ts';
import type { BlobStore } from './blob-store.ts';
import { headOf } from './run-head.ts';
import type { Commit, LoadedRun, RunHead, RunStore, StoredEvent, WorkChange, WorkRow } from './run-store.ts';

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

/** A work row as the state calls for it; of offered rows the time is not checked. */
export interface ExpectedWork {
  readonly node: string;
  readonly state: WorkRow['state'];
  readonly epoch: number;
  readonly worker: string | null;
  readonly leaseId: string | null;
  /** From when on it may be claimed, should the row have to be written. */
  readonly dueMs: number;
}

export interface CheckTools {
  readonly sha256: Sha256;
  readonly expectedWork: (state: RunState) => readonly ExpectedWork[];
}

export interface RunReport {
  readonly runId: string;
  readonly events: number;
  readonly findings: readonly Finding[];
}

export interface RepairReport extends RunReport {
  /** What was written anew. `findings` is what is left. */
  readonly mended: readonly ('head' | 'snapshot' | 'work' | 'alias')[];
}

const EVENTS_PAGE = 500;
const RUNS_PAGE = 200;
/** More of one run are counted, not listed. */
const FINDINGS_MAX = 100;
/** How often a run that moves while it is looked at is looked at again. */
const TRIES_MAX = 5;
const MENDABLE: ReadonlySet<string> = new Set(['head', 'snapshot', 'work', 'alias']);

/** Looks at all there is to one run. Memory: its state and a page of events. An unknown run has nothing to find. */
export async function checkRun(
  store: RunStore,
  blobs: BlobStore,
  runId: string,
  tools: CheckTools,
): Promise<RunReport> {
  const { events, findings } = await examine(store, blobs, runId, tools);
  return { runId, events, findings };
}

/** The database first (then without `runId`), each run after. One report at a time. */
export async function* checkStore(
  store: RunStore,
  blobs: BlobStore,
  tools: CheckTools,
): AsyncGenerator<Partial<Pick<RunReport, 'runId'>> & Omit<RunReport, 'runId'>> {
  const problems = (await store.integrity?.()) ?? [];
  yield { events: 0, findings: problems.map((message): Finding => ({ kind: 'database', message })) };
  for await (const { id } of allRuns(store)) yield checkRun(store, blobs, id, tools);
}

/**
 * Writes head, snapshot, work rows and aliases anew where they differ from what the events make. Only where the events are
 * whole: otherwise everything stays as it is. A held lease stays held where the events say the same.
 * @param nowMs Leases that have to be written hold until then: whoever holds one renews it, or another takes over.
 */
export async function repairRun(
  store: RunStore,
  blobs: BlobStore,
  runId: string,
  tools: CheckTools,
  nowMs: number,
): Promise<RepairReport> {
  const before = await examine(store, blobs, runId, tools);
  const { folded, findings, loaded } = before;
  const mended = [...new Set(findings.map(({ kind }) => kind))].filter((kind) => MENDABLE.has(kind));
  const isWhole = findings.every(({ kind }) => MENDABLE.has(kind));
  if (folded === undefined || loaded === undefined || !isWhole || mended.length === 0) {
    return { runId, events: before.events, findings, mended: [] };
  }
  const rows = await store.work(runId);
  const expected = tools.expectedWork(folded.state);
  const isWrong = mended.includes('work');
  const aliases = mended.includes('alias') ? { aliases: await ownAliases(store, folded.state) } : {};
  const commits: Commit[] = [
    rewrite(loaded.head, folded.head, isWrong ? staleRows(rows, expected) : [], encodeSnapshot(folded.state)),
    { ...rewrite(folded.head, folded.head, isWrong ? missingRows(rows, expected, nowMs) : []), ...aliases },
  ];
  for (const commit of commits) {
    const [result] = await store.commit([commit]);
    if (result !== 'ok')
      throw new ReeveError('E_RUN_CHANGED', `run ${runId} changed while it was mended`, { job_id: runId });
  }
  const { events, findings: left } = await examine(store, blobs, runId, tools);
  return { runId, events, findings: left, mended: mended as RepairReport['mended'] };
}

export async function* allRuns(store: RunStore): AsyncGenerator<RunHead> {
  let page = await store.list({ limit: RUNS_PAGE });
  for (;;) {
    yield* page.runs;
    if (page.next === undefined) return;
    page = await store.list({ limit: RUNS_PAGE, after: page.next });
  }
}

/** A commit without events: it replaces what is stored beside them. */
function rewrite(found: RunHead, head: RunHead, work: readonly WorkChange[], snapshot?: string): Commit {
  return {
    runId: head.id,
    expectedVersion: found.version,
    expectedHash: found.hash,
    events: [],
    head,
    work,
    ...(snapshot === undefined ? {} : { snapshot: { version: head.version, body: snapshot } }),
  };
}

/** Those that no other run holds: what another one wrongly holds it loses when it is mended itself. */
async function ownAliases(store: RunStore, state: RunState): Promise<string[]> {
  const own: string[] = [];
  for (const alias of aliasesOf(state)) {
    const owner = await store.runOf(alias);
    if (owner === undefined || owner === state.id) own.push(alias);
  }
  return own;
}

function staleRows(rows: readonly WorkRow[], expected: readonly ExpectedWork[]): WorkChange[] {
  const wrong = rows.filter((row) => !expected.some((want) => agrees(row, want)));
  return wrong.map(({ node }) => ({ op: 'drop', node }));
}

/** @param nowMs leases hold until then. */
export function missingRows(
  rows: readonly WorkRow[],
  expected: readonly ExpectedWork[],
  nowMs: number,
): WorkChange[] {
  const missing = expected.filter((want) => !rows.some((row) => agrees(row, want)));
  return missing.map((want): WorkChange => {
    const { node, dueMs, epoch, worker, leaseId } = want;
    if (worker === null || leaseId === null)
      return { op: 'offer', node, dueMs, parked: want.state === 'parked' };
    return { op: 'lease', node, worker, leaseId, epoch, untilMs: nowMs, nowMs };
  });
}

function agrees(row: WorkRow, want: ExpectedWork): boolean {
  if (row.node !== want.node || row.state !== want.state) return false;
  if (want.state !== 'leased') return true;
  return row.epoch === want.epoch && row.worker === want.worker && row.leaseId === want.leaseId;
}

interface Examined {
  readonly events: number;
  readonly findings: readonly Finding[];
  readonly loaded: LoadedRun | undefined;
  /** What the events make; undefined where they do not make a run. */
  readonly folded: { readonly state: RunState; readonly head: RunHead } | undefined;
}

/** Head, events, snapshot and rows are read one after the other: again, if the run moved meanwhile. */
async function examine(
  store: RunStore,
  blobs: BlobStore,
  runId: string,
  tools: CheckTools,
): Promise<Examined> {
  for (let tries = 1; ; tries += 1) {
    const examined = await examineOnce(store, blobs, runId, tools);
    if (examined.findings.every(({ kind }) => !MENDABLE.has(kind))) return examined;
    const head = await store.head(runId);
    const { loaded } = examined;
    if (loaded?.head.version === head?.version && loaded?.head.hash === head?.hash) return examined;
    // It never stood still: of what is written beside the events nothing can be said.
    if (tries === TRIES_MAX) {
      return { ...examined, findings: examined.findings.filter(({ kind }) => !MENDABLE.has(kind)) };
    }
  }
}

async function examineOnce(
  store: RunStore,
  blobs: BlobStore,
  runId: string,
  tools: CheckTools,
): Promise<Examined> {
  const found = new Findings(runId);
  try {
    const loaded = await store.load(runId);
    if (loaded === undefined) return { events: 0, findings: [], loaded, folded: undefined };
    const walk = new Walk(runId, blobs, tools.sha256, loaded.snapshot?.version, found);
    let last = 0;
    for (;;) {
      const page = await store.events(runId, last, EVENTS_PAGE);
      for (const event of page) await walk.take(event);
      last = page.at(-1)?.seq ?? last;
      if (page.length < EVENTS_PAGE) break;
    }
    const { folded } = walk;
    compareHead(loaded.head, folded?.head, walk, found);
    if (folded !== undefined) {
      compareSnapshot(loaded, walk, found);
      compareWork(await store.work(runId), tools.expectedWork(folded.state), found);
      compareAliases(await store.aliases(runId), aliasesOf(folded.state), found);
    }
    return { events: walk.count, findings: found.list(), loaded, folded };
  } catch (error) {
    if (!(error instanceof ReeveError) || error.code !== 'E_STORE_CORRUPT') throw error;
    found.add('database', error.message);
    return { events: 0, findings: found.list(), loaded: undefined, folded: undefined };
  }
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
  /** What a snapshot of the version of the stored one must say. */
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
    if (this.#isFolding && seq === this.#snapshotAt) this.snapshot = comparable(encodeSnapshot(this.#state));
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

function compareHead(head: RunHead, wanted: RunHead | undefined, walk: Walk, found: Findings): void {
  const { seq, hash } = walk.last;
  if (seq < head.version) {
    found.add('gap', `the head counts ${head.version} events, and there are ${seq}`, seq + 1);
    return;
  }
  const known: Partial<RunHead> = wanted ?? { version: seq, hash };
  const wrong = Object.entries(known).filter(([key, value]) => head[key as keyof RunHead] !== value);
  if (wrong.length === 0) return;
  const said = wrong.map(([key, value]) => `${key} is ${head[key as keyof RunHead]} and should be ${value}`);
  found.add('head', said.join(', '));
}

function compareSnapshot({ head, snapshot }: LoadedRun, walk: Walk, found: Findings): void {
  if (snapshot === undefined) return;
  const { version, body } = snapshot;
  if (version > Math.max(head.version, walk.last.seq)) {
    found.add('snapshot', `it is of version ${version}, which the run has not reached`);
    return;
  }
  try {
    // Of an older format: it is not used, and the next one replaces it.
    if (decodeSnapshot(body) === undefined && isSnapshotText(body)) return;
    if (comparable(body) !== walk.snapshot)
      found.add('snapshot', 'it differs from what the events make', version);
  } catch {
    found.add('snapshot', 'it cannot be read', version);
  }
}

function isSnapshotText(body: string): boolean {
  return typeof (JSON.parse(body) as { format?: unknown }).format === 'number';
}

/** A snapshot's lists are sets: the same state may have come to them in another order. */
function comparable(body: string): string {
  const parsed = JSON.parse(body) as Record<string, unknown>;
  const sorted = (list: unknown): unknown =>
    Array.isArray(list) ? list.map((item) => canonicalJson(item)).toSorted() : list;
  const inFours = (list: unknown): unknown =>
    Array.isArray(list)
      ? sorted(Array.from({ length: list.length / 4 }, (_, at) => list.slice(at * 4, at * 4 + 4)))
      : list;
  return canonicalJson({
    ...parsed,
    nodes: sorted(parsed['nodes']),
    settled: inFours(parsed['settled']),
    ready: sorted(parsed['ready']),
    live: sorted(parsed['live']),
    open: sorted(parsed['open']),
    dependents: sorted(parsed['dependents']),
    decisions: sorted(parsed['decisions']),
  });
}

function compareWork(rows: readonly WorkRow[], expected: readonly ExpectedWork[], found: Findings): void {
  for (const want of expected) {
    const row = rows.find(({ node }) => node === want.node);
    if (row === undefined) found.add('work', `node ${want.node} should be ${want.state} and has no row`);
    else if (!agrees(row, want)) {
      found.add('work', `node ${want.node} is ${saysOf(row)} and should be ${saysOf(want)}`);
    }
  }
  for (const row of rows) {
    if (expected.some(({ node }) => node === row.node)) continue;
    found.add('work', `node ${row.node} is ${saysOf(row)} and should have no row`);
  }
}

function compareAliases(aliases: readonly string[], expected: readonly string[], found: Findings): void {
  const [held, wanted] = [new Set(aliases), new Set(expected)];
  for (const alias of wanted) {
    if (!held.has(alias)) found.add('alias', `it should be found as '${alias}' and is not`);
  }
  for (const alias of held) {
    if (!wanted.has(alias)) found.add('alias', `it is found as '${alias}' and should not be`);
  }
}

function saysOf({ state, epoch, worker }: Pick<WorkRow, 'state' | 'epoch' | 'worker'>): string {
  return state === 'leased' ? `leased to ${worker} under epoch ${epoch}` : state;
}
