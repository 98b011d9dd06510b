// Views of jobs, made by hand.
import type { JobView, StepView } from '../../../src/doors/jobs/view.ts';

/** 2026-01-02T03:04:05Z */
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

export function step(index: number, name: string, more: Partial<StepView> = {}): StepView {
  return {
    index,
    nodeId: `${index}:${name}`,
    name,
    state: 'queued',
    attempts: 0,
    awaitsApproval: false,
    ...more,
  };
}

export function done(index: number, name: string, ms = 400): StepView {
  return step(index, name, {
    state: 'succeeded',
    attempts: 1,
    startedAtMs: NOW - 60_000,
    endedAtMs: NOW - 60_000 + ms,
    lastOutcome: 'succeeded',
    exitCode: 0,
  });
}

export function running(index: number, name: string, ms = 4200, more: Partial<StepView> = {}): StepView {
  return step(index, name, { state: 'running', attempts: 1, startedAtMs: NOW - ms, ...more });
}

/** A job in the middle of its second step. */
export function jobView(more: Partial<JobView> = {}): JobView {
  return {
    jobId: 'release_42',
    name: 'nightly release',
    status: 'running',
    summary: 'data collected',
    version: 9,
    createdAtMs: NOW - 65_000,
    updatedAtMs: NOW - 4200,
    runningMs: 65_000,
    steps: [done(0, 'collect'), running(1, 'transform'), step(2, 'publish')],
    checkpoints: [
      { id: 'cp_4', type: 'plan', summary: 'collect, transform, publish', atMs: NOW - 64_000 },
      { id: 'cp_8', type: 'progress', summary: 'data collected', atMs: NOW - 5000 },
    ],
    openDecisions: [],
    budget: [
      { key: 'wallMs', used: 65_000, limit: 600_000 },
      { key: 'steps', used: 1, limit: 10 },
      { key: 'toolCalls', used: 8, limit: 10 },
      { key: 'retries', used: 0 },
      { key: 'tokens', used: 0 },
      { key: 'costMicros', used: 0 },
    ],
    reasonCodes: [],
    worker: { name: 'dispatch-0', untilMs: NOW + 21_000 },
    ...more,
  };
}
