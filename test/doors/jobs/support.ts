import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { JobSpec, JobStep } from '../../../src/doors/jobs/schema.ts';
import type { RunSurroundings } from '../../../src/doors/jobs/to-run.ts';
import type { Command } from '../../../src/model/commands.ts';
import { decide } from '../../../src/model/decide/index.ts';
import { type ErrorCode, ReeveError } from '../../../src/model/errors.ts';
import type { RecordedEvent } from '../../../src/model/events.ts';
import { evolve } from '../../../src/model/evolve.ts';
import { emptyState, type RunState } from '../../../src/model/state.ts';

export const WHERE: RunSurroundings = {
  cwd: '/srv/here',
  jobDir: '/store/jobs/demo',
  tenant: 'default',
  actor: 'tester',
  producerVersion: '0.1.0',
};

export const STEPS: readonly JobStep[] = [
  { id: 'collect', summary: 'notes collected', command: 'true', artifacts: ['notes/collected.txt'] },
  {
    id: 'judge',
    summary: 'may they be published?',
    executed: false,
    decision_needed: true,
    required_action: 'sign',
  },
  { id: 'publish', summary: 'notes published', command: 'true', artifacts: ['notes/published.txt'] },
];

export function specOf(steps: readonly JobStep[] = STEPS, changes: Partial<JobSpec> = {}): JobSpec {
  return {
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: '2025-03-01T00:00:00Z',
    producer_version: 'dev',
    name: 'notes_job',
    objective: 'Do it.',
    inputs: { steps } as unknown as JobSpec['inputs'],
    expected_artifacts: ['notes/published.txt'],
    adapter: { name: 'reference' },
    budgets: { max_wall_time_seconds: 900, max_retries: 1, max_step_count: 12, max_tool_calls: 30 },
    checkpoint_policy: { min_interval_seconds: 3, required_types: ['plan', 'progress', 'completed'] },
    ...changes,
  };
}

/** The error that something throws, which must be one of ours. */
export async function errorOf(action: () => unknown): Promise<ReeveError> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(ReeveError);
    return error as ReeveError;
  }
  throw new Error('nothing was thrown');
}

export async function expectCode(code: ErrorCode, action: () => unknown): Promise<ReeveError> {
  const error = await errorOf(action);
  expect(error.code).toBe(code);
  return error;
}

/** A run driven by hand, one command after the other, a second apart. */
export class Driven {
  state: RunState;
  readonly events: RecordedEvent[] = [];
  nowMs = Date.UTC(2025, 2, 1, 9);

  constructor(id = 'demo') {
    this.state = emptyState(id);
  }

  /** @returns the code of a refusal, or undefined. */
  do(command: Command): ErrorCode | undefined {
    this.nowMs += 1000;
    const decided = decide(this.state, command, {
      nowMs: this.nowMs,
      sha256: (text) => createHash('sha256').update(text).digest('hex'),
      random: () => 0.5,
    });
    if (!decided.ok) return decided.refusal.code;
    for (const event of decided.events) {
      this.events.push(event);
      this.state = evolve(this.state, event);
    }
    return undefined;
  }

  claim(resume = false): ErrorCode | undefined {
    return this.do({
      type: 'claim',
      node: this.state.spec.rootId,
      claimant: { worker: 'dispatch-1', leaseId: 'lease-1-1', ttlMs: 30_000 },
      ...(resume ? { resume: { by: 'tester' } } : {}),
    });
  }

  /** Runs ready steps until none is left; those named end as failed. */
  work(failing: readonly string[] = []): void {
    for (;;) {
      const [node] = this.state.ready.keys();
      if (node === undefined || this.state.standing.phase !== 'running') break;
      const epoch = this.state.nodes.get(this.state.spec.rootId)?.epoch ?? 0;
      if (this.do({ type: 'start', node, epoch }) !== undefined) break;
      const attempt = this.state.nodes.get(node)?.attempt ?? 0;
      const outcome = failing.includes(node) ? 'failed' : 'succeeded';
      this.do({ type: 'finish', node, attempt, epoch, outcome, usage: {} });
    }
    const root = this.state.nodes.get(this.state.spec.rootId);
    if (root?.lease === undefined) return;
    this.do({
      type: 'release',
      node: root.spec.id,
      epoch: root.epoch,
      cause: 'released',
      seenMs: this.nowMs,
    });
  }
}
