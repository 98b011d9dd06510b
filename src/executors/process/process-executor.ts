/**
 * Runs a node's command as a local process that survives the engine (DESIGN §2).
 *
 * The engine talks to a supervisor process, the supervisor runs the command, and the record on disk says all that a
 * later engine must know. While this engine owns the supervisor it hears of changes over a pipe; else it reads the record.
 */
import { watch as watchDirectory } from 'node:fs';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Executor, NodeWork, RuntimeRef, RuntimeStatus } from '../../engine/executor.ts';
import type { Usage } from '../../model/usage.ts';
import { environmentFor, parseProcessInput, type ProcessInput } from './input.ts';
import { signal as sendSignal } from './processes.ts';
import type { CancelReason, FromSupervisor } from './protocol.ts';
import type { Claim } from './record.ts';
import {
  makeRecord,
  makeRecordsDir,
  RECORD_FILES,
  readRecordFile,
  recordPath,
  writeRecordFile,
} from './record.ts';
import { findStanding, settleStanding } from './standing.ts';
import type { Supervisor } from './supervisor-pool.ts';
import { SupervisorPool } from './supervisor-pool.ts';

/** How often a record without a pipe is looked at, in milliseconds, besides what the file system tells. */
const POLL_MS = 250;

export interface ProcessExecutorOptions {
  /** Made if absent. On a local disk: claims rely on hard links, their safety on fsync. */
  readonly recordsDir: string;
  readonly now?: () => number;
  /** The command's whole environment, asked for once at each submit. Default: by the input's `env` from this process. */
  readonly environment?: (work: NodeWork) => Record<string, string>;
  /** The true arguments of work whose input keeps only redacted ones (I9); undefined when they are not at hand. */
  readonly secretArguments?: (work: NodeWork) => readonly string[] | undefined;
}

/** An attempt whose supervisor is at the other end of a pipe of ours. */
interface Owned {
  readonly supervisor: Supervisor;
  readonly startedAtMs: number;
  usage: Partial<Usage>;
}

export class ProcessExecutor implements Executor {
  readonly name = 'process';
  readonly #recordsDir: string;
  readonly #now: () => number;
  readonly #environment: (work: NodeWork) => Record<string, string>;
  readonly #secretArguments: (work: NodeWork) => readonly string[] | undefined;
  readonly #pool = new SupervisorPool();
  readonly #submitting = new Map<string, Promise<void>>();
  readonly #owned = new Map<string, Owned>();
  readonly #watchers = new Map<string, Set<Wakeup>>();
  #closed = false;

  constructor(options: ProcessExecutorOptions) {
    this.#recordsDir = resolve(options.recordsDir);
    this.#now = options.now ?? Date.now;
    this.#secretArguments = options.secretArguments ?? (() => undefined);
    this.#environment =
      options.environment ?? ((work) => environmentFor(parseProcessInput(work.input).env, process.env));
  }

  /** @throws TypeError for an input that is not a ProcessInput; nothing is recorded then. */
  async submit(work: NodeWork): Promise<RuntimeRef> {
    const { effectKey } = work;
    if (this.#closed) throw new Error('the process executor is closed');
    let submitting = this.#submitting.get(effectKey);
    if (submitting === undefined) {
      submitting = this.#start(work).finally(() => this.#submitting.delete(effectKey));
      this.#submitting.set(effectKey, submitting);
    }
    await submitting;
    return { executor: this.name, effectKey };
  }

  async status(ref: RuntimeRef): Promise<RuntimeStatus> {
    const { effectKey } = ref;
    const record = recordPath(this.#recordsDir, effectKey);
    // Otherwise the question could take the claim before our own supervisor does.
    await this.#submitting.get(effectKey)?.catch(() => undefined);
    const owned = this.#owned.get(effectKey);
    if (owned !== undefined) return { phase: 'running', startedAtMs: owned.startedAtMs, usage: owned.usage };
    return settleStanding(record, this.#now());
  }

  async cancel(ref: RuntimeRef, reason: CancelReason): Promise<void> {
    const { effectKey } = ref;
    // Not yet claimed: asking makes sure that it never starts.
    if ((await this.status(ref)).phase !== 'running') return;
    const owned = this.#owned.get(effectKey);
    if (owned !== undefined) {
      owned.supervisor.send({ type: 'cancel', effectKey, reason });
      return;
    }
    const record = recordPath(this.#recordsDir, effectKey);
    const claim = await readRecordFile<Claim>(record, RECORD_FILES.claim);
    if (claim?.by !== 'supervisor') return;
    await writeRecordFile(record, RECORD_FILES.cancel, reason, 'quick');
    if ((await this.status(ref)).phase === 'running') sendSignal(claim.supervisor.pid, 'SIGUSR2');
  }

  /** Ends without a final status if `signal` aborts or the executor is closed. */
  async *watch(ref: RuntimeRef, signal: AbortSignal): AsyncGenerator<RuntimeStatus> {
    const wakeup = new Wakeup();
    const abort = (): void => wakeup.wake();
    signal.addEventListener('abort', abort, { once: true });
    const watchers = this.#watchers.get(ref.effectKey) ?? new Set();
    this.#watchers.set(ref.effectKey, watchers.add(wakeup));
    let stopLooking: (() => void) | undefined;
    try {
      for (let last = ''; !signal.aborted && !this.#closed; ) {
        const status = await this.status(ref);
        const text = JSON.stringify(status);
        if (text !== last) yield status;
        last = text;
        if (status.phase !== 'running') return;
        if (!this.#owned.has(ref.effectKey)) stopLooking ??= this.#look(ref.effectKey, wakeup);
        await wakeup.wait();
      }
    } finally {
      stopLooking?.();
      signal.removeEventListener('abort', abort);
      watchers.delete(wakeup);
      if (watchers.size === 0) this.#watchers.delete(ref.effectKey);
    }
  }

  /** @throws if the work still runs: its record is all that keeps it from being started again. */
  async forget(ref: RuntimeRef): Promise<void> {
    const { effectKey } = ref;
    const record = recordPath(this.#recordsDir, effectKey);
    const busy = this.#submitting.has(effectKey) || this.#owned.has(effectKey);
    if (busy || (await findStanding(record))?.phase === 'running') {
      throw new Error(`${effectKey} still runs and cannot be forgotten`);
    }
    await rm(record, { recursive: true, force: true });
  }

  /** Commands that run go on and are recorded; idle supervisors exit. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#submitting.values());
    this.#pool.close();
    this.#owned.clear();
    for (const key of this.#watchers.keys()) this.#wake(key);
  }

  /** @throws TypeError for a bad input, and when redacted arguments cannot be restored: they are not kept anywhere. */
  #inputOf(work: NodeWork): ProcessInput {
    const input = parseProcessInput(work.input);
    if (input.argvRedacted !== true) return input;
    const argv = this.#secretArguments(work);
    if (argv === undefined)
      throw new TypeError('its arguments were redacted and are not kept: start the command anew');
    return { ...input, argv };
  }

  async #start(work: NodeWork): Promise<void> {
    const { effectKey, timeoutMs, allowance } = work;
    const record = recordPath(this.#recordsDir, effectKey);
    const assignment = {
      effectKey,
      record,
      input: this.#inputOf(work),
      environment: this.#environment(work),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(allowance === undefined ? {} : { allowance }),
    };
    await makeRecordsDir(this.#recordsDir);
    if (!(await makeRecord(record))) return; // submitted before, by us or by an engine before us

    const supervisor = this.#pool.acquire();
    const answer = await new Promise<FromSupervisor | undefined>((done) => {
      supervisor.assign(assignment, {
        onMessage: (message) => {
          if (message.type === 'claimed')
            this.#owned.set(effectKey, { supervisor, startedAtMs: message.atMs, usage: {} });
          else this.#onMessage(effectKey, supervisor, message);
          done(message);
        },
        onGone: () => {
          this.#disown(effectKey);
          done(undefined);
        },
      });
    });
    if (answer?.type === 'claimed') return;
    const standing = await settleStanding(record, this.#now());
    if (answer?.type === 'refused' && answer.message === undefined) return; // recovery was faster
    if (standing.phase !== 'not_started') return;
    const why =
      answer?.type === 'refused' ? answer.message : 'its supervisor could not be started or was killed';
    throw new Error(`${effectKey} was not started: ${why}`);
  }

  #onMessage(effectKey: string, supervisor: Supervisor, message: FromSupervisor): void {
    if (message.type === 'usage') {
      const owned = this.#owned.get(effectKey);
      if (owned !== undefined) owned.usage = message.usage;
      this.#wake(effectKey);
      return;
    }
    this.#pool.release(supervisor);
    this.#disown(effectKey);
  }

  /** From here on the record speaks. */
  #disown(effectKey: string): void {
    this.#owned.delete(effectKey);
    this.#wake(effectKey);
  }

  #wake(effectKey: string): void {
    for (const wakeup of this.#watchers.get(effectKey) ?? []) wakeup.wake();
  }

  /** Wakes on changes of a record without a pipe. @returns what ends it. */
  #look(effectKey: string, wakeup: Wakeup): () => void {
    const timer = setInterval(() => wakeup.wake(), POLL_MS);
    try {
      const watcher = watchDirectory(recordPath(this.#recordsDir, effectKey), () => wakeup.wake());
      watcher.on('error', () => watcher.close());
      return () => {
        clearInterval(timer);
        watcher.close();
      };
    } catch {
      return () => clearInterval(timer); // out of watches: polling is enough
    }
  }
}

/** Remembers one wake-up that came before the wait. */
class Wakeup {
  #pending = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#pending = true;
    this.#resolve?.();
  }

  async wait(): Promise<void> {
    if (!this.#pending) {
      await new Promise<void>((done) => {
        this.#resolve = done;
      });
    }
    this.#pending = false;
    this.#resolve = undefined;
  }
}
