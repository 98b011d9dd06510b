/** Drives one composite NodeRun from its begin to its end (contract arp §7.1): plan, then one child after the other. */
import type { Selection } from '../ports.ts';
import type { NodeTypes } from '../registry/node-types.ts';
import { unlessAborted } from '../waiting.ts';
import type { ArpError } from '../wire/errors.ts';
import type { InternalCompositeBeginRequest } from '../wire/requests.ts';
import type { InternalNodeRun, NodeRun } from '../wire/runs.ts';
import { type Assignment, assignmentOf } from './assignment.ts';
import { chosenOf, PLAN_KEY, selectionRequest, STRATEGY_KEY } from './binding.ts';
import { Children, type ChildrenParts, isTerminal, OwnNodeEnded } from './children.ts';
import { failure } from './failures.ts';
import { inputSchemaOf } from './input-schema.ts';
import { isFields, type Plan, planOf, type Subtask } from './plan.ts';
import { Report } from './report.ts';
import type { CompositeSettings } from './settings.ts';
import { priorStepsOf, sourcesOf } from './sources.ts';
import type { Strategy } from './strategy.ts';
import type { Turns } from '../turns.ts';

export interface DriverParts extends Pick<ChildrenParts, 'coordinator' | 'clock'> {
  readonly selection: Selection;
  readonly nodeTypes: Pick<NodeTypes, 'get'>;
  readonly strategy: Strategy;
  readonly settings: CompositeSettings;
  readonly turns: Turns;
  /** For the operator: what could not be told to the coordinator. */
  note(text: string): void;
}

export interface DriverSignals {
  /** The process stops: nothing is reported, and a later begin goes on. */
  readonly stop: AbortSignal;
  readonly cancel: AbortSignal;
}

const CANCELED = failure('canceled', 'the composite NodeRun was canceled');

/** Never throws: what fails is reported to the coordinator, and where that fails too, noted. */
export async function drive(
  begin: InternalCompositeBeginRequest,
  parts: DriverParts,
  signals: DriverSignals,
): Promise<void> {
  const driver = new Driver(begin, parts, signals);
  const report = new Report(begin.node_run_id, parts, signals.stop);
  try {
    await driver.run();
    await report.ended(driver.children, driver.summary);
  } catch (error) {
    if (signals.stop.aborted || error instanceof OwnNodeEnded) return;
    if (!signals.cancel.aborted) return report.failed(error, driver.children);
    await driver.cancelChild(CANCELED, signals.stop);
    await report.canceled(CANCELED, driver.children);
  }
}

class Driver {
  /** Those that ended, in the order of the plan. */
  readonly children: InternalNodeRun[] = [];
  summary: string | undefined;
  readonly #begin: InternalCompositeBeginRequest;
  readonly #parts: DriverParts;
  readonly #signal: AbortSignal;
  readonly #stop: AbortSignal;
  readonly #nodes: Children;
  #inFlight: NodeRun | undefined;

  constructor(begin: InternalCompositeBeginRequest, parts: DriverParts, { stop, cancel }: DriverSignals) {
    this.#begin = begin;
    this.#parts = parts;
    this.#signal = AbortSignal.any([stop, cancel]);
    this.#stop = stop;
    const place = { runId: begin.run_id, nodeRunId: begin.node_run_id };
    this.#nodes = new Children(place, { ...parts, ...parts.settings });
  }

  async run(): Promise<void> {
    if (isTerminal(await this.#nodes.read(this.#begin.node_run_id, this.#signal))) throw new OwnNodeEnded();
    const assignment = assignmentOf(this.#begin, this.#parts.settings.limits);
    const first = await this.#nodes.existing('S1', this.#signal);
    const plan = planIn(first) ?? (await this.#planned(assignment));
    this.summary = plan.summary;
    let found = first;
    for (const subtask of plan.subtasks) {
      if (found !== undefined && subtask.id !== 'S1')
        found = await this.#nodes.existing(subtask.id, this.#signal);
      this.#inFlight = found ?? (await this.#created(subtask, assignment, plan));
      const child = await this.#nodes.ended(this.#inFlight, this.#signal);
      this.#inFlight = undefined;
      this.children.push(child);
      if (child.state !== 'succeeded') return;
    }
  }

  /** Idempotent; what the coordinator says against it is noted. */
  async cancelChild(reason: ArpError, signal: AbortSignal): Promise<void> {
    if (this.#inFlight === undefined) return;
    const { node_run_id: id } = this.#inFlight;
    try {
      await this.#nodes.cancel(id, reason, signal);
    } catch (error) {
      if (!signal.aborted)
        this.#parts.note(`the child ${id} could not be canceled: ${(error as Error).message}`);
    }
  }

  async #planned({ goal, context, steps, maxSteps }: Assignment): Promise<Plan> {
    const { strategy, turns } = this.#parts;
    const aim = Math.max(1, Math.min(maxSteps, ...this.#childLimits().map(([, value]) => value)));
    const plan =
      steps === undefined
        ? await turns.during(this.#signal, () =>
            unlessAborted(this.#signal, strategy.plan({ goal, context, maxSteps, aim }, this.#signal)),
          )
        : planOf(steps, undefined, maxSteps);
    for (const [limit, value] of this.#childLimits())
      if (plan.subtasks.length > value)
        throw failure(
          'constraint_violation',
          `the plan has ${plan.subtasks.length} steps, each a child in a round of its own, and ${limit} is ${value}`,
          { limit, value, steps: plan.subtasks.length },
        );
    return plan;
  }

  /** A plan that these forbid fails before its first child, and not in the middle. */
  #childLimits(): readonly (readonly [string, number])[] {
    const { max_children_per_composite: children, max_decomposition_rounds_per_node: rounds } =
      this.#begin.constraints?.structural ?? {};
    return [
      ...(children === undefined ? [] : [['max_children_per_composite', children] as const]),
      ...(rounds === undefined ? [] : [['max_decomposition_rounds_per_node', rounds] as const]),
    ];
  }

  async #created(subtask: Subtask, assignment: Assignment, plan: Plan): Promise<NodeRun> {
    const spec = await this.#parts.turns.during(this.#signal, () => this.#spec(subtask, assignment));
    const { name } = this.#parts.strategy;
    const planned = subtask.id === 'S1' ? { [PLAN_KEY]: plan } : {};
    const extensions = { [STRATEGY_KEY]: name, ...planned };
    // A cancel waits for it: a child that nobody knows of could not be canceled.
    return this.#nodes.create(subtask.id, { ...spec, extensions }, this.#stop);
  }

  async #spec(subtask: Subtask, assignment: Assignment) {
    const { selection, nodeTypes, strategy, settings } = this.#parts;
    const signal = this.#signal;
    const priorSteps = priorStepsOf(assignment.context, this.children, settings.contextWindow);
    const request = selectionRequest(this.#begin, assignment.goal, subtask, priorSteps);
    const set = await unlessAborted(signal, selection.candidates(request));
    const { node_type_ref: ref, rationale } = chosenOf(set, subtask);
    const nodeType = await unlessAborted(signal, nodeTypes.get(ref.node_type_id, ref.version));
    const schema = await inputSchemaOf(nodeType);
    const sources = sourcesOf(nodeType, schema, subtask, assignment, priorSteps);
    const found = strategy.arguments(
      { nodeType, inputs: schema, sources, rootGoal: assignment.goal, priorSteps },
      signal,
    );
    const inputs = await unlessAborted(signal, found);
    const { constraints } = this.#begin;
    return {
      node_type_ref: ref,
      inputs,
      ...(constraints === undefined ? {} : { constraints }),
      candidate_set_id: set.candidate_set_id,
      binding_decision: {
        subtask_id: subtask.id,
        chosen_node_type_ref: ref,
        candidate_set_id: set.candidate_set_id,
        ...(rationale === undefined ? {} : { rationale }),
      },
    };
  }
}

/** The plan that the first child carries: a model would not plan the same again. */
function planIn(first: InternalNodeRun | undefined): Plan | undefined {
  const stored = first?.extensions?.[PLAN_KEY];
  if (!isFields(stored) || !Array.isArray(stored['subtasks'])) return undefined;
  const steps = stored['subtasks'].map((step: unknown) => {
    const { id: _, ...rest } = isFields(step) ? step : {};
    return rest;
  });
  return planOf(steps, stored['summary'], steps.length);
}
