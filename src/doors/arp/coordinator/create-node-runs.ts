/** Creating children: all of a request or none, and the same again creates nothing (contract arp §4.4, §4.6). */
import type { Engine } from '../../../engine/engine.ts';
import { canonicalJson } from '../../../model/canonical.ts';
import { ReeveError } from '../../../model/errors.ts';
import type { NodeSpec } from '../../../model/node.ts';
import { ArpError } from '../wire/errors.ts';
import { childNodeRunId } from '../wire/ids.ts';
import type { NodeRunsCreateRequest } from '../wire/requests.ts';
import { mergeEnvelopes, structuralOf } from './constraints.ts';
import { creationRefused, runNotFound } from './failures.ts';
import { newNodeRunId } from './ids.ts';
import type { KnownTypes } from './known-types.ts';
import type { FoundNode, RunViews } from './run-views.ts';
import { candidateSetOf, childSpecOf, type CreateSpec, type NodeInput } from './spec.ts';
import type { NodeRecord, RunView } from './view.ts';

export interface CreationParts {
  readonly engine: Engine;
  readonly views: RunViews;
  readonly types: KnownTypes;
}

/** How often it is looked again, after others created children of the same keys. */
const TRIES_MAX = 16;

/**
 * @param allow throws when the caller may not touch the run.
 * @returns one for each spec, in the order of the request.
 * @throws ArpError as contract §4.4 lists them
 */
export async function createNodeRuns(
  { engine, views, types }: CreationParts,
  request: NodeRunsCreateRequest,
  allow: (view: RunView) => void,
): Promise<readonly FoundNode[]> {
  const { run_id: runId, parent_node_run_id: parentId, node_runs: specs } = request;
  const ids = specs.map(({ idempotency_key: key }) =>
    key === undefined ? newNodeRunId() : childNodeRunId(runId, parentId, key),
  );
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const view = await views.get(runId);
    if (view === undefined) throw runNotFound(runId);
    allow(view);
    const parent = await requireParent(views, view, parentId);
    const fresh = unknownAmong(view, ids, specs);
    if (fresh.size === 0) return found(view, ids);
    const run = view.request.constraints;
    const bounds = mergeEnvelopes(run, parent.input.constraints) ?? {};
    const nodes = await Promise.all(
      [...fresh].map(async ([id, spec]): Promise<NodeSpec> => {
        const nodeType = await types.get(spec.node_type_ref);
        return childSpecOf(spec, { id, nodeType, run, parent: parent.input });
      }),
    );
    try {
      const { events } = await engine.execute(runId, {
        type: 'add_nodes',
        parent: parentId,
        nodes,
        constraints: structuralOf(bounds),
      });
      // Another request may have created them, all alike: then nothing was added here.
      const after = events.length === 0 ? await views.get(runId) : await views.after(runId, events);
      if (after !== undefined) return found(after, ids);
    } catch (error) {
      const refused = creationRefused(error);
      if (refused !== undefined) throw refused;
      if (!wasOvertaken(error)) throw error;
    }
  }
  throw new ReeveError('E_RUN_CHANGED', 'the run kept changing while children were created', {
    run_id: runId,
  });
}

async function requireParent(views: RunViews, view: RunView, id: string): Promise<NodeRecord> {
  const parent = view.nodes.get(id);
  const details = { run_id: view.id, parent_node_run_id: id };
  if (parent === undefined) {
    if ((await views.runOf(id)) === undefined)
      throw new ArpError(404, 'parent_node_run_not_found', 'there is no such parent', { details });
    throw new ArpError(409, 'parent_node_run_mismatch', 'the parent belongs to another run', { details });
  }
  if (parent.isComposite) return parent;
  throw new ArpError(409, 'parent_node_run_invalid', 'the parent is not composite', { details });
}

/** What of the request is not there yet. @throws ArpError 409 `idempotency_conflict` */
function unknownAmong(
  view: RunView,
  ids: readonly string[],
  specs: readonly CreateSpec[],
): ReadonlyMap<string, CreateSpec> {
  const fresh = new Map<string, CreateSpec>();
  for (const [at, id] of ids.entries()) {
    const spec = specs[at];
    if (spec === undefined) continue;
    const known = view.nodes.get(id)?.input;
    const before = fresh.get(id);
    if (known !== undefined) refuseOther(id, spec, known);
    else if (before !== undefined) refuseOther(id, spec, givenBy(before));
    else fresh.set(id, spec);
  }
  return fresh;
}

type Compared = Pick<
  NodeInput,
  'node_type_ref' | 'inputs' | 'binding_decision' | 'candidate_set_id' | 'given_constraints'
>;

function givenBy(spec: CreateSpec): Compared {
  const { node_type_ref, inputs, binding_decision, constraints } = spec;
  const set = candidateSetOf(spec);
  const given = mergeEnvelopes(constraints);
  return {
    node_type_ref,
    inputs,
    ...(binding_decision === undefined ? {} : { binding_decision }),
    ...(set === undefined ? {} : { candidate_set_id: set }),
    ...(given === undefined ? {} : { given_constraints: given }),
  };
}

/** What a repeated request leaves out agrees with anything; what the registry says meanwhile plays no part (H19). */
function refuseOther(id: string, spec: CreateSpec, known: Compared): void {
  const again = givenBy(spec);
  const parts: readonly (readonly [string, unknown, unknown])[] = [
    ['node_type_ref', again.node_type_ref, known.node_type_ref],
    ['inputs', again.inputs, known.inputs],
    ['binding_decision', again.binding_decision, known.binding_decision],
    ['candidate_set_id', again.candidate_set_id, known.candidate_set_id],
    ['constraints', again.given_constraints, known.given_constraints],
  ];
  const differs = parts
    .filter(([, given, had]) => given !== undefined && text(given) !== text(had))
    .map(([part]) => part);
  if (differs.length === 0) return;
  throw new ArpError(
    409,
    'idempotency_conflict',
    `this idempotency key was used with another ${differs.join(', ')}`,
    { details: { node_run_id: id, idempotency_key: spec.idempotency_key, differs } },
  );
}

function text(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value);
}

function found(view: RunView, ids: readonly string[]): readonly FoundNode[] {
  return ids.map((id) => {
    const record = view.nodes.get(id);
    if (record === undefined)
      throw new TypeError(`NodeRun ${id} of run ${view.id} was created and is not there`);
    return { view, record };
  });
}

/** Somebody else took one of the ids in between, with a spec that may agree after all. */
function wasOvertaken(error: unknown): boolean {
  return (
    error instanceof ReeveError &&
    error.code === 'E_INVALID_INPUT_SCHEMA' &&
    error.details?.['differs'] !== undefined
  );
}
