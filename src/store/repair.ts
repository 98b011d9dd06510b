/** Mends what follows from the events of a run: head, snapshot, work rows and aliases (I3). An event is never changed. */
import { aliasesOf } from '../model/aliases.ts';
import { ReeveError } from '../model/errors.ts';
import { encodeSnapshot } from '../model/snapshot.ts';
import type { RunState } from '../model/state.ts';
import type { BlobStore } from './blob-store.ts';
import { examine, MENDABLE, type CheckTools, type RunReport } from './check.ts';
import type { Commit, RunHead, RunStore, WorkChange } from './run-store.ts';
import { missingRows, staleRows } from './work-rows.ts';

export interface RepairReport extends RunReport {
  /** What was written anew. `findings` is what is left. */
  readonly mended: readonly ('head' | 'snapshot' | 'work' | 'alias')[];
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
