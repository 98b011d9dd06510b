/** Ids of runs and NodeRuns. */
import { newHexId } from '../wire/ids.ts';

export function newRunId(): string {
  return `run_${newHexId()}`;
}

export function newNodeRunId(): string {
  return `node_run_${newHexId()}`;
}
