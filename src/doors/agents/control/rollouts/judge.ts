/** Looks at what a rollout has done so far: its tasks, what they left, and the gate. */
import type { RunFiles } from '../ports.ts';
import type { TaskView } from '../../wire/tasks.ts';
import { evaluate, type Verdict } from './criteria.ts';
import { checkHealth } from './health-gate.ts';
import { askedAgents, byAgent } from './plan.ts';
import type { Rollout } from './record.ts';
import { sampleOf } from './samples.ts';

interface JudgeOptions {
  readonly files: Pick<RunFiles, 'open'>;
  nowMs(): number;
  /** The verdict is not wanted any more. */
  readonly signal: AbortSignal;
}

/** @returns undefined once it is not wanted any more */
export async function judge(
  rollout: Rollout,
  views: readonly TaskView[],
  { files, nowMs, signal }: JudgeOptions,
): Promise<Verdict | undefined> {
  const { spec, phaseSinceMs } = rollout;
  const tasks = byAgent(views);
  const asked = askedAgents(rollout);
  const samples = await Promise.all(
    asked.map((agentId) => sampleOf(agentId, tasks.get(agentId)?.view, files)),
  );
  const gate = spec.criteria.health_gate;
  const health = gate === undefined ? undefined : await checkHealth(gate, signal);
  if (signal.aborted) return undefined;
  const elapsedS = Math.max(0, Math.round((nowMs() - phaseSinceMs) / 1000));
  return evaluate(spec.criteria, samples, { elapsedS, ...(health === undefined ? {} : { health }) });
}
