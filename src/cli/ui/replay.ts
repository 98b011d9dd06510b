/** Plays a pack's story in the view of `watch`: by itself, in compressed time, or a key at a time. */
import { JobReplay, type ReplayStep } from '../../doors/jobs/replay.ts';
import { formatTime } from '../../doors/jobs/time.ts';
import type { PackEvent, PackReplay } from '../../evidence/replay.ts';
import type { CliContext } from '../command.ts';
import { liveLines } from './job.ts';
import { isQuit, listenForKeys } from './keys.ts';
import { FRAMES } from './progress.ts';
import { LiveBlock } from './screen.ts';
import { pastLines, pastLook } from './status.ts';
import { styled, type Line } from './text.ts';

export interface Pace {
  /** Recorded time that passes in one second, seconds. */
  readonly speed: number;
  /** The longest wait between two events, milliseconds. */
  readonly maxPauseMs: number;
  /** Events come when a key is pressed. */
  readonly isStepped: boolean;
}

const TICK_MS = 100;
const NEXT = new Set([' ', '\r', 'n', '\u001b[C', '\u001bOC']);
const BACK = new Set(['b', 'p', '\u007f', '\u001b[D', '\u001bOD']);

/** Events of a pack that can be gone through in both directions. The state before an event is folded anew. */
class Tape {
  readonly #pack: PackReplay;
  readonly #events: readonly PackEvent[];
  #replay: JobReplay;
  #step: ReplayStep | undefined;

  constructor(pack: PackReplay, events: readonly PackEvent[]) {
    this.#pack = pack;
    this.#events = events;
    this.#replay = new JobReplay(pack);
    this.next();
  }

  get length(): number {
    return this.#events.length;
  }
  /** What the last event did. */
  get step(): ReplayStep | undefined {
    return this.#step;
  }
  get replay(): JobReplay {
    return this.#replay;
  }
  /** Milliseconds of recorded time to the next event; undefined at the end. */
  get gapMs(): number | undefined {
    const next = this.#events[this.#replay.version];
    return next === undefined ? undefined : Math.max(0, next.atMs - this.#replay.atMs);
  }

  next(): boolean {
    const event = this.#events[this.#replay.version];
    if (event === undefined) return false;
    this.#step = this.#replay.add(event);
    return true;
  }

  back(): boolean {
    const version = this.#replay.version - 1;
    if (version < 1) return false;
    this.#replay = new JobReplay(this.#pack);
    for (const event of this.#events.slice(0, version)) this.#step = this.#replay.add(event);
    return true;
  }
}

/** How long to wait for an event, milliseconds. @param gapMs how long it took. */
function pauseMs(gapMs: number, { speed, maxPauseMs }: Pace): number {
  return Math.min(gapMs / speed, maxPauseMs);
}

export async function playPack(ctx: CliContext, pack: PackReplay, pace: Pace): Promise<void> {
  const events: PackEvent[] = [];
  for await (const event of pack.events()) events.push(event);
  const tape = new Tape(pack, events);
  const player = new Player(ctx, tape, pace);
  try {
    await player.play();
  } finally {
    player.close();
  }
  const nowMs = tape.replay.atMs;
  ctx.stdout.write(
    pastLines(ctx, tape.replay.view(nowMs), nowMs)
      .map((line) => `${line}\n`)
      .join(''),
  );
}

class Player {
  readonly #ctx: CliContext;
  readonly #tape: Tape;
  readonly #pace: Pace;
  readonly #block: LiveBlock;
  readonly #unlisten: () => void;
  #frame = 0;
  #isEnded = false;
  #wake: () => void = () => undefined;

  constructor(ctx: CliContext, tape: Tape, pace: Pace) {
    this.#ctx = ctx;
    this.#tape = tape;
    this.#pace = pace;
    this.#unlisten = listenForKeys((key) => this.#onKey(key));
    this.#block = new LiveBlock(ctx.stdout, ctx.env);
    ctx.stdout.on('resize', this.#redraw);
    ctx.stdout.once('error', this.#end);
    ctx.signal.addEventListener('abort', this.#end);
    if (ctx.signal.aborted) this.#isEnded = true;
  }

  async play(): Promise<void> {
    this.#redraw();
    while (!this.#isEnded) {
      if (this.#pace.isStepped) {
        await this.#wait(undefined);
        this.#redraw();
        continue;
      }
      const gapMs = this.#tape.gapMs;
      if (gapMs === undefined) break;
      await this.#pass(gapMs);
      if (!this.#isEnded) this.#tape.next();
      this.#redraw();
    }
  }

  close(): void {
    const { stdout, signal } = this.#ctx;
    stdout.off('resize', this.#redraw);
    stdout.off('error', this.#end);
    signal.removeEventListener('abort', this.#end);
    this.#block.close();
    this.#unlisten();
  }

  readonly #end = (): void => {
    this.#isEnded = true;
    this.#wake();
  };

  #onKey(key: string): void {
    if (isQuit(key)) return this.#end();
    if (!this.#pace.isStepped) return;
    if (NEXT.has(key)) this.#tape.next();
    else if (BACK.has(key)) this.#tape.back();
    else return;
    this.#wake();
  }

  /** Lets the recorded time go by, faster than it did. */
  async #pass(gapMs: number): Promise<void> {
    const wholeMs = pauseMs(gapMs, this.#pace);
    const beganMs = performance.now();
    for (let passedMs = 0; passedMs < wholeMs && !this.#isEnded; passedMs = performance.now() - beganMs) {
      this.#draw(Math.floor((gapMs * passedMs) / wholeMs));
      await this.#wait(Math.min(TICK_MS, wholeMs - passedMs));
    }
  }

  #wait(ms: number | undefined): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms ?? 2 ** 30);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  readonly #redraw = (): void => this.#draw(0);

  /** @param sinceMs recorded time since the last event. */
  #draw(sinceMs: number): void {
    const { replay, step, length } = this.#tape;
    if (step === undefined) return;
    const nowMs = replay.atMs + sinceMs;
    const { width, rows } = this.#block.size;
    this.#frame = (this.#frame + 1) % FRAMES.length;
    const look = { ...pastLook(this.#ctx, nowMs), width, spinner: FRAMES[this.#frame] ?? '' };
    const keys = this.#pace.isStepped ? 'space or → next, ← back, q quits' : 'q quits';
    const below: Line[] = [
      [],
      [styled(`evt_${step.seq} of ${length}  ${formatTime(nowMs)}  `, 'dim'), step.summary],
      [styled(keys, 'dim')],
    ];
    const help = rows >= 6 ? below : [];
    this.#block.draw([...liveLines(replay.view(nowMs), look, rows - help.length), ...help]);
  }
}
