/** Brings the records of a run up to date in a Run Store: what has changed since, parents before their children. */
import type { RunStoreClient } from '../../clients/run-store-client.ts';
import { ArpError } from '../../wire/errors.ts';
import type { InternalNodeRun } from '../../wire/runs.ts';
import type { RunViews } from '../run-views.ts';
import type { RunView } from '../view.ts';
import { wireNodeRun, wireRun } from '../wire-run.ts';
import type { Reach } from './lane.ts';
import type { Positions } from './positions.ts';

export interface RecordsParts {
  readonly views: RunViews;
  readonly positions: Positions;
  readonly client: RunStoreClient;
}

/** Internal services know the six keys without a dot (D2). */
const KEYS = 'bare';

/** @throws ArpError: it is refused, or another run is there under this id */
export async function carryRecords(
  { views, positions, client }: RecordsParts,
  runId: string,
  reach: Reach,
): Promise<void> {
  const view = await views.get(runId);
  if (view === undefined) return; // removed, or another door's
  const { version: from } = positions.get('run_store', view);
  const { version } = view;
  if (from >= version) return;
  await carryRun(view, from, client, reach);
  // Each is written as it is by then, which may be newer than `version`: never older.
  for (const record of view.nodes.values()) {
    const { createdSeq, changedSeq } = record;
    if (changedSeq <= from) continue;
    const document = (): InternalNodeRun => wireNodeRun(view, record, KEYS);
    const create = (): Promise<void> => reach((signal) => client.createNodeRun(document(), signal));
    const replace = (): Promise<void> => reach((signal) => client.replaceNodeRun(document(), signal));
    if (createdSeq > from) await unless(409, create, replace);
    else await unless(404, replace, create);
  }
  positions.reach('run_store', view, { version, seq: 0 });
}

async function carryRun(view: RunView, from: number, client: RunStoreClient, reach: Reach): Promise<void> {
  const create = (): Promise<void> => reach((signal) => client.createRun(wireRun(view, KEYS), signal));
  const replace = (): Promise<void> => reach((signal) => client.replaceRun(wireRun(view, KEYS), signal));
  const { endedSeq = 1, id, rootId } = view; // a run changes when it is made and when it is over
  if (from > 0) {
    if (endedSeq > from) await unless(404, replace, create);
    return;
  }
  await unless(409, create, async () => {
    const root = await reach((signal) => client.rootOf(id, signal));
    if (root !== rootId)
      throw new ArpError(409, 'run_already_exists', `run ${id} is another one there, with the root ${root}`);
    await replace();
  });
}

async function unless(
  status: number,
  work: () => Promise<void>,
  otherwise: () => Promise<void>,
): Promise<void> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ArpError) || error.status !== status) throw error;
  }
  return otherwise();
}
