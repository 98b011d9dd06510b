/**
 * What a reported recovery action does (contract arp §4.8 records it; acting on it is ours, and only where it was asked
 * for). What ended stays as it ended (I6): a retry is a new NodeRun beside it, which is dispatched as any other.
 */
import type { Engine } from '../../../engine/engine.ts';
import { ReeveError } from '../../../model/errors.ts';
import type { JsonObject } from '../../../model/json.ts';
import { ArpError } from '../wire/errors.ts';
import type { NodeRunsCreateRequest } from '../wire/requests.ts';
import { createNodeRuns, type CreationParts } from './create-node-runs.ts';
import { RECOVERY_FACT, type RecoveryAction, type RecoveryFact } from './facts.ts';
import type { NodeRecord, RunView } from './view.ts';

/** Acts, and records what came of it. Never throws for what cannot be done: the report itself was taken. */
export async function recover(
  parts: CreationParts,
  view: RunView,
  record: NodeRecord,
  action: RecoveryAction,
): Promise<void> {
  const target = view.nodes.get(action.target_node_run_id ?? record.id);
  let said: RecoveryFact;
  try {
    said =
      target === undefined
        ? not('there is no such NodeRun in this run')
        : await act(parts, view, target, action);
  } catch (error) {
    if (!(error instanceof ReeveError)) throw error;
    said = not(error.message, error instanceof ArpError ? error.wireCode : error.code.toLowerCase());
  }
  const data = { type: action.type, ...said };
  await parts.engine.execute(view.id, {
    type: 'record',
    name: RECOVERY_FACT,
    node: record.id,
    data: data as unknown as JsonObject,
  });
}

async function act(
  parts: CreationParts,
  view: RunView,
  target: NodeRecord,
  action: RecoveryAction,
): Promise<RecoveryFact> {
  switch (action.type) {
    case 'retry':
      return again(parts, view, target, target.input.node_type_ref);
    case 'remap':
      return action.target_node_type_ref === undefined
        ? not('a remap names the node type that is to be used instead')
        : again(parts, view, target, action.target_node_type_ref);
    case 'abort':
      return abort(parts.engine, view, target, action.message);
    case 'ask_user':
      return ask(parts.engine, view, target, action.message);
    case 'decompose_further':
      return not('further children are created by whoever drives the composite');
  }
}

/** The same target gets one at most, however often that is reported. */
async function again(
  parts: CreationParts,
  view: RunView,
  { id, parent, state, input }: NodeRecord,
  ref: NodeRunsCreateRequest['node_runs'][number]['node_type_ref'],
): Promise<RecoveryFact> {
  if (parent === undefined) return not('a root has nothing above it in which it could run again');
  if (state !== 'failed' && state !== 'canceled') return not(`the NodeRun is ${state}`);
  const { inputs, given_constraints, extensions } = input;
  const request: NodeRunsCreateRequest = {
    run_id: view.id,
    parent_node_run_id: parent,
    node_runs: [
      {
        node_type_ref: ref,
        inputs,
        idempotency_key: `recovery:${id}`,
        ...(given_constraints === undefined ? {} : { constraints: given_constraints }),
        ...(extensions === undefined ? {} : { extensions }),
      },
    ],
  };
  const [made] = await createNodeRuns(parts, request, () => undefined);
  return { applied: true, ...(made === undefined ? {} : { node_run_id: made.record.id }) };
}

async function abort(
  engine: Engine,
  view: RunView,
  { id, endedSeq }: NodeRecord,
  message = 'aborted by a recovery action',
): Promise<RecoveryFact> {
  if (endedSeq !== undefined) return not('the NodeRun is over');
  const error = { code: 'aborted', message };
  await engine.execute(view.id, { type: 'settle', node: id, state: 'failed', regardless: true, error });
  return { applied: true, node_run_id: id };
}

/** The run waits for the answer; what is under way comes to its end. */
async function ask(
  engine: Engine,
  view: RunView,
  { id, input }: NodeRecord,
  message = 'a recovery action asks for a decision',
): Promise<RecoveryFact> {
  const summary = `${input.node_type_ref.node_type_id}: ${message}`.slice(0, 500);
  const { events } = await engine.execute(view.id, {
    type: 'emit_checkpoint',
    checkpoint: 'decision-needed',
    summary,
    requiredAction: { kind: 'approval', instructions: `approve that the run goes on after ${id}` },
  });
  const asked = events.find(({ event }) => event.type === 'checkpoint_emitted');
  return { applied: true, ...(asked === undefined ? {} : { checkpoint_id: `cp_${asked.seq}` }) };
}

function not(reason: string, code?: string): RecoveryFact {
  return { applied: false, reason, ...(code === undefined ? {} : { code }) };
}
