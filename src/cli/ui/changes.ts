/** What changed from one view of a job to the next. The first view gives all that has happened so far. Pure. */
import type { Status } from '../../doors/jobs/map.ts';
import type { JobView, StepView } from '../../doors/jobs/view.ts';
import { stepState } from './job.ts';
import { duration } from './time.ts';

export interface Change {
  readonly atMs: number;
  readonly kind: 'status' | 'step' | 'checkpoint' | 'approval';
  readonly id: string;
  readonly summary: string;
  /** Of the job, as the view has it. */
  readonly status: Status;
}

export class ChangeLog {
  readonly #steps = new Map<string, string>();
  readonly #approved = new Set<string>();
  #checkpoints = 0;
  #status: Status | undefined;

  /** Oldest first. */
  next(view: JobView): readonly Change[] {
    const { jobId, status, updatedAtMs, checkpoints } = view;
    const changes: Change[] = view.steps.flatMap((step) => this.#stepChange(step, view));
    for (const { id, type, summary, atMs } of checkpoints.slice(this.#checkpoints)) {
      changes.push({ atMs, kind: 'checkpoint', id, summary: `${type}: ${summary}`, status });
    }
    this.#checkpoints = checkpoints.length;
    for (const { id, approvedBy } of checkpoints) {
      if (approvedBy === undefined || this.#approved.has(id)) continue;
      this.#approved.add(id);
      changes.push({ atMs: updatedAtMs, kind: 'approval', id, summary: `by ${approvedBy}`, status });
    }
    if (this.#status !== status)
      changes.push({ atMs: updatedAtMs, kind: 'status', id: jobId, summary: status, status });
    this.#status = status;
    return changes.toSorted((a, b) => a.atMs - b.atMs);
  }

  #stepChange(step: StepView, { status, updatedAtMs }: JobView): Change[] {
    const { nodeId, attempts, startedAtMs, endedAtMs, exitCode, awaitsApproval, name } = step;
    const before = this.#steps.get(nodeId);
    const { text } = stepState(step);
    if (text === 'queued' || text === 'waiting') return [];
    const now = `${text} ${attempts}`;
    if (before === now) return [];
    this.#steps.set(nodeId, now);
    const isRunning = text === 'running';
    const took =
      startedAtMs === undefined || endedAtMs === undefined || isRunning
        ? ''
        : ` in ${duration(endedAtMs - startedAtMs)}`;
    const exit = exitCode === undefined || exitCode === 0 || isRunning ? '' : ` (exit ${exitCode})`;
    const attempt = attempts > 1 ? `, try ${attempts}` : '';
    const wasDecided = before?.startsWith('awaits') === true && !awaitsApproval;
    const atMs = isRunning ? startedAtMs : wasDecided ? updatedAtMs : endedAtMs;
    return [
      {
        atMs: atMs ?? updatedAtMs,
        kind: 'step',
        id: nodeId,
        summary: `${name} ${text}${took}${exit}${attempt}`,
        status,
      },
    ];
  }
}
