/** `reeve status`: how a job stands, and what to type next. */
import { isDeadWorker } from '../../doors/jobs/resume.ts';
import type { Jobs } from '../../doors/jobs/jobs.ts';
import { JobViewer, type JobView } from '../../doors/jobs/view.ts';
import type { CliContext } from '../command.ts';
import { paletteFor } from './colour.ts';
import { jobLines, type Look } from './job.ts';
import { callOf } from './next.ts';
import { widthOf } from './screen.ts';
import { paint, styleOf } from './text.ts';

export async function renderStatus(ctx: CliContext, jobs: Jobs, jobId: string): Promise<readonly string[]> {
  return statusLines(ctx, await new JobViewer(jobs, jobId).refresh(), jobs.engine.clock.nowMs());
}

/** The whole view. Lines may be longer than the terminal is wide where cutting would spoil a command. */
export function statusLines(ctx: CliContext, view: JobView, nowMs: number): string[] {
  return linesOf(ctx, view, lookOf(ctx, view, nowMs));
}

/** The same view of a moment in a pack. */
export function pastLines(ctx: CliContext, view: JobView, nowMs: number): string[] {
  return linesOf(ctx, view, pastLook(ctx, nowMs));
}

function linesOf(ctx: CliContext, view: JobView, look: Look): string[] {
  const palette = paletteFor(ctx.stdout, ctx.env);
  return jobLines(view, look).map((line) => {
    const isCommand = line.some((span) => styleOf(span) === 'command');
    return paint(line, isCommand ? Infinity : look.width, palette);
  });
}

export function lookOf(ctx: CliContext, view: JobView, nowMs: number): Look {
  return {
    call: callOf(ctx),
    nowMs,
    width: widthOf(ctx.stdout),
    workerGone: view.worker !== undefined && isDeadWorker(view.worker.name, view.worker.here),
  };
}

/** Nothing is asked of this machine: the worker was a process of another time, and maybe of another place. */
export function pastLook(ctx: CliContext, nowMs: number): Look {
  return { call: callOf(ctx), nowMs, width: widthOf(ctx.stdout), isPast: true };
}
