/** Whether a rollout still needs the files of its runs: it is a run of the engine itself, under its own id. */
import { isTerminal } from '../../../../model/transitions.ts';
import type { RunStore } from '../../../../store/run-store.ts';

/** Until it has ended somebody may have to review it. One that is not on record any more needs nothing. */
export function openRollouts(store: Pick<RunStore, 'head'>) {
  return async (tenant: string, rolloutId: string): Promise<boolean> => {
    const head = await store.head(rolloutId);
    return head !== undefined && head.tenant === tenant && !isTerminal(head);
  };
}
