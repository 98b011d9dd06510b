/**
 * Commands as atomic nodes. They run under the supervisors of the process executor: in a group of their own, stopped with all
 * their children, their output redacted (I9). A command is known by its node run, attempt and arguments, on disk: an
 * executor that was killed finds it again when it is asked again, and does not run it twice (H32).
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { RuntimeRef, RuntimeStatus } from '../../../../engine/executor.ts';
import type { ProcessInput } from '../../../../executors/process/input.ts';
import { ProcessExecutor } from '../../../../executors/process/process-executor.ts';
import type { CommandConfig } from '../config/schema.ts';
import { NodeFailure, type NodeCall, type NodeOutput } from '../node.ts';
import type { SourcedNode } from '../node-table.ts';
import { filledArguments } from './template.ts';

export interface CommandNodesOptions {
  readonly commands: Readonly<Record<string, CommandConfig>>;
  /** The file that says so; relative folders start at its own. */
  readonly configFile: string;
  /** Where records and output are kept; made when first needed. */
  readonly dir: string;
  /** Largest output that is read as JSON. */
  readonly outputBytesMax: number;
}

/** How long the record of a command that ended is kept, milliseconds. */
const KEEP_MS = 86_400_000;
const SWEEP_MS = 3_600_000;
/** Of standard error, shown with a failure, characters. */
const SHOWN_CHARS = 2000;

type Finished = Extract<RuntimeStatus, { readonly phase: 'finished' }>;

export class CommandNodes {
  readonly #options: CommandNodesOptions;
  readonly #executor: ProcessExecutor;
  readonly #timer: NodeJS.Timeout;

  constructor(options: CommandNodesOptions) {
    this.#options = options;
    this.#executor = new ProcessExecutor({ recordsDir: join(options.dir, 'attempts') });
    void this.#sweep();
    this.#timer = setInterval(() => void this.#sweep(), SWEEP_MS).unref();
  }

  nodes(): readonly SourcedNode[] {
    const { commands, configFile } = this.#options;
    return Object.entries(commands).map(([id, command]) => ({
      source: configFile,
      nodeType: {
        node_type_id: id,
        version: command.version,
        kind: 'atomic',
        ...(command.description === undefined ? {} : { description: command.description }),
        input_schema: command.input_schema ?? NO_INPUTS,
        output_schema: command.output_schema ?? (command.output === 'json' ? ANY_OUTPUTS : TEXT_OUTPUTS),
        extensions: {
          'jarvis.role': 'worker',
          'jarvis.side_effect': command.side_effect,
          'jarvis.tags': ['command'],
        },
      },
      execute: (inputs, call) => this.#run(command, inputs, call),
    }));
  }

  /** Stops the commands of a NodeRun, whoever began them. */
  async cancel(nodeRunId: string): Promise<void> {
    const keys = await this.#keys();
    const own = keys.filter((effectKey) => effectKey.startsWith(keyPrefix(nodeRunId)));
    for (const effectKey of own)
      await this.#executor.cancel({ executor: this.#executor.name, effectKey }, 'canceled');
  }

  /** Commands that run are left to their supervisors. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#executor.close();
  }

  async #run(
    command: CommandConfig,
    inputs: Readonly<Record<string, unknown>>,
    { request, attempt, signal }: NodeCall,
  ): Promise<NodeOutput> {
    const { configFile, dir } = this.#options;
    const argv = filledArguments(command.argv, inputs);
    const rest = digest(JSON.stringify([request.run_id, argv]));
    const effectKey = `${keyPrefix(request.node_run_id)}${attempt}-${rest}`;
    const captureDir = join(resolve(dir), 'output', effectKey);
    const { output = 'text', env = [], timeout_ms: timeoutMs, redact } = command;
    const input: ProcessInput = {
      argv,
      cwd: resolve(dirname(configFile), command.cwd ?? '.'),
      env: { allow: env },
      ...(output === 'json' ? { capture: 'full', captureDir } : {}),
      ...(redact === undefined ? {} : { redact }),
    };
    const ref = await this.#executor.submit({
      runId: request.run_id,
      nodeId: request.node_run_id,
      attempt,
      effectKey,
      input: { ...input } as never,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    const status = await this.#ended(ref, signal);
    if (status.phase !== 'finished') throw lost(status);
    if (status.outcome !== 'succeeded') throw failureOf(status, timeoutMs);
    if (output === 'text') return { outputs: textOutputs(status) };
    return { outputs: await this.#json(join(captureDir, 'output', 'stdout.log')) };
  }

  /** Once nothing of the command is left, also when it has to be stopped. */
  async #ended(ref: RuntimeRef, signal: AbortSignal): Promise<RuntimeStatus> {
    const cancel = (): void => void this.#executor.cancel(ref, 'canceled').catch(() => undefined);
    if (signal.aborted) cancel();
    else signal.addEventListener('abort', cancel, { once: true });
    let last: RuntimeStatus = { phase: 'unknown', reason: 'the executor was closed' };
    const never = new AbortController();
    for await (const status of this.#executor.watch(ref, never.signal)) last = status;
    signal.removeEventListener('abort', cancel);
    return last;
  }

  async #json(file: string): Promise<Readonly<Record<string, unknown>>> {
    const { outputBytesMax } = this.#options;
    const { size } = await stat(file);
    if (size > outputBytesMax) {
      throw new NodeFailure(
        'output_too_large',
        `the command wrote ${size} bytes; the limit is ${outputBytesMax}`,
        {
          details: { bytes: size, limit: outputBytesMax },
          retryable: false,
        },
      );
    }
    let value: unknown;
    try {
      value = JSON.parse(await readFile(file, 'utf8'));
    } catch {
      throw new NodeFailure(
        'invalid_output',
        'the command was to write JSON to its standard output, and did not',
        {
          retryable: false,
        },
      );
    }
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : { value };
  }

  #keys(): Promise<readonly string[]> {
    return readdir(join(this.#options.dir, 'attempts')).catch(() => []);
  }

  /** Records of commands that ended long ago. What cannot be removed now is tried again in an hour. */
  async #sweep(): Promise<void> {
    const { dir } = this.#options;
    for (const effectKey of await this.#keys()) {
      try {
        const { mtimeMs } = await stat(join(dir, 'attempts', effectKey));
        if (Date.now() - mtimeMs < KEEP_MS) continue;
        await this.#executor.forget({ executor: this.#executor.name, effectKey });
        await rm(join(dir, 'output', effectKey), { recursive: true, force: true });
      } catch {}
    }
  }
}

const NO_INPUTS = { type: 'object', additionalProperties: false, properties: {} } as const;
const ANY_OUTPUTS = { type: 'object' } as const;
const TEXT_OUTPUTS = {
  type: 'object',
  additionalProperties: false,
  required: ['text', 'truncated'],
  properties: {
    text: { type: 'string', description: 'The last 64 KiB of standard output' },
    truncated: { type: 'boolean' },
  },
} as const;

/** Of all effects of a NodeRun. */
function keyPrefix(nodeRunId: string): string {
  return `${digest(nodeRunId)}-`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 40);
}

function textOutputs({ outputs = {} }: Finished): Readonly<Record<string, unknown>> {
  const text = textIn(outputs, 'stdout_tail');
  return { text, truncated: Number(outputs['stdout_bytes'] ?? 0) > 65_536 };
}

function textIn(outputs: Finished['outputs'], key: string): string {
  const text = outputs?.[key];
  return typeof text === 'string' ? text : '';
}

function lost(status: RuntimeStatus): NodeFailure {
  return status.phase === 'not_started'
    ? new NodeFailure('command_not_started', 'the command was not started', { retryable: true })
    : new NodeFailure('outcome_unknown', 'nobody knows how the command ended; it may have had effects');
}

function failureOf(status: Finished, timeoutMs: number | undefined): NodeFailure {
  const { outcome, exitCode, signal, error, outputs } = status;
  if (outcome === 'timed_out')
    return new NodeFailure('timeout', `the command took longer than ${(timeoutMs ?? 0) / 1000} s`);
  const stderr = textIn(outputs, 'stderr_tail').slice(-SHOWN_CHARS);
  return new NodeFailure('command_failed', error?.message ?? 'the command failed', {
    details: {
      ...(exitCode === undefined ? {} : { exit_code: exitCode }),
      ...(signal === undefined ? {} : { signal }),
      ...(stderr === '' ? {} : { stderr }),
    },
  });
}
