/**
 * One attempt, inside the supervisor: claim, spawn, watch over, stop, clear up, record.
 *
 *   claiming → refused                       somebody else decides over the key; nothing is started
 *            → running → (stopping →) ended → recorded
 *
 * 1. The claim is durable before the command is spawned (I5).
 * 2. `exit.json` is written only after nothing of the command is left alive.
 * 3. A command that ended by itself keeps its own outcome: a stop that comes later changes nothing.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { compilePattern } from '../../policy/redaction/pattern-redactor.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import { LiveRecord } from './live-record.ts';
import type { Ended, StopCause } from './outcome.ts';
import { judge } from './outcome.ts';
import type { OutputPipeSupply, OutputPipes } from './output-pipes.ts';
import { TAIL_BYTES } from './output.ts';
import type { CommandTrace, ProcessIdentity } from './processes.ts';
import {
  EFFECT_KEY_VARIABLE,
  identify,
  killRest,
  MARKER,
  markOf,
  processesOf,
  signal,
  terminate,
} from './processes.ts';
import type { Assignment, FromSupervisor } from './protocol.ts';
import type { Exit } from './record.ts';
import { isErrno, RECORD_FILES, readRecordBytes, takeClaim, writeRecordFile } from './record.ts';
import { StreamKeeper } from './stream-keeper.ts';
import { greaterUsage, readUsageFile, usageFileVersion } from './usage-report.ts';
import type { UsageReport } from './usage-source.ts';
import type { UsageWatch } from './usage-watch.ts';

/** Between TERM and KILL, in milliseconds. */
const GRACE_MS = 5_000;
/** For the pipes to close after the command ended; what holds them open then is killed. */
const PIPES_MS = 250;
/** Longest delay that setTimeout accepts. */
const TIMER_MS_MAX = 2_147_483_647;

type Trace = CommandTrace & { readonly leader: ProcessIdentity };

export class Attempt {
  readonly #work: Assignment;
  readonly #tell: (message: FromSupervisor) => void;
  readonly #pipes: OutputPipeSupply;
  readonly #supervisor: ProcessIdentity;
  readonly #stdout: StreamKeeper;
  readonly #stderr: StreamKeeper;
  readonly #redact: readonly RegExp[];
  readonly #timers = new Set<NodeJS.Timeout>();
  #watch: UsageWatch | undefined;
  #live: LiveRecord | undefined;
  #trace: Trace | undefined;
  #stopped: StopCause | undefined;
  /** When TERM becomes KILL, on the monotonic clock. */
  #killAtMs = 0;
  #ended = false;

  constructor(work: Assignment, pipes: OutputPipeSupply, tell: (message: FromSupervisor) => void) {
    const supervisor = identify(process.pid);
    if (supervisor === undefined) throw new Error('cannot read the start time of this process');
    this.#supervisor = supervisor;
    this.#work = work;
    this.#pipes = pipes;
    this.#tell = tell;
    this.#redact = (work.input.redact ?? []).map(compilePattern);
    this.#stdout = new StreamKeeper(this.#redact);
    this.#stderr = new StreamKeeper(this.#redact);
  }

  /** @returns once the attempt is refused or recorded. Rejects if the record cannot be written. */
  async run(): Promise<void> {
    const claim = { by: 'supervisor', atMs: Date.now(), supervisor: this.#supervisor } as const;
    try {
      await this.#watchUsage();
      if (!(await takeClaim(this.#work.record, claim))) {
        this.#tell({ type: 'refused' });
        return;
      }
    } catch (error) {
      this.#tell({ type: 'refused', message: (error as Error).message });
      return;
    }
    this.#tell({ type: 'claimed', atMs: claim.atMs });
    await this.#save(await this.#execute());
    this.#tell({ type: 'settled' });
  }

  /** Ends the command: TERM, after 5 s KILL. The first cause stands. */
  stop(cause: StopCause): void {
    if (this.#stopped !== undefined || this.#ended) return;
    this.#stopped = cause;
    const trace = this.#trace;
    if (trace === undefined) return;
    this.#killAtMs = performance.now() + GRACE_MS;
    this.#timers.add(setTimeout(() => void killRest(trace), GRACE_MS));
    terminate(trace);
  }

  /** For a stranger's signal: the reason stands in the record. */
  async stopAsRecorded(): Promise<void> {
    const reason = (await readRecordBytes(this.#work.record, RECORD_FILES.cancel))?.toString();
    if (reason === 'canceled' || reason === 'over_budget') this.stop(reason);
  }

  /** The supervisor itself fails: its command must not go on without it. */
  abandon(): void {
    if (this.#trace !== undefined && !this.#ended) signal(-this.#trace.leader.pid, 'SIGKILL');
  }

  /** Loaded only when asked for: reading price tables would slow down the start of every supervisor. */
  async #watchUsage(): Promise<void> {
    const { allowance, input } = this.#work;
    if (input.usageSource === undefined) return;
    const { UsageWatch: Watch } = await import('./usage-watch.ts');
    const onUsage = (usage: UsageWatch['usage']): void => {
      this.#tell({ type: 'usage', usage });
      this.#live?.usage(usage);
    };
    this.#watch = new Watch(input.usageSource, allowance ?? {}, onUsage, (cause) => this.stop(cause));
    this.#stdout.lines = this.#watch.lines;
  }

  async #execute(): Promise<Exit> {
    const { input } = this.#work;
    const startedAtMs = Date.now();
    const from = performance.now();
    const usagePath = input.usageFile === undefined ? undefined : resolve(input.cwd, input.usageFile);
    const usageBefore = usagePath === undefined ? undefined : await usageFileVersion(usagePath);
    const ended = await this.#command(startedAtMs);
    this.#ended = true;
    // The wall clock may be set while the command runs; its duration may not.
    const finishedAtMs = startedAtMs + Math.round(performance.now() - from);

    const file =
      usagePath === undefined ? { kind: 'none' as const } : await readUsageFile(usagePath, usageBefore);
    const report = this.#watch?.report();
    const { outcome, error } = judge(ended, this.#stopped, report, file);
    const captureError = this.#stdout.logError ?? this.#stderr.logError;
    const exitCode = ended.kind === 'not_run' ? ended.exitCode : (ended.code ?? undefined);
    return {
      outcome,
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(ended.kind === 'not_run' || ended.signal === null ? {} : { signal: ended.signal }),
      ...(error === undefined
        ? {}
        : { error: { ...error, message: redactText(error.message, this.#redact) } }),
      startedAtMs,
      finishedAtMs,
      usage: greaterUsage(this.#watch?.usage ?? {}, file.kind === 'usage' ? file.usage : {}),
      stdoutBytes: this.#stdout.bytes,
      stderrBytes: this.#stderr.bytes,
      truncated: this.#stdout.tail.totalBytes > TAIL_BYTES || this.#stderr.tail.totalBytes > TAIL_BYTES,
      skippedLines: this.#watch?.lines.skipped ?? 0,
      ...agentOf(report),
      ...(captureError === undefined ? {} : { captureError }),
    };
  }

  /** Runs the command until nothing of it is left. */
  async #command(startedAtMs: number): Promise<Ended> {
    const { input, environment, effectKey, timeoutMs, record } = this.#work;
    const [program = '', ...args] = input.argv;
    let child: ChildProcess | undefined;
    let pipes: OutputPipes | undefined;
    let failure: Error | undefined;
    try {
      if (input.capture === 'full' && input.captureDir !== undefined) {
        await this.#stdout.openLog(input.captureDir, 'stdout');
        await this.#stderr.openLog(input.captureDir, 'stderr');
      }
      pipes = await this.#pipes.take();
      const env = { ...environment, [EFFECT_KEY_VARIABLE]: effectKey, [MARKER]: markOf(record) };
      if (this.#stopped === undefined) {
        child = spawn(program, args, { cwd: input.cwd, env, detached: true, stdio: pipes.stdio });
      }
    } catch (error) {
      failure = error as Error;
    }
    const exited = new Promise<Ended>((done) => {
      child?.once('exit', (code, name) => done({ kind: 'exited', code, signal: name }));
      child?.once('error', (error) => done(notRun(this.#work, error)));
    });
    const streams = pipes?.streams(child) ?? [];
    const reading = Promise.all([this.#stdout.readAll(streams[0]), this.#stderr.readAll(streams[1])]);
    if (child?.pid === undefined) {
      await reading;
      if (failure !== undefined) return notRun(this.#work, failure);
      return child === undefined ? { kind: 'not_run', message: 'stopped before it was started' } : exited;
    }

    const leader = identify(child.pid) ?? { ...this.#supervisor, pid: child.pid, startTime: '' };
    const trace: Trace = { mark: markOf(record), leader, askedBy: 'parent' };
    this.#trace = trace;
    this.#live = new LiveRecord(record, this.#stdout, this.#stderr);
    this.#live.started({ startedAtMs, leader });
    if (timeoutMs !== undefined) this.#timeOutAt(performance.now() + timeoutMs);
    const ended = await exited;
    this.#ended = true;
    await this.#clearUp(trace, streams, reading);
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#live.close();
    return ended;
  }

  #timeOutAt(atMs: number): void {
    const leftMs = atMs - performance.now();
    if (leftMs <= 0) this.stop('timed_out');
    else this.#timers.add(setTimeout(() => this.#timeOutAt(atMs), Math.min(Math.ceil(leftMs), TIMER_MS_MAX)));
  }

  /** After the command's first process ended. The other processes of a stopped command keep their grace. */
  async #clearUp(trace: Trace, streams: readonly Readable[], reading: Promise<unknown>): Promise<void> {
    const read = reading.then(() => true);
    await Promise.race([read, delay(PIPES_MS)]);
    while (performance.now() < this.#killAtMs && processesOf(trace).length > 0) await delay(50);
    await killRest(trace);
    // What is still in the pipes is read to its end; only a process that cannot be killed can hold them open now.
    const giveUpAtMs = performance.now() + 30_000;
    const quietFromMs = performance.now();
    while (!(await Promise.race([read, delay(50, false)]))) {
      const quietMs =
        performance.now() - Math.max(quietFromMs, this.#stdout.lastDataMs, this.#stderr.lastDataMs);
      if (quietMs < 1_000 && performance.now() < giveUpAtMs) continue;
      for (const stream of streams) stream.destroy();
    }
  }

  /** A disk may be full for a while, and the outcome exists nowhere else: tries for 10 minutes. */
  async #save(exit: Exit): Promise<void> {
    const { record } = this.#work;
    for (let left = 600; ; left -= 1) {
      try {
        if (this.#stdout.bytes > 0)
          await writeRecordFile(record, RECORD_FILES.stdout, this.#stdout.tail.bytes(), 'synced');
        if (this.#stderr.bytes > 0)
          await writeRecordFile(record, RECORD_FILES.stderr, this.#stderr.tail.bytes(), 'synced');
        await writeRecordFile(record, RECORD_FILES.exit, JSON.stringify(exit), 'durable');
        return;
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return; // the record was removed: nobody asks any more
        if (left === 0) throw error;
        await delay(1_000);
      }
    }
  }
}

/** The code as a shell would give it: 127 not found, 126 not executable. */
function notRun(work: Assignment, error: Error): Ended {
  const { argv, cwd } = work.input;
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

function agentOf(report: UsageReport | undefined): { model?: string; sessionId?: string } {
  return {
    ...(report?.model === undefined ? {} : { model: report.model }),
    ...(report?.sessionId === undefined ? {} : { sessionId: report.sessionId }),
  };
}
