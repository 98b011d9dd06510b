/** Ids of runs and NodeRuns. */
import { sha256 } from '../../../engine/system.ts';
import { newHexId } from '../wire/ids.ts';

export function newRunId(): string {
  return `run_${newHexId()}`;
}

export function newNodeRunId(): string {
  return `node_run_${newHexId()}`;
}

/** The id that a key gives a child of this very parent, so that asking again finds it (contract arp §4.6). */
export function keyedNodeRunId(runId: string, parentNodeRunId: string, key: string): string {
  return `node_run_${sha256(`${runId}:${parentNodeRunId}:${key}`).slice(0, 32)}`;
}
