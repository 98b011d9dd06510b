/** What a person wants to see of a job at a glance: steps, checkpoints, budget, time. Folded from the events. */
import type { RecordedEvent } from '../../model/events.ts';
import type { AttemptOutcome, NodeState } from '../../model/node.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { usageAt, type RunState } from '../../model/state.ts';
import type { UsageKey } from '../../model/usage.ts';
import { eventsIn, jobState, runSpecOf, type Jobs } from './jobs.ts';
import { checkpointId, statusOf, type Status } from './map.ts';

export interface StepView {
  readonly index: number;
  readonly nodeId: string;
  readonly name: string;
  readonly state: NodeState | 'waiting';
  readonly attempts: number;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly lastOutcome?: AttemptOutcome;
  readonly exitCode?: number;
  /** The step ends in a decision that is still open. */
  readonly awaitsApproval: boolean;
}

export interface CheckpointView {
  readonly id: string;
  readonly type: string;
  readonly summary: string;
  readonly atMs: number;
  readonly approvedBy?: string;
  /** Whether the approval holds a signature; what that is worth, only `verify` with keys can tell. */
  readonly isSigned?: boolean;
}

export interface BudgetView {
  readonly key: UsageKey;
  readonly used: number;
  /** Absent: not limited. */
  readonly limit?: number;
}

export interface JobView {
  readonly jobId: string;
  readonly name: string;
  readonly status: Status;
  /** Undefined: whoever submitted it runs it. */
  readonly queue?: string;
  readonly summary: string;
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Time spent running, milliseconds. */
  readonly runningMs: number;
  readonly steps: readonly StepView[];
  readonly checkpoints: readonly CheckpointView[];
  readonly openDecisions: readonly string[];
  readonly budget: readonly BudgetView[];
  readonly reasonCodes: readonly string[];
  readonly worker?: {
    readonly name: string;
    readonly untilMs: number;
    /** Where it is looked at from, in a store that several machines share. */
    readonly here?: string | undefined;
  };
}

/** The events that a view is made of; of a long job the others are as many. */
const SHOWN = ['attempt_started', 'attempt_ended', 'checkpoint_emitted', 'approval_recorded'] as const;

interface StepFacts {
  attempts: number;
  startedAtMs?: number;
  endedAtMs?: number;
  exitCode?: number;
  lastOutcome?: AttemptOutcome;
}

/** Gathers what views show beyond the state. */
export class ViewFold {
  readonly #steps = new Map<string, StepFacts>();
  readonly #checkpoints: CheckpointView[] = [];

  note({ seq, atMs, event }: RecordedEvent): void {
    switch (event.type) {
      case 'attempt_started': {
        const { endedAtMs: _, ...before } = this.#steps.get(event.node) ?? { attempts: 0 };
        this.#steps.set(event.node, { ...before, attempts: event.attempt, startedAtMs: atMs });
        return;
      }
      case 'attempt_ended': {
        const exit = event.outputs?.['exit_code'];
        this.#steps.set(event.node, {
          ...(this.#steps.get(event.node) ?? { attempts: event.attempt }),
          endedAtMs: atMs,
          lastOutcome: event.outcome,
          ...(typeof exit === 'number' ? { exitCode: exit } : {}),
        });
        return;
      }
      case 'checkpoint_emitted': {
        const { checkpoint: type, summary } = event;
        this.#checkpoints.push({ id: checkpointId(seq), type, summary, atMs });
        return;
      }
      case 'approval_recorded': {
        const at = this.#checkpoints.findIndex(({ id }) => id === checkpointId(event.checkpoint));
        const checkpoint = this.#checkpoints[at];
        if (checkpoint === undefined) return;
        const isSigned = event.signature !== undefined;
        this.#checkpoints[at] = { ...checkpoint, approvedBy: event.by, isSigned };
        return;
      }
      default:
        return;
    }
  }

  /** @param nowMs instant of the view: a running job has used time since its last event. */
  view(state: RunState, spec: RunSpec, nowMs: number, worker?: JobView['worker']): JobView {
    const open = openDecisions(state);
    const usage = usageAt(state, nowMs);
    const keys: readonly UsageKey[] = ['wallMs', 'steps', 'toolCalls', 'retries', 'tokens', 'costMicros'];
    return {
      jobId: state.id,
      name: spec.name,
      status: statusOf(state.standing),
      ...(spec.queue === undefined ? {} : { queue: spec.queue }),
      summary: state.checkpoints.lastSummary,
      version: state.version,
      createdAtMs: state.startedAtMs,
      updatedAtMs: state.lastAtMs,
      runningMs: usage.wallMs,
      steps: spec.nodes.map((node, index) => this.#step(state, node.id, node.name ?? node.id, index, open)),
      checkpoints: [...this.#checkpoints],
      openDecisions: open.map(({ checkpoint }) => checkpointId(checkpoint)),
      budget: keys.map((key) => {
        const limit = state.limits[key];
        return { key, used: usage[key], ...(limit === undefined || limit === 0 ? {} : { limit }) };
      }),
      reasonCodes: state.reasonCodes,
      ...(worker === undefined ? {} : { worker }),
    };
  }

  #step(
    state: RunState,
    nodeId: string,
    name: string,
    index: number,
    open: readonly { readonly node?: string }[],
  ): StepView {
    const facts = this.#steps.get(nodeId);
    const node = state.nodes.get(nodeId);
    const waiting = node !== undefined && node.waiting > 0;
    return {
      index,
      nodeId,
      name,
      state: state.settled.get(nodeId)?.state ?? (waiting ? 'waiting' : (node?.state ?? 'queued')),
      awaitsApproval: open.some((decision) => decision.node === nodeId),
      attempts: 0,
      ...facts,
    };
  }
}

/** Follows a job: `refresh` reads only the events since the last time. */
export class JobViewer {
  readonly #jobs: Jobs;
  readonly #jobId: string;
  readonly #fold = new ViewFold();
  #spec: RunSpec | undefined;
  #seen = 0;

  constructor(jobs: Jobs, jobId: string) {
    this.#jobs = jobs;
    this.#jobId = jobId;
  }

  async refresh(): Promise<JobView> {
    const { engine } = this.#jobs;
    const state = await jobState(this.#jobs, this.#jobId);
    this.#spec ??= await runSpecOf(this.#jobs, state.id);
    for await (const recorded of eventsIn(this.#jobs, state.id, SHOWN, this.#seen)) {
      this.#fold.note(recorded);
      this.#seen = recorded.seq;
    }
    const row = (await engine.store.work(state.id)).find(({ node }) => node === state.spec.rootId);
    const worker =
      row?.worker != null && row.untilMs != null
        ? { name: row.worker, untilMs: row.untilMs, here: this.#jobs.place }
        : undefined;
    return this.#fold.view(state, this.#spec, engine.clock.nowMs(), worker);
  }
}

function openDecisions(state: RunState): { readonly checkpoint: number; readonly node?: string }[] {
  return [...state.decisions.keys()]
    .flatMap((key) => {
      const decision = state.decisions.get(key);
      return decision === undefined || decision.approved ? [] : [decision];
    })
    .toSorted((a, b) => a.checkpoint - b.checkpoint);
}
