/**
 * Copies a run from one store to another: its events as they are, verified on the way, and what follows from them built
 * anew. It is there whole or not at all. Nothing is taken from the source.
 */
import { ReeveError } from '../model/errors.ts';
import { aliasesOf } from '../model/aliases.ts';
import { encodeSnapshot } from '../model/snapshot.ts';
import type { RunState } from '../model/state.ts';
import type { BlobStore } from './blob-store.ts';
import type { CheckTools } from './check.ts';
import type { Commit, RunHead, RunStore, StoredEvent } from './run-store.ts';
import { Findings, Walk } from './walk.ts';
import { missingRows } from './work-rows.ts';

export interface CopyEnd {
  readonly runs: RunStore;
  readonly blobs: BlobStore;
}

export interface Copied {
  /** `same`: it was there already, with the same events. */
  readonly result: 'copied' | 'same';
  readonly events: number;
}

/** A run is written in one transaction and is in memory until then: most characters of its events. */
const CHARS_MAX = 256 * 1024 * 1024;
const EVENTS_PAGE = 500;
/** How often a run that moves while it is read is read again. */
const TRIES_MAX = 5;

/**
 * @throws ReeveError E_STORE_CORRUPT when the source is damaged; E_LEASE_CONFLICT while a worker holds the run or a step
 * of it is in flight: what is known of that is not in the store; E_INVALID_STATE_TRANSITION when the target has another
 * run of this id; E_INVALID_INPUT_SCHEMA for an unknown run or one that is too big; E_RUN_CHANGED.
 */
export async function copyRun(
  from: CopyEnd,
  to: CopyEnd,
  runId: string,
  tools: CheckTools,
  nowMs: number,
): Promise<Copied> {
  for (let tries = 1; ; tries += 1) {
    const head = await from.runs.head(runId);
    if (head === undefined) throw problem('E_INVALID_INPUT_SCHEMA', runId, 'is not in the source');
    const there = await to.runs.head(runId);
    if (there !== undefined) {
      if (there.version === head.version && there.hash === head.hash)
        return { result: 'same', events: head.version };
      throw problem('E_INVALID_STATE_TRANSITION', runId, 'is another one in the target', {
        source_version: head.version,
        target_version: there.version,
      });
    }
    const commit = await commitOf(from, to, head, tools, nowMs);
    const after = await from.runs.head(runId);
    if (after?.version === head.version && after.hash === head.hash) {
      // Also when another copy was faster: the next look finds that it is the same.
      const [result] = await to.runs.commit([commit]);
      if (result === 'ok') return { result: 'copied', events: head.version };
      if (result === 'alias_taken')
        throw problem(
          'E_INVALID_STATE_TRANSITION',
          runId,
          'has a node whose name another run has in the target',
        );
    }
    if (tries === TRIES_MAX) throw problem('E_RUN_CHANGED', runId, 'kept changing while it was copied');
  }
}

/** Reads and verifies the run; its blobs are in the target when this returns. */
async function commitOf(
  from: CopyEnd,
  to: CopyEnd,
  head: RunHead,
  tools: CheckTools,
  nowMs: number,
): Promise<Commit> {
  const runId = head.id;
  const found = new Findings(runId);
  const blobs = {
    async get(sha256: string): Promise<Uint8Array> {
      const bytes = await from.blobs.get(sha256);
      await to.blobs.put(bytes);
      return bytes;
    },
  };
  const walk = new Walk(runId, blobs, tools.sha256, undefined, found);
  const genesis = walk.last.hash;
  const events: StoredEvent[] = [];
  let chars = 0;
  for (let last = 0; last < head.version; ) {
    const page = await from.runs.events(runId, last, Math.min(EVENTS_PAGE, head.version - last));
    for (const event of page) {
      await walk.take(event);
      events.push(event);
      chars += event.body.length;
    }
    if (page.length === 0) break;
    last = page.at(-1)?.seq ?? last;
    if (chars > CHARS_MAX)
      throw problem('E_INVALID_INPUT_SCHEMA', runId, `has more than ${CHARS_MAX} characters of events`);
  }
  const { folded } = walk;
  const [finding] = found.list();
  if (finding !== undefined || folded === undefined || walk.last.hash !== head.hash)
    throw problem(
      'E_STORE_CORRUPT',
      runId,
      `is damaged: ${finding?.message ?? 'its head is not its last event'}`,
    );
  await refuseBusy(from.runs, folded.state, nowMs);
  const aliases = aliasesOf(folded.state);
  return {
    runId,
    expectedVersion: 0,
    expectedHash: genesis,
    events,
    head: folded.head,
    work: missingRows([], tools.expectedWork(folded.state), nowMs),
    snapshot: { version: head.version, body: encodeSnapshot(folded.state) },
    ...(aliases.length === 0 ? {} : { aliases }),
  };
}

/** A worker goes on in the source, or its records alone say how a step ended: two would do the same work. */
async function refuseBusy(runs: RunStore, state: RunState, nowMs: number): Promise<void> {
  const row = (await runs.work(state.id)).find(({ untilMs }) => untilMs !== null && untilMs > nowMs);
  if (row !== undefined)
    throw problem('E_LEASE_CONFLICT', state.id, `is being worked on by ${row.worker}`, {
      worker: row.worker,
    });
  const [node] = state.live.keys();
  if (node !== undefined)
    throw problem('E_LEASE_CONFLICT', state.id, `has a step in flight: resume or cancel it first`, { node });
}

function problem(
  code: ConstructorParameters<typeof ReeveError>[0],
  runId: string,
  what: string,
  details: Record<string, unknown> = {},
): ReeveError {
  return new ReeveError(code, `run ${runId} ${what}`, { job_id: runId, ...details });
}
