/**
 * One command: spawned in a session of its own, watched over, stopped, and cleared away with all that it started. Whoever
 * runs commands does it through this: attempts of jobs in their supervisor, operational runs in the runner.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { OutputPipes } from './output-pipes.ts';
import type { CommandTrace, ProcessIdentity } from './processes.ts';
import { identify, killRest, MARKER, processesOf, signal, terminate } from './processes.ts';
import { isErrno } from './record.ts';

/** Between TERM and KILL, in milliseconds. */
const GRACE_MS = 5_000;
/** For the pipes to close after the command ended; what holds them open then is killed. */
const PIPES_MS = 250;
/** Longest delay that setTimeout accepts. */
const TIMER_MS_MAX = 2_147_483_647;

export type Ended =
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null }
  /** The command could not be started; `exitCode` as a shell would say it: 127 not found, 126 not executable. */
  | { readonly kind: 'not_run'; readonly exitCode?: number; readonly message: string };

export interface CommandOptions {
  /** Program and arguments; no shell. The program is looked up in the PATH of `env`. */
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The whole environment. It holds the mark: `env[marker]` is what every process of the command is known by. */
  readonly env: Readonly<Record<string, string>>;
  /** Name of the variable that marks; default `REEVE_ATTEMPT`. */
  readonly marker?: string;
  readonly pipes: () => Promise<OutputPipes>;
  /** As many as the pipes have streams. */
  readonly readers: readonly StreamReader[];
  readonly timeoutMs?: number;
  readonly onStart?: (leader: ProcessIdentity) => void;
}

export interface StreamReader {
  /** When data last arrived, on the monotonic clock. */
  readonly lastDataMs: number;
  /** Reads to the end, which comes also when the stream is destroyed. Never rejects. */
  readAll(stream: Readable | undefined): Promise<void>;
}

type Trace = CommandTrace & { readonly leader: ProcessIdentity };

/** @typeParam Cause why it was stopped; `timed_out` is the command's own. */
export class Command<Cause extends string> {
  readonly #self: ProcessIdentity;
  readonly #timers = new Set<NodeJS.Timeout>();
  #trace: Trace | undefined;
  #stopped: Cause | 'timed_out' | undefined;
  /** When TERM becomes KILL, on the monotonic clock. */
  #killAtMs = 0;
  #ended = false;

  constructor() {
    const self = identify(process.pid);
    if (self === undefined) throw new Error('cannot read the start time of this process');
    this.#self = self;
  }

  /** This process. */
  get self(): ProcessIdentity {
    return this.#self;
  }

  /** Why it was stopped; undefined for a command that ended by itself. */
  get stopped(): Cause | 'timed_out' | undefined {
    return this.#stopped;
  }

  /** Ends the command: TERM, after 5 s KILL. The first cause stands; a command that has ended keeps its own outcome. */
  stop(cause: Cause | 'timed_out'): void {
    if (this.#stopped !== undefined || this.#ended) return;
    this.#stopped = cause;
    const trace = this.#trace;
    if (trace === undefined) return;
    this.#killAtMs = performance.now() + GRACE_MS;
    this.#timers.add(setTimeout(() => void killRest(trace), GRACE_MS));
    terminate(trace);
  }

  /** For whoever fails itself: the command must not go on without it. */
  abandon(): void {
    if (this.#trace !== undefined && !this.#ended) signal(-this.#trace.leader.pid, 'SIGKILL');
  }

  /** Call once. @returns when nothing of the command is left and its output is read. */
  async run(options: CommandOptions): Promise<Ended> {
    const { argv, cwd, env, marker = MARKER, readers, timeoutMs } = options;
    const [program = '', ...args] = argv;
    let child: ChildProcess | undefined;
    let pipes: OutputPipes | undefined;
    let failure: Error | undefined;
    try {
      pipes = await options.pipes();
      if (this.#stopped === undefined)
        child = spawn(program, args, { cwd, env, detached: true, stdio: pipes.stdio });
    } catch (error) {
      failure = error as Error;
    }
    const exited = new Promise<Ended>((done) => {
      child?.once('exit', (code, name) => done({ kind: 'exited', code, signal: name }));
      child?.once('error', (error) => done(notRun(options, error)));
    });
    const streams = pipes?.streams(child) ?? [];
    const reading = Promise.all(readers.map((reader, at) => reader.readAll(streams[at])));
    if (child?.pid === undefined) {
      await reading;
      this.#ended = true;
      if (failure !== undefined) return notRun(options, failure);
      return child === undefined ? { kind: 'not_run', message: 'stopped before it was started' } : exited;
    }

    const leader = identify(child.pid) ?? { ...this.#self, pid: child.pid, startTime: '' };
    const trace: Trace = { mark: env[marker] ?? '', marker, leader, askedBy: 'parent' };
    this.#trace = trace;
    options.onStart?.(leader);
    if (timeoutMs !== undefined) this.#timeOutAt(performance.now() + timeoutMs);
    const ended = await exited;
    this.#ended = true;
    await this.#clearUp(trace, streams, readers, reading);
    for (const timer of this.#timers) clearTimeout(timer);
    return ended;
  }

  #timeOutAt(atMs: number): void {
    const leftMs = atMs - performance.now();
    if (leftMs <= 0) this.stop('timed_out');
    else this.#timers.add(setTimeout(() => this.#timeOutAt(atMs), Math.min(Math.ceil(leftMs), TIMER_MS_MAX)));
  }

  /** After the command's first process ended. The other processes of a stopped command keep their grace. */
  async #clearUp(
    trace: Trace,
    streams: readonly Readable[],
    readers: readonly StreamReader[],
    reading: Promise<unknown>,
  ): Promise<void> {
    const read = reading.then(() => true);
    await Promise.race([read, delay(PIPES_MS)]);
    while (performance.now() < this.#killAtMs && processesOf(trace).length > 0) await delay(50);
    await killRest(trace);
    // What is still in the pipes is read to its end; only a process that cannot be killed can hold them open now.
    const giveUpAtMs = performance.now() + 30_000;
    const quietFromMs = performance.now();
    while (!(await Promise.race([read, delay(50, false)]))) {
      const lastMs = Math.max(quietFromMs, ...readers.map((reader) => reader.lastDataMs));
      if (performance.now() - lastMs < 1_000 && performance.now() < giveUpAtMs) continue;
      for (const stream of streams) stream.destroy();
    }
  }
}

/** The code as a shell would give it: 127 not found, 126 not executable. */
function notRun({ argv, cwd }: CommandOptions, error: Error): Ended {
  if (!isDirectory(cwd))
    return { kind: 'not_run', exitCode: 127, message: `the working directory ${cwd} does not exist` };
  if (isErrno(error, 'ENOENT'))
    return { kind: 'not_run', exitCode: 127, message: `the program ${argv[0]} was not found` };
  const message = `the command ${argv[0]} could not be started: ${error.message}`;
  return isErrno(error, 'EACCES')
    ? { kind: 'not_run', exitCode: 126, message }
    : { kind: 'not_run', message };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
