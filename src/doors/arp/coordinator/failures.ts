/** Refusals of the engine in the words of ARP (contract arp §4.4, H4, H5). */
import { ReeveError } from '../../../model/errors.ts';
import { ArpError } from '../wire/errors.ts';

export function runNotFound(runId: string): ArpError {
  return new ArpError(404, 'run_not_found', 'there is no such run', { details: { run_id: runId } });
}

export function nodeRunNotFound(nodeRunId: string): ArpError {
  return new ArpError(404, 'node_run_not_found', 'there is no such NodeRun', {
    details: { node_run_id: nodeRunId },
  });
}

export function runExists(runId: string): ArpError {
  return new ArpError(409, 'run_already_exists', 'a run with this id exists', {
    details: { run_id: runId },
  });
}

export function alreadyTerminal(nodeRunId: string, state: string): ArpError {
  return new ArpError(409, 'node_run_already_terminal', `the NodeRun is ${state} already`, {
    details: { node_run_id: nodeRunId, state },
  });
}

const LIMITS: Readonly<Record<string, string>> = {
  max_depth: 'max_depth',
  max_children_per_node: 'max_children_per_composite',
  max_nodes: 'max_total_nodes_per_run',
  max_rounds_per_node: 'max_decomposition_rounds_per_node',
};
const PARENTS: Readonly<Record<string, readonly [string, string]>> = {
  run_terminal: ['run_terminal', 'the run is over'],
  parent_terminal: ['parent_node_run_terminal', 'the parent is over'],
  parent_atomic: ['parent_node_run_invalid', 'the parent is not composite'],
};

/**
 * Why children could not be added; undefined: somebody else added one of them meanwhile, or it is no refusal of theirs.
 */
export function creationRefused(error: unknown): ArpError | undefined {
  if (!(error instanceof ReeveError)) return undefined;
  const { code, details = {} } = error;
  if (code === 'E_CONSTRAINT_VIOLATED') {
    const { constraint, limit, actual } = details;
    const name = LIMITS[String(constraint)] ?? String(constraint);
    return new ArpError(
      409,
      'constraint_violation',
      `${name} is ${String(limit)}, this would make it ${String(actual)}`,
      {
        details: { constraint: name, limit, actual },
      },
    );
  }
  const refusal = code === 'E_INVALID_STATE_TRANSITION' ? PARENTS[String(details['reason'])] : undefined;
  return refusal === undefined ? undefined : new ArpError(409, ...refusal);
}
