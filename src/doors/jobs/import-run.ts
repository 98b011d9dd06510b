/** The log and configuration of a job of the reference → what the model's `import` takes (contract wrkr §d, W34). Pure. */
import type { ImportedState } from '../../model/events.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import type { NodeSpec } from '../../model/node.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { applyLine, type JobState, type LinePlace, type RuntimeConfig } from './fold-lines.ts';
import type { Line } from './lines.ts';
import { checkpointId, standingOf } from './map.ts';
import { adapterOf, type Budgets } from './schema.ts';
import { lenientSteps, planSteps, ROOT_ID, stepNode, type PlannedStep } from './steps.ts';
import { parseTime } from './time.ts';
import { labelsOf, limitsOf, plan, type RunSurroundings } from './to-run.ts';

interface SeenDecision {
  readonly seq: number;
  /** Index of the step that ended in it; undefined when somebody emitted it by hand. */
  readonly step: number | undefined;
}

/** Gathers, line by line, what an import needs to know of a log. */
export class ImportFold {
  readonly job: JobState;
  readonly lines: JsonObject[] = [];
  readonly timesMs: number[] = [];
  readonly decisions: SeenDecision[] = [];
  /** Ids of approved checkpoints, as they were written. */
  readonly approved = new Set<string>();
  readonly startedSteps = new Set<number>();
  /** Time spent in `running`; waiting costs nothing (contract wrkr §c, budgets). */
  runningMs = 0;
  #lastStep: number | undefined;
  #lastAtMs = 0;

  constructor(job: JobState) {
    this.job = job;
  }

  add(line: Line, atMs: number, place: LinePlace): void {
    if (this.job.status === 'running') this.runningMs += Math.max(0, atMs - this.#lastAtMs);
    this.#lastAtMs = Math.max(this.#lastAtMs, atMs);
    applyLine(this.job, line, place);
    this.lines.push(line as unknown as JsonObject);
    this.timesMs.push(atMs);
    const { type, status, step_index: step, checkpoint_id: checkpoint } = line.payload;
    if (line.type === 'adapter_step' && typeof step === 'number') {
      this.#lastStep = step;
      this.startedSteps.add(step);
    } else if (line.type === 'approval_recorded' && typeof checkpoint === 'string') {
      this.approved.add(checkpoint);
    } else if (line.type === 'checkpoint_emitted' && type === 'decision-needed') {
      // Only a step says blocked_decision while the job is still running: its status follows (contract wrkr §e).
      const isOfStep = status === 'blocked_decision' && this.job.status === 'running';
      this.decisions.push({ seq: line.seq, step: isOfStep ? this.#lastStep : undefined });
    }
  }
}

export function importedRun(
  fold: ImportFold,
  config: RuntimeConfig | undefined,
  jobId: string,
  where: RunSurroundings,
): { readonly spec: RunSpec; readonly state: ImportedState } {
  const { job } = fold;
  const adapter = config === undefined ? undefined : adapterOf(config.adapter);
  const steps = adapter === 'reference' ? planSteps(lenientSteps(config?.inputs['steps'])) : [];
  const cursor = Math.min(config?.next_step_index ?? 0, steps.length);
  const decisions = decisionsOf(fold, steps.slice(0, cursor));
  const asked = new Set(decisions.map(({ node }) => node));
  // A decision whose checkpoint could not be written still blocked the job; its step is to ask again (W25).
  const last = steps[cursor - 1];
  const mute = job.status === 'blocked_decision' && last?.decision !== undefined && !asked.has(last.nodeId);
  const done = new Set(steps.slice(0, mute ? cursor - 1 : cursor).map((step) => step.nodeId));
  const open = new Set(decisions.filter(({ approved }) => !approved).map(({ node }) => node));
  const nodes = steps.map((step, index): NodeSpec => {
    const node = stepNode(step, index === 0 ? [] : [steps[index - 1]?.nodeId ?? ''], where);
    if (mute && step === last) return askAgain(node);
    return done.has(node.id) && !open.has(node.id) ? withoutDecision(node) : node;
  });
  return {
    spec: {
      tenant: where.tenant,
      actor: where.actor,
      name: jobId,
      limits: config === undefined ? {} : limitsOf(budgetsOf(config)),
      root: rootOf(adapter !== undefined),
      nodes,
      labels: labelsOf(adapter ?? 'none', where),
      ...(config === undefined ? {} : { document: config as unknown as Json }),
    },
    state: {
      standing: standingOf(job.status),
      usage: {
        wallMs: fold.runningMs,
        steps: job.step_count,
        retries: job.retry_count,
        toolCalls: job.tool_call_count,
        tokens: 0,
        costMicros: 0,
      },
      startedAtMs: parseTime(job.started_at ?? '') ?? fold.timesMs[0] ?? 0,
      succeeded: [...done],
      interrupted: steps
        .filter(({ index }) => index >= cursor && fold.startedSteps.has(index))
        .map((step) => step.nodeId),
      decisions,
      ...(job.env_fingerprint_hash === ''
        ? {}
        : {
            environment: {
              rules: job.env_fingerprint_rules,
              values: job.env_fingerprint_values,
              hash: job.env_fingerprint_hash,
            },
          }),
      reasonCodes: job.last_reason_codes,
    },
  };
}

/**
 * Every decision checkpoint. Those of finished steps hold back only what follows their step; others, emitted by hand,
 * hold the whole run.
 */
function decisionsOf(fold: ImportFold, finished: readonly PlannedStep[]): ImportedState['decisions'] {
  return fold.decisions.map(({ seq, step }) => {
    const asking = step === undefined ? undefined : finished[step];
    return {
      checkpoint: seq,
      // An approval counts for exactly the id it names: `cp_011` is nobody's (contract wrkr §c).
      approved: fold.approved.has(checkpointId(seq)),
      ...(asking?.decision === undefined ? {} : { node: asking.nodeId }),
    };
  });
}

/** Of a job without steps that we know nothing follows: it is never concluded by itself (contract wrkr §c, resume 5). */
function rootOf(known: boolean): NodeSpec {
  if (!known) return { id: ROOT_ID, kind: 'composite', drive: 'external' };
  return { ...plan(), after: { type: 'completed', summary: 'job completed' } };
}

/** A finished step whose decision is approved, or was never asked, holds nothing back; its checkpoint is in the log. */
function withoutDecision(node: NodeSpec): NodeSpec {
  if (node.after?.type !== 'decision-needed') return node;
  const { requiredAction: _, ...after } = node.after;
  return { ...node, after: { ...after, type: 'progress' } };
}

/** The command has run and does not run again; the decision is asked for. */
function askAgain(node: NodeSpec): NodeSpec {
  const { executor: _, input: __, ...rest } = node;
  return { ...rest, reserve: { steps: 0 } };
}

function budgetsOf({ budgets }: RuntimeConfig): Partial<Budgets> {
  return {
    max_wall_time_seconds: budgets.MaxWallTimeSeconds,
    max_retries: budgets.MaxRetries,
    max_step_count: budgets.MaxStepCount,
    max_tool_calls: budgets.MaxToolCalls,
    max_estimated_cost: budgets.MaxEstimatedCost ?? 0,
    max_tokens: budgets.MaxTokens ?? 0,
  };
}
