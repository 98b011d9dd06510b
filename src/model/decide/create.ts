import type { AttemptError } from '../events.ts';
import type { Command } from '../commands.ts';
import { concludeAll } from './conclude.ts';
import { changeStanding } from './control.ts';
import { recordFacts, refuse, type Draft } from './draft.ts';
import { addBranches, checkNodes, refuseSizes, refuseTypes } from './nodes.ts';

export function create(draft: Draft, command: Extract<Command, { type: 'create' }>): void {
  const { spec, environment, below = [], facts, begin, denied } = command;
  refuseExisting(draft);
  checkNodes(draft, [spec.root]);
  checkNodes(draft, spec.nodes, spec.root.id);
  const constraints = spec.constraints ?? {};
  const [children, added] = [spec.nodes.length, spec.nodes.length > 0 ? 1 : 0];
  refuseSizes(constraints, { depth: added, children, nodes: 1 + children, rounds: added });
  refuseTypes(draft, constraints, [spec.root, ...spec.nodes]);
  draft.emit({ type: 'run_created', spec });
  if (environment !== undefined) draft.emit({ type: 'environment_recorded', environment });
  addBranches(draft, below);
  recordFacts(draft, facts);
  // A run fails from running only.
  if (begin === true || denied !== undefined) changeStanding(draft, { phase: 'running' });
  if (denied !== undefined) deny(draft, denied);
}

/** Between these events nobody can come. */
function deny(draft: Draft, error: AttemptError): void {
  draft.emit({ type: 'node_settled', node: draft.state.spec.rootId, state: 'failed', error });
  concludeAll(draft);
}

export function importRun(draft: Draft, command: Extract<Command, { type: 'import' }>): void {
  const { lines, timesMs, spec, state } = command;
  refuseExisting(draft);
  checkNodes(draft, [spec.root]);
  checkNodes(draft, spec.nodes, spec.root.id);
  lines.forEach((line, at) => draft.emit({ type: 'line_imported', line }, timesMs[at]));
  draft.emit({ type: 'run_imported', spec, state }, draft.state.lastAtMs);
}

function refuseExisting(draft: Draft): void {
  const { id, version } = draft.state;
  if (version > 0) refuse('E_INVALID_INPUT_SCHEMA', `run '${id}' exists already`, { job_id: id });
}
