/** What a waiting command shows on a terminal: the step, how far it is, and the limit that is nearest. */
import type { Jobs } from '../../doors/jobs/jobs.ts';
import { JobViewer, type JobView } from '../../doors/jobs/view.ts';
import type { CliContext } from '../command.ts';
import { BUDGET_NAMES, nearestLimit } from './bar.ts';
import { budgetLine, stepState, stepTime } from './job.ts';
import { isLive, LiveBlock } from './screen.ts';
import { styled, type Line } from './text.ts';
import { duration } from './time.ts';

export interface Progress {
  onChange(jobId: string): void;
  stop(): Promise<void>;
}

/** Where a progress view has its job from. */
export interface ProgressSource {
  refresh(jobId: string): Promise<JobView>;
  nowMs(): number;
}

/** Frames of a spinner. */
export const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;

export function startProgress(ctx: CliContext, jobs: Jobs): Progress {
  let viewer: { readonly jobId: string; readonly of: JobViewer } | undefined;
  return progressOf(ctx, {
    refresh(jobId) {
      if (viewer?.jobId !== jobId) viewer = { jobId, of: new JobViewer(jobs, jobId) };
      return viewer.of.refresh();
    },
    nowMs: () => jobs.engine.clock.nowMs(),
  });
}

export function progressOf(ctx: CliContext, source: ProgressSource): Progress {
  if (!isLive(ctx.stderr, ctx)) return { onChange: () => undefined, stop: async () => undefined };
  const live = new LiveProgress(ctx, source);
  return { onChange: (jobId) => live.onChange(jobId), stop: () => live.stop() };
}

class LiveProgress {
  readonly #source: ProgressSource;
  readonly #signal: AbortSignal;
  readonly #stderr: NodeJS.WriteStream;
  readonly #block: LiveBlock;
  readonly #timer: NodeJS.Timeout;
  #changed: string | undefined;
  #seen: { readonly view: JobView; readonly atMs: number } | undefined;
  #reading: Promise<void> | undefined;
  #frame = 0;

  constructor(ctx: CliContext, source: ProgressSource) {
    this.#source = source;
    this.#signal = ctx.signal;
    this.#stderr = ctx.stderr;
    this.#block = new LiveBlock(ctx.stderr, ctx.env);
    this.#timer = setInterval(() => this.#tick(), FRAME_MS);
    this.#timer.unref();
    this.#signal.addEventListener('abort', this.#onAbort);
  }

  onChange(jobId: string): void {
    this.#changed = jobId;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#block.close();
    await this.#reading;
  }

  /** A second signal ends the process at once: from now on nothing has to be put back. */
  readonly #onAbort = (): void => {
    clearInterval(this.#timer);
    this.#block.close();
    this.#stderr.write('stopping…\n');
  };

  #tick(): void {
    if (this.#changed !== undefined && this.#reading === undefined) {
      const jobId = this.#changed;
      this.#changed = undefined;
      this.#reading = this.#read(jobId).finally(() => {
        this.#reading = undefined;
      });
    }
    if (this.#seen === undefined) return;
    const { view, atMs } = this.#seen;
    const nowMs = this.#source.nowMs();
    this.#frame = (this.#frame + 1) % FRAMES.length;
    this.#block.draw(
      progressLines(advanced(view, nowMs - atMs), {
        nowMs,
        spinner: FRAMES[this.#frame] ?? '',
        width: this.#block.size.width,
      }),
    );
  }

  /** A view that cannot be read is left out: the job goes on, and says itself what is wrong. */
  async #read(jobId: string): Promise<void> {
    try {
      this.#seen = { view: await this.#source.refresh(jobId), atMs: this.#source.nowMs() };
    } catch {
      this.#changed ??= jobId;
    }
  }
}

/** The view some time later, when nothing but time has passed. */
function advanced(view: JobView, ms: number): JobView {
  if (view.status !== 'running' || ms <= 0) return view;
  return {
    ...view,
    runningMs: view.runningMs + ms,
    budget: view.budget.map((each) => (each.key === 'wallMs' ? { ...each, used: each.used + ms } : each)),
  };
}

export function progressLines(
  view: JobView,
  { nowMs, spinner, width }: { readonly nowMs: number; readonly spinner: string; readonly width: number },
): Line[] {
  const { steps, status, runningMs, budget } = view;
  const running = steps.filter((step) => stepState(step).text === 'running');
  const [step] = running;
  const done = steps.filter(({ state }) => state === 'succeeded').length;
  const doing: Line =
    step === undefined
      ? [status]
      : [
          styled(step.name, 'bold'),
          running.length > 1 ? ` and ${running.length - 1} more` : '',
          step.attempts > 1 ? styled(` try ${step.attempts}`, 'yellow') : '',
          `  ${stepTime(step, nowMs) ?? ''}`,
        ];
  const nearest = nearestLimit(budget);
  return [
    [
      styled(spinner, 'cyan'),
      ' ',
      ...doing,
      styled(`  ${done}/${steps.length} steps · ${duration(runningMs)}`, 'dim'),
    ],
    ...(nearest === undefined ? [] : [budgetLine(nearest, BUDGET_NAMES[nearest.key].length, width)]),
  ];
}
