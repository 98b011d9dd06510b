/** Whether a store holds what it should: the events are the truth (I3), and all else has to follow from them. */
import { aliasesOf } from '../model/aliases.ts';
import type { Sha256 } from '../model/canonical.ts';
import { ReeveError } from '../model/errors.ts';
import type { RunState } from '../model/state.ts';
import type { BlobStore } from './blob-store.ts';
import { compareAliases, compareHead, compareSnapshot, compareWork } from './compare.ts';
import type { LoadedRun, RunHead, RunStore } from './run-store.ts';
import { Findings, Walk, type Finding } from './walk.ts';
import type { ExpectedWork } from './work-rows.ts';

export interface CheckTools {
  readonly sha256: Sha256;
  readonly expectedWork: (state: RunState) => readonly ExpectedWork[];
}

export interface RunReport {
  readonly runId: string;
  readonly events: number;
  readonly findings: readonly Finding[];
}

const EVENTS_PAGE = 500;
const RUNS_PAGE = 200;
/** How often a run that moves while it is looked at is looked at again. */
const TRIES_MAX = 5;
/** Kinds of findings that follow from the events. */
export const MENDABLE: ReadonlySet<string> = new Set(['head', 'snapshot', 'work', 'alias']);

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

export async function* allRuns(store: RunStore): AsyncGenerator<RunHead> {
  let page = await store.list({ limit: RUNS_PAGE });
  for (;;) {
    yield* page.runs;
    if (page.next === undefined) return;
    page = await store.list({ limit: RUNS_PAGE, after: page.next });
  }
}

interface Examined {
  readonly events: number;
  readonly findings: readonly Finding[];
  readonly loaded: LoadedRun | undefined;
  /** What the events make; undefined where they do not make a run. */
  readonly folded: { readonly state: RunState; readonly head: RunHead } | undefined;
}

/** Head, events, snapshot and rows are read one after the other: again, if the run moved meanwhile. */
export async function examine(
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
