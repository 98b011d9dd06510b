/**
 * Follows a job until it is over or held: redrawn in place on a terminal, otherwise a line for each change. The terminal
 * is left as it was found, however this ends.
 */
import type { Jobs } from '../../doors/jobs/jobs.ts';
import { formatTime } from '../../doors/jobs/time.ts';
import { JobViewer, type JobView } from '../../doors/jobs/view.ts';
import type { CliContext } from '../command.ts';
import { ChangeLog, type Change } from './changes.ts';
import { paletteFor } from './colour.ts';
import { liveLines } from './job.ts';
import { isQuit, listenForKeys } from './keys.ts';
import { callOf, nextCommands } from './next.ts';
import { FRAMES } from './progress.ts';
import { isLive, LiveBlock } from './screen.ts';
import { lookOf, statusLines } from './status.ts';
import { paint, styled, type Line } from './text.ts';

/** Where a followed job comes from. */
export interface WatchSource {
  refresh(): Promise<JobView>;
  /** Calls back when the job may have changed. Returns how to stop. */
  subscribe(listener: () => void): () => void;
  nowMs(): number;
}

/** What a follower does with a view; `tick` is called in between, when nothing but time has passed. */
interface Reader {
  show(view: JobView): void;
  tick(): void;
  /** The last words. @param isOver the job stopped by itself; otherwise the person went away. */
  end(view: JobView, isOver: boolean): void;
  close(): void;
}

/** The job is read at least this often, and not more often than that, milliseconds. */
const REFRESH_MS = 1000;
const REFRESH_LEAST_MS = 100;
const TICK_MS = 200;

export async function watchJob(ctx: CliContext, jobs: Jobs, jobId: string): Promise<void> {
  const viewer = new JobViewer(jobs, jobId);
  await follow(ctx, {
    refresh: () => viewer.refresh(),
    subscribe: (listener) =>
      jobs.engine.store.subscribe((changed) => {
        if (changed === undefined || changed === jobId) listener();
      }),
    nowMs: () => jobs.engine.clock.nowMs(),
  });
}

export async function follow(ctx: CliContext, source: WatchSource): Promise<void> {
  const wake = new Wake();
  // What is thrown away nobody reads: `watch | head` ends here.
  const onClosed = (): void => wake.end();
  ctx.stdout.once('error', onClosed);
  ctx.signal.addEventListener('abort', onClosed);
  if (ctx.signal.aborted) wake.end();
  const unsubscribe = source.subscribe(() => wake.change());
  let reader: Reader | undefined;
  try {
    let view = await source.refresh();
    reader = readerFor(ctx, source, wake, view);
    for (;;) {
      reader.show(view);
      if (isStill(view) || wake.isEnded) break;
      const readAtMs = performance.now();
      const isDue = (): boolean => {
        const passedMs = performance.now() - readAtMs;
        return passedMs >= (wake.isChanged ? REFRESH_LEAST_MS : REFRESH_MS);
      };
      while (!isDue() && !wake.isEnded) {
        await wake.wait(wake.isChanged ? REFRESH_LEAST_MS : TICK_MS);
        reader.tick();
      }
      if (wake.isEnded) break;
      wake.isChanged = false;
      view = await source.refresh();
    }
    reader.close();
    reader.end(view, isStill(view));
  } finally {
    unsubscribe();
    ctx.signal.removeEventListener('abort', onClosed);
    ctx.stdout.off('error', onClosed);
    reader?.close();
  }
}

/** It will not change before someone acts. */
function isStill({ status }: JobView): boolean {
  return status !== 'running' && status !== 'queued';
}

function readerFor(ctx: CliContext, source: WatchSource, wake: Wake, view: JobView): Reader {
  if (ctx.json) return new JsonReader(ctx);
  if (!isLive(ctx.stdout, ctx)) return new TextReader(ctx, source);
  return isStill(view) ? new StillReader(ctx, source) : new LiveReader(ctx, source, wake);
}

/** Waits that a change or the end cut short. */
class Wake {
  isChanged = false;
  isEnded = false;
  #woken: () => void = () => undefined;

  /** Wakes at the first of several changes only: a busy job is not redrawn at every event. */
  change(): void {
    if (this.isChanged) return;
    this.isChanged = true;
    this.#woken();
  }

  end(): void {
    this.isEnded = true;
    this.#woken();
  }

  /** Keeps the process alive: this is what it does. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#woken = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

class JsonReader implements Reader {
  readonly #log = new ChangeLog();
  readonly #ctx: CliContext;

  constructor(ctx: CliContext) {
    this.#ctx = ctx;
  }
  show(view: JobView): void {
    const lines = this.#log.next(view).map((change) => `${JSON.stringify(jsonOf(change))}\n`);
    if (lines.length > 0) this.#ctx.stdout.write(lines.join(''));
  }
  tick(): void {}
  end(): void {}
  close(): void {}
}

function jsonOf({ atMs, kind, id, summary, status }: Change): object {
  return { at: formatTime(atMs), kind, id, summary, status };
}

class TextReader implements Reader {
  readonly #log = new ChangeLog();
  readonly #ctx: CliContext;
  readonly #source: WatchSource;

  constructor(ctx: CliContext, source: WatchSource) {
    this.#ctx = ctx;
    this.#source = source;
  }
  show(view: JobView): void {
    this.#print(
      this.#log.next(view).map(({ atMs, kind, id, summary }) => ({
        atMs,
        kind,
        text: kind === 'step' ? summary : `${id} ${summary}`,
      })),
    );
  }
  tick(): void {}
  end(view: JobView, isOver: boolean): void {
    if (!isOver) return;
    const nowMs = this.#source.nowMs();
    const commands = nextCommands(view, callOf(this.#ctx), nowMs, false);
    this.#print(commands.map(({ text }) => ({ atMs: nowMs, kind: 'next', text })));
  }
  close(): void {}

  #print(changes: readonly { readonly atMs: number; readonly kind: string; readonly text: string }[]): void {
    const palette = paletteFor(this.#ctx.stdout, this.#ctx.env);
    const lines = changes.map(
      ({ atMs, kind, text }): Line => [styled(formatTime(atMs), 'dim'), ` ${kind} ${text}`],
    );
    if (lines.length > 0)
      this.#ctx.stdout.write(lines.map((line) => `${paint(line, Infinity, palette)}\n`).join(''));
  }
}

/** A job that does not move is shown once. */
class StillReader implements Reader {
  readonly #ctx: CliContext;
  readonly #source: WatchSource;

  constructor(ctx: CliContext, source: WatchSource) {
    this.#ctx = ctx;
    this.#source = source;
  }
  show(_view: JobView): void {}
  tick(): void {}
  close(): void {}
  end(view: JobView): void {
    this.#ctx.stdout.write(
      statusLines(this.#ctx, view, this.#source.nowMs())
        .map((line) => `${line}\n`)
        .join(''),
    );
  }
}

class LiveReader extends StillReader {
  readonly #ctx: CliContext;
  readonly #source: WatchSource;
  readonly #block: LiveBlock;
  readonly #unlisten: () => void;
  #view: JobView | undefined;
  #frame = 0;

  constructor(ctx: CliContext, source: WatchSource, wake: Wake) {
    super(ctx, source);
    this.#ctx = ctx;
    this.#source = source;
    this.#unlisten = listenForKeys((key) => {
      if (isQuit(key)) wake.end();
    });
    this.#block = new LiveBlock(ctx.stdout, ctx.env);
    ctx.stdout.on('resize', this.#redraw);
  }

  override show(view: JobView): void {
    this.#view = view;
    this.#redraw();
  }

  override tick(): void {
    this.#frame = (this.#frame + 1) % FRAMES.length;
    this.#redraw();
  }

  override close(): void {
    this.#ctx.stdout.off('resize', this.#redraw);
    this.#block.close();
    this.#unlisten();
  }

  readonly #redraw = (): void => {
    if (this.#view === undefined) return;
    const { width, rows } = this.#block.size;
    const look = {
      ...lookOf(this.#ctx, this.#view, this.#source.nowMs()),
      width,
      spinner: FRAMES[this.#frame] ?? '',
    };
    const help: Line[] = rows >= 6 ? [[], [styled('q quits; the job goes on', 'dim')]] : [];
    this.#block.draw([...liveLines(this.#view, look, rows - help.length), ...help]);
  };
}
