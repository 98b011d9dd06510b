/** The Run Coordinator: the authority over runs (contract arp §4). Dispatch is the work of engine workers. */
import type { Engine } from '../../../engine/engine.ts';
import type { AttemptError } from '../../../model/events.ts';
import { ReeveError } from '../../../model/errors.ts';
import { aboutRun } from '../../../telemetry/request-context.ts';
import type { JsonObject } from '../../../model/json.ts';
import type { NodeTypes } from '../registry/node-types.ts';
import { validationFailed } from '../wire/errors.ts';
import type {
  NodeRunCompleteRequest,
  NodeRunEvaluationRequest,
  NodeRunsCreateRequest,
  RunStartRequest,
} from '../wire/requests.ts';
import type { InternalNodeRun, InternalRun } from '../wire/runs.ts';
import { requireCallback, requireOwner, type Caller } from './access.ts';
import { CancelNotices, type CancelableExecutors } from './cancel-notices.ts';
import { createNodeRuns } from './create-node-runs.ts';
import { EVALUATION_FACT, type EvaluationFact, type NodeRunEnd } from './facts.ts';
import { alreadyTerminal, nodeRunNotFound, runExists, runNotFound } from './failures.ts';
import { RunFeed } from './feed.ts';
import { newNodeRunId, newRunId } from './ids.ts';
import { KnownTypes } from './known-types.ts';
import { recover } from './recovery.ts';
import { askPolicy, policyDenial, policyFact, type PolicyOptions } from './policy.ts';
import { RunViews, type FoundNode } from './run-views.ts';
import { runSpecOf } from './spec.ts';
import { stoppedBy, type RunView } from './view.ts';
import { wireNodeRun, wireRun, type ExtensionKeys } from './wire-run.ts';

export interface CoordinatorOptions {
  readonly engine: Engine;
  /** Undefined: kinds are told by their ids alone. */
  readonly nodeTypes?: Pick<NodeTypes, 'get'>;
  readonly policy: PolicyOptions;
  /** Off: NodeRuns stay queued, and whoever drives them reports through the API. */
  readonly autoDispatch: boolean;
  /** Told of NodeRuns that were canceled while they worked on them. */
  readonly executors?: CancelableExecutors;
  /** Whether reported recovery actions are carried out. Default: they are recorded, as the standard has it. */
  readonly recovery?: 'act' | 'record';
  /** Default `bare`. */
  readonly extensionKeys?: ExtensionKeys;
}

/** How often an end is tried again, after others changed the run. */
const TRIES_MAX = 16;
/** A run's id is an id of the model, and a name in messages. */
const RUN_ID = /^[^\p{Cc}\p{Cs}]{1,200}$/u;

export class Coordinator {
  readonly views: RunViews;
  readonly types: KnownTypes;
  readonly #options: CoordinatorOptions;
  readonly #notices: CancelNotices;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.views = new RunViews(options.engine);
    this.types = new KnownTypes(options.nodeTypes);
    this.#notices = new CancelNotices(options.executors ?? {});
  }

  /** @throws ArpError 409 `run_already_exists`; HttpFailure 403 */
  async start(request: RunStartRequest, caller: Caller): Promise<InternalRun> {
    const { engine, policy, autoDispatch } = this.#options;
    const { root_node_type_ref: ref, run_context: context, run_id: given } = request;
    const runId = given ?? newRunId();
    const tenant = context?.tenant_id ?? caller?.tenant;
    requireOwner(caller, { tenant }, context?.actor?.id);
    if (!RUN_ID.test(runId))
      throw validationFailed([
        { type: 'run_id', loc: ['body', 'run_id'], msg: 'must be 1 to 200 characters without controls' },
      ]);
    // An id of ours is new; whatever comes between this and the creation is refused by that.
    if (given !== undefined && (await engine.store.head(given)) !== undefined) throw runExists(given);
    const rootId = newNodeRunId();
    const [nodeType, decision] = await Promise.all([
      this.types.get(ref),
      askPolicy(policy, {
        action: 'run.start',
        run_id: runId,
        node_run_id: rootId,
        node_type_ref: ref,
        ...(context === undefined ? {} : { run_context: context }),
      }),
    ]);
    aboutRun(runId);
    const actor = context?.actor?.id ?? caller?.subject ?? 'anonymous';
    try {
      const { events } = await engine.execute(runId, {
        type: 'create',
        spec: runSpecOf(request, { rootId, nodeType, tenant, actor, autoDispatch }),
        begin: true,
        facts: [policyFact('run.start', rootId, decision)],
        ...(decision.decision === 'allow' ? {} : { denied: policyDenial('run.start', decision) }),
      });
      return this.#wireRun(await this.views.after(runId, events));
    } catch (error) {
      if (isRefusal(error, 'E_INVALID_INPUT_SCHEMA') && (await engine.store.head(runId)) !== undefined)
        throw runExists(runId);
      throw error;
    }
  }

  /** @throws ArpError 404 `run_not_found`; HttpFailure 403 */
  async run(runId: string, caller: Caller): Promise<InternalRun> {
    return this.#wireRun(await this.#runFor(runId, caller));
  }

  /** A run that is over is left as it is. @throws ArpError 404 `run_not_found`; HttpFailure 403 */
  async cancel(runId: string, caller: Caller): Promise<InternalRun> {
    let view = await this.#runFor(runId, caller);
    if (view.endedSeq !== undefined) return this.#wireRun(view);
    try {
      const by = caller?.subject ?? 'anonymous';
      const { events } = await this.#options.engine.execute(runId, { type: 'cancel', by });
      view = await this.views.after(runId, events);
      if (view.endedSeq !== undefined) await this.#notices.send(stoppedBy(view, view.endedSeq));
    } catch (error) {
      if (!isRefusal(error, 'E_INVALID_STATE_TRANSITION')) throw error;
      view = await this.#runFor(runId, caller); // it ended by itself meanwhile
    }
    return this.#wireRun(view);
  }

  /** @throws ArpError as contract §4.4 lists them; HttpFailure 403 */
  async create(request: NodeRunsCreateRequest, caller: Caller): Promise<readonly InternalNodeRun[]> {
    const { engine } = this.#options;
    const parts = { engine, views: this.views, types: this.types };
    const found = await createNodeRuns(parts, request, (view) => requireCallback(caller, view));
    return found.map((each) => this.#wireNodeRun(each));
  }

  /** @throws ArpError 404 `node_run_not_found`; HttpFailure 403 */
  async nodeRun(nodeRunId: string, caller: Caller): Promise<InternalNodeRun> {
    return this.#wireNodeRun(await this.#nodeFor(nodeRunId, caller));
  }

  /** The NodeRun, once it is over. @throws ArpError 404 `node_run_not_found`; HttpFailure 403; the signal's reason */
  async waitTerminal(nodeRunId: string, caller: Caller, signal: AbortSignal): Promise<InternalNodeRun> {
    const runId = await this.views.runOf(nodeRunId);
    if (runId === undefined) throw nodeRunNotFound(nodeRunId);
    let change = Promise.withResolvers<void>();
    const tell = (): void => change.resolve();
    const unsubscribe = this.#options.engine.store.subscribe((changed) => {
      if (changed === undefined || changed === runId) tell();
    });
    signal.addEventListener('abort', tell);
    try {
      for (;;) {
        signal.throwIfAborted();
        change = Promise.withResolvers();
        const found = this.#allowed(nodeRunId, await this.views.nodeIn(runId, nodeRunId), caller);
        if (found.record.endedSeq !== undefined) return this.#wireNodeRun(found);
        await change.promise;
      }
    } finally {
      unsubscribe();
      signal.removeEventListener('abort', tell);
    }
  }

  /** Recorded; acted on only where that was asked for. @throws ArpError 404 `node_run_not_found`; HttpFailure 403 */
  async evaluate(nodeRunId: string, report: NodeRunEvaluationRequest, caller: Caller): Promise<void> {
    const { view, record } = await this.#nodeFor(nodeRunId, caller);
    const { evaluation_result, recovery_action } = report;
    const data: EvaluationFact = {
      evaluation_result,
      ...(recovery_action === undefined ? {} : { recovery_action }),
    };
    const { events } = await this.#options.engine.execute(view.id, {
      type: 'record',
      name: EVALUATION_FACT,
      node: nodeRunId,
      data: data as unknown as JsonObject,
    });
    await this.views.after(view.id, events);
    if (recovery_action === undefined || this.#options.recovery !== 'act') return;
    const { engine } = this.#options;
    await recover({ engine, views: this.views, types: this.types }, view, record, recovery_action);
  }

  /**
   * The first end counts (H4): the same again changes nothing.
   * @throws ArpError 404 `node_run_not_found`, 409 `node_run_already_terminal`; HttpFailure 403
   */
  async complete(nodeRunId: string, report: NodeRunCompleteRequest, caller: Caller): Promise<void> {
    const { state, error } = report;
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const { view, record } = await this.#nodeFor(nodeRunId, caller);
      if (record.endedSeq !== undefined) {
        if (record.state === state) return;
        throw alreadyTerminal(nodeRunId, record.state);
      }
      try {
        const { events } = await this.#options.engine.execute(view.id, {
          type: 'settle',
          node: nodeRunId,
          state,
          regardless: true,
          ...endOf(report),
          ...(error === undefined ? {} : { error: attemptError(error) }),
        });
        const after = await this.views.after(view.id, events);
        const { endedSeq } = after.nodes.get(nodeRunId) ?? {};
        if (endedSeq !== undefined) await this.#notices.send(stoppedBy(after, endedSeq, nodeRunId));
        return;
      } catch (failure) {
        if (!isRefusal(failure, 'E_INVALID_STATE_TRANSITION')) throw failure; // somebody else was faster: look again
      }
    }
    throw new ReeveError('E_RUN_CHANGED', 'the run kept changing while a NodeRun was completed', {
      node_run_id: nodeRunId,
    });
  }

  /** Events of a run. @throws ArpError 404 `run_not_found`; HttpFailure 403 */
  async runFeed(runId: string, caller: Caller): Promise<RunFeed> {
    const { id } = await this.#runFor(runId, caller);
    return new RunFeed(this.#options.engine, this.views, { runId: id });
  }

  /** Events of a NodeRun and of all below it. @throws ArpError 404 `node_run_not_found`; HttpFailure 403 */
  async nodeRunFeed(nodeRunId: string, caller: Caller): Promise<RunFeed> {
    const { view } = await this.#nodeFor(nodeRunId, caller);
    return new RunFeed(this.#options.engine, this.views, { runId: view.id, nodeRunId });
  }

  async #runFor(runId: string, caller: Caller): Promise<RunView> {
    const view = await this.views.get(runId);
    if (view === undefined) throw runNotFound(runId);
    requireOwner(caller, view);
    return view;
  }

  async #nodeFor(nodeRunId: string, caller: Caller): Promise<FoundNode> {
    return this.#allowed(nodeRunId, await this.views.node(nodeRunId), caller);
  }

  #allowed(nodeRunId: string, found: FoundNode | undefined, caller: Caller): FoundNode {
    if (found === undefined) throw nodeRunNotFound(nodeRunId);
    requireCallback(caller, found.view);
    return found;
  }

  #wireRun(view: RunView): InternalRun {
    return wireRun(view, this.#options.extensionKeys ?? 'bare');
  }

  #wireNodeRun({ view, record }: FoundNode): InternalNodeRun {
    return wireNodeRun(view, record, this.#options.extensionKeys ?? 'bare');
  }
}

function isRefusal(error: unknown, code: string): boolean {
  return error instanceof ReeveError && error.code === code;
}

function endOf({ outputs, output_artifacts, error }: NodeRunCompleteRequest): { outputs?: JsonObject } {
  const end: NodeRunEnd = {
    ...(outputs === undefined ? {} : { outputs }),
    ...(output_artifacts === undefined ? {} : { output_artifacts }),
    ...(error === undefined ? {} : { error }),
  };
  return Object.keys(end).length === 0 ? {} : { outputs: end as unknown as JsonObject };
}

function attemptError(error: NonNullable<NodeRunCompleteRequest['error']>): AttemptError {
  const { code, message, retryable } = error;
  return { code, message, ...(retryable === undefined ? {} : { retryable }) };
}
