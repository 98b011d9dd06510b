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
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { compilePattern } from '../../policy/redaction/pattern-redactor.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import type { Ended } from './command.ts';
import { Command } from './command.ts';
import { LiveRecord } from './live-record.ts';
import type { StopCause } from './outcome.ts';
import { judge } from './outcome.ts';
import type { OutputPipeSupply } from './output-pipes.ts';
import { TAIL_BYTES } from './output.ts';
import { EFFECT_KEY_VARIABLE, MARKER, markOf } from './processes.ts';
import type { Assignment, FromSupervisor } from './protocol.ts';
import type { Exit } from './record.ts';
import { isErrno, RECORD_FILES, readRecordBytes, takeClaim, writeRecordFile } from './record.ts';
import { StreamKeeper } from './stream-keeper.ts';
import { greaterUsage, readUsageFile, usageFileVersion } from './usage-report.ts';
import type { UsageReport } from './usage-source.ts';
import type { UsageWatch } from './usage-watch.ts';

export class Attempt {
  readonly #work: Assignment;
  readonly #tell: (message: FromSupervisor) => void;
  readonly #pipes: OutputPipeSupply;
  readonly #command = new Command<StopCause>();
  readonly #stdout: StreamKeeper;
  readonly #stderr: StreamKeeper;
  readonly #redact: readonly RegExp[];
  #watch: UsageWatch | undefined;
  #live: LiveRecord | undefined;

  constructor(work: Assignment, pipes: OutputPipeSupply, tell: (message: FromSupervisor) => void) {
    this.#work = work;
    this.#pipes = pipes;
    this.#tell = tell;
    this.#redact = (work.input.redact ?? []).map(compilePattern);
    this.#stdout = new StreamKeeper(this.#redact);
    this.#stderr = new StreamKeeper(this.#redact);
  }

  /** @returns once the attempt is refused or recorded. Rejects if the record cannot be written. */
  async run(): Promise<void> {
    const claim = { by: 'supervisor', atMs: Date.now(), supervisor: this.#command.self } as const;
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
    this.#command.stop(cause);
  }

  /** For a stranger's signal: the reason stands in the record. */
  async stopAsRecorded(): Promise<void> {
    const reason = (await readRecordBytes(this.#work.record, RECORD_FILES.cancel))?.toString();
    if (reason === 'canceled' || reason === 'over_budget') this.stop(reason);
  }

  /** The supervisor itself fails: its command must not go on without it. */
  abandon(): void {
    this.#command.abandon();
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
    const ended = await this.#run(startedAtMs);
    // The wall clock may be set while the command runs; its duration may not.
    const finishedAtMs = startedAtMs + Math.round(performance.now() - from);

    const file =
      usagePath === undefined ? { kind: 'none' as const } : await readUsageFile(usagePath, usageBefore);
    const report = this.#watch?.report();
    const { outcome, error } = judge(ended, this.#command.stopped, report, file);
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
  async #run(startedAtMs: number): Promise<Ended> {
    const { input, environment, effectKey, timeoutMs, record } = this.#work;
    const ended = await this.#command.run({
      argv: input.argv,
      cwd: input.cwd,
      env: { ...environment, [EFFECT_KEY_VARIABLE]: effectKey, [MARKER]: markOf(record) },
      pipes: async () => {
        if (input.capture === 'full' && input.captureDir !== undefined) {
          await this.#stdout.openLog(input.captureDir, 'stdout');
          await this.#stderr.openLog(input.captureDir, 'stderr');
        }
        return this.#pipes.take();
      },
      readers: [this.#stdout, this.#stderr],
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      onStart: (leader) => {
        this.#live = new LiveRecord(record, this.#stdout, this.#stderr);
        this.#live.started({ startedAtMs, leader });
      },
    });
    await this.#live?.close();
    return ended;
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

function agentOf(report: UsageReport | undefined): { model?: string; sessionId?: string } {
  return {
    ...(report?.model === undefined ? {} : { model: report.model }),
    ...(report?.sessionId === undefined ? {} : { sessionId: report.sessionId }),
  };
}
