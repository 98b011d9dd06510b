/**
 * Runs one shell command to its end for acceptance (contract wrkr §g): with a time limit, with a bounded memory of what
 * it prints, and without leaving a process behind.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redactor } from '../../policy/redaction/redactor.ts';
import { OUTPUT_BYTES_MAX, type CommandOutcome } from '../../evidence/accept/checks.ts';
import { environmentFor } from '../../executors/process/input.ts';
import {
  identify,
  killRest,
  MARKER,
  terminate,
  type CommandTrace,
} from '../../executors/process/processes.ts';

/** From TERM to KILL, milliseconds. */
const GRACE_MS = 5000;
/** How long to wait for the end of an output that a process of somebody else may hold open, milliseconds. */
const DRAIN_MS = 1000;

/**
 * Both streams go into one pipe, so that what is kept is in the order in which it was printed. Descriptor 3 ends when this
 * process does, however it dies: then the command's group is killed, and runs on for nobody.
 */
const UNDER_WATCH = '(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; exec sh -lc "$0" 2>&1';

export interface ShellCommand {
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  /** Ends the command; its outcome is then that of the end. */
  readonly signal?: AbortSignal;
}

export async function runShellCommand(options: ShellCommand): Promise<CommandOutcome> {
  const { command, cwd, env, timeoutMs, signal } = options;
  const mark = `accept:${randomUUID()}`;
  const child = spawn('sh', ['-c', UNDER_WATCH, command], {
    cwd,
    env: { ...environmentFor(undefined, env), [MARKER]: mark },
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    detached: true,
  });
  const [, stdout, , alive] = child.stdio;
  alive?.on('error', () => undefined);
  const kept = new OutputHead();
  const redactor = new Redactor(); // what it prints is kept in the result (I9)
  stdout?.on('data', (chunk: Buffer) => kept.add(redactor.push(chunk)));
  const drained = stdout === null ? undefined : once(stdout, 'close').catch(() => undefined);
  const failure = await once(child, 'spawn').then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
  if (failure !== undefined || child.pid === undefined)
    return { exitCode: 127, timedOut: false, output: failure ?? '', isCut: false };

  const leader = identify(child.pid);
  const trace: CommandTrace = { mark, askedBy: 'parent', ...(leader === undefined ? {} : { leader }) };
  const exited = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit');
  const clock = new AbortController();
  const limits = [AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])];
  const stop = AbortSignal.any(limits);
  const stopped = new Promise<'stopped'>((resolve) => {
    if (stop.aborted) resolve('stopped');
    else stop.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
  let timedOut = false;
  if ((await Promise.race([exited, stopped])) === 'stopped') {
    timedOut = signal?.aborted !== true;
    if (leader !== undefined) terminate({ ...trace, leader });
    await Promise.race([exited, delay(GRACE_MS, undefined, { signal: clock.signal }).catch(() => undefined)]);
  }
  // What it left running goes too, also when it ended well: a result must not depend on what runs on.
  await killRest(trace);
  await exited;
  await Promise.race([drained, delay(DRAIN_MS, undefined, { signal: clock.signal }).catch(() => undefined)]);
  clock.abort();
  kept.add(redactor.end());
  stdout?.destroy();
  alive?.destroy();
  return { exitCode: exitCodeOf(child), timedOut, ...kept.text() };
}

function exitCodeOf({
  exitCode,
  signalCode,
}: {
  exitCode: number | null;
  signalCode: NodeJS.Signals | null;
}): number {
  return exitCode ?? 128 + (signalCode === null ? 0 : constants.signals[signalCode]);
}

/** The beginning of an output, after the blanks it begins with; of the rest only whether there is any. */
class OutputHead {
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #isCut = false;

  add(chunk: Buffer): void {
    const from = this.#size === 0 ? blanksIn(chunk) : 0;
    const taken = chunk.subarray(from, from + KEPT_BYTES - this.#size);
    if (taken.length > 0) this.#chunks.push(Buffer.from(taken));
    this.#size += taken.length;
    const rest = chunk.subarray(from + taken.length);
    this.#isCut ||= blanksIn(rest) < rest.length;
  }

  text(): Pick<CommandOutcome, 'output' | 'isCut'> {
    return { output: Buffer.concat(this.#chunks).toString(), isCut: this.#isCut };
  }
}

/** More than what is shown, so that the last character of that is whole. */
const KEPT_BYTES = OUTPUT_BYTES_MAX + 8;

/** How many blanks the bytes begin with. */
function blanksIn(bytes: Buffer): number {
  const at = bytes.findIndex((byte) => byte !== 0x20 && (byte < 0x09 || byte > 0x0d));
  return at < 0 ? bytes.length : at;
}
