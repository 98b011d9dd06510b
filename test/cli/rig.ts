/**
 * The real programs in real processes. Every test has a home, a working directory and an environment of its own, and
 * leaves no process and no file behind: a process that outlives its test fails it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test as base, vi } from 'vitest';
import { until } from '../support/waiting.ts';

export { isAlive, until } from '../support/waiting.ts';

export type Program = 'wrkr' | 'reeve' | 'jarvas_lite_run' | 'jarvasctl';
/** Parsed JSON that a program printed; tests look into it with matchers. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Any = any;

export interface RunOptions {
  readonly program?: Program;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  /** Run under another program: `['unshare', '-rn']`. */
  readonly under?: readonly string[];
}

export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What stdout holds, parsed; undefined when it holds no JSON. */
  readonly json: Any;
  /** The error envelope, from stderr; undefined when there is none. */
  readonly error: Any;
}

export const BIN = fileURLToPath(new URL('../../bin/', import.meta.url));
/** Names the processes of a test, and all that they start. */
const MARK = 'REEVE_TEST_HOME';

// Tests wait for processes, not for the processor: several run at a time, and each takes longer for it.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000, maxConcurrency: 6 });

/** A test with a home of its own. */
// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
export const test = base.extend('home', async ({}, { onCleanup }) => {
  const home = new Home(await realpath(await mkdtemp(join(tmpdir(), 'reeve-cli-'))));
  onCleanup(() => home.close());
  await mkdir(home.cwd);
  return home;
});

export class Home {
  readonly dir: string;
  /** Working directory of the commands. */
  readonly cwd: string;
  readonly #started: Running[] = [];

  constructor(dir: string) {
    this.dir = dir;
    this.cwd = join(dir, 'work');
  }

  get store(): string {
    return join(this.dir, '.wrkr');
  }

  path(name: string): string {
    return join(this.cwd, name);
  }

  jobDir(jobId: string): string {
    return join(this.store, 'jobs', jobId);
  }

  env(more: RunOptions['env'] = {}): NodeJS.ProcessEnv {
    const { PATH = '', TMPDIR, NODE_V8_COVERAGE } = process.env;
    return {
      PATH: `${dirname(process.execPath)}:${PATH}`,
      ...(TMPDIR === undefined ? {} : { TMPDIR }),
      ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
      HOME: this.dir,
      USER: 'tester',
      [MARK]: this.dir,
      ...more,
    };
  }

  /** Runs a command to its end. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    return this.start(args, options).ended;
  }

  /** Runs a command that must succeed, with `--json`, and returns what it printed. */
  async json(args: readonly string[], options: RunOptions = {}): Promise<Any> {
    const result = await this.run([...args, '--json'], options);
    if (result.code !== 0)
      throw new Error(`${args.join(' ')} exited ${result.code ?? result.signal}: ${result.stderr}`);
    return result.json;
  }

  /** Runs a command that must fail, with `--json`, and returns its envelope. The envelope tells the true exit code. */
  async fails(args: readonly string[], options: RunOptions = {}): Promise<Any> {
    const { code, error, stdout, stderr } = await this.run(['--json', ...args], options);
    if (error === undefined) throw new Error(`${args.join(' ')} exited ${code}: ${stdout}${stderr}`);
    if (error.exit_code !== code)
      throw new Error(`${args.join(' ')}: envelope says ${error.exit_code}, process ${code}`);
    if (stdout !== '') throw new Error(`${args.join(' ')} failed and printed ${stdout}`);
    return error;
  }

  start(args: readonly string[], options: RunOptions = {}): Running {
    const { program = 'wrkr', env, cwd = this.cwd, input, under = [] } = options;
    const [file = '', ...rest] = [...under, process.execPath, join(BIN, `${program}.js`), ...args];
    const child = spawn(file, rest, { cwd, env: this.env(env), stdio: ['pipe', 'pipe', 'pipe'] });
    const running = new Running(this, child, args);
    this.#started.push(running);
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return running;
  }

  async write(name: string, text: string | Uint8Array): Promise<string> {
    const path = this.path(name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    return path;
  }

  read(name: string): Promise<string> {
    return readFile(this.path(name), 'utf8');
  }

  /** Lines of a file that commands append to; none while it is absent. */
  async lines(name: string): Promise<string[]> {
    const text = await this.read(name).catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  /** Writes a spec of these steps and returns its file's name. */
  async spec(steps: readonly object[], more: SpecParts = {}): Promise<string> {
    const name = `${more.file ?? 'job'}.json`;
    await this.write(name, JSON.stringify(specOf(steps, more)));
    return name;
  }

  /** Submits these steps under this id. */
  async submit(
    jobId: string,
    steps: readonly object[],
    more: SpecParts = {},
    options: RunOptions = {},
  ): Promise<Result> {
    const file = await this.spec(steps, { file: jobId, ...more });
    return this.run(['submit', file, '--job-id', jobId, '--json'], options);
  }

  /** Starts a submission and leaves it running. */
  async submitting(
    jobId: string,
    steps: readonly object[],
    more: SpecParts = {},
    options: RunOptions = {},
  ): Promise<Running> {
    const file = await this.spec(steps, { file: jobId, ...more });
    return this.start(['submit', file, '--job-id', jobId, '--json'], options);
  }

  async status(jobId: string): Promise<Any> {
    return this.json(['status', jobId]);
  }

  checkpoints(jobId: string): Promise<Any[]> {
    return this.json(['checkpoint', 'list', jobId]);
  }

  /** The events of a job, from its directory, which is up to date once a command has ended. */
  async events(jobId: string): Promise<Any[]> {
    const text = await readFile(join(this.jobDir(jobId), 'events.jsonl'), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line): Any => JSON.parse(line));
  }

  /** Everything of a job that must not change when nothing happens. */
  async bytes(jobId: string): Promise<string> {
    const files = ['events.jsonl', 'snapshot.json', 'runtime_config.json'];
    return (await Promise.all(files.map((file) => readFile(join(this.jobDir(jobId), file), 'utf8')))).join(
      '\0',
    );
  }

  /** Processes of this home that run, with their command lines. */
  processes(): { pid: number; command: string }[] {
    if (process.platform !== 'linux') return [];
    const all = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (look(name) ?? []) : []));
    // Commands of operational runs keep HOME and lose the mark.
    const marks = [`\0${MARK}=${this.dir}\0`, `\0HOME=${this.dir}\0`];
    const marked = all.filter(({ environ }) => marks.some((mark) => environ.includes(mark)));
    // Supervisors have an environment of their own: they are the parents of commands and the children of workers.
    const pids = new Set(marked.flatMap(({ pid, ppid }) => [pid, ppid]));
    return all.filter((entry) => {
      const isSupervisor = entry.command.includes('/process/supervisor.');
      return marked.includes(entry) || (isSupervisor && (pids.has(entry.pid) || pids.has(entry.ppid)));
    });
  }

  /** Ends what the test left running and removes its files; what the program left running by itself is a failure. */
  async close(): Promise<void> {
    for (const running of this.#started) running.kill('SIGKILL');
    await Promise.all(this.#started.map(({ ended }) => ended));
    const left = await until(() => this.processes().length === 0, 'the end of all processes', 8000).then(
      () => [],
      () => this.processes(),
    );
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {}
    }
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
    if (left.length > 0)
      throw new Error(`left running: ${left.map(({ command }) => command.slice(0, 200)).join(' | ')}`);
  }
}

/** A program that runs. */
export class Running {
  readonly ended: Promise<Result>;
  readonly #child: ChildProcess;
  readonly #args: readonly string[];
  #stdout = '';
  #stderr = '';

  constructor(_home: Home, child: ChildProcess, args: readonly string[]) {
    this.#child = child;
    this.#args = args;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        const { stdout, stderr } = this;
        resolve(resultOf({ code, signal, stdout, stderr }));
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr;
  }
  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for something that happens while this runs. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(async () => {
      if (await condition()) return true;
      if (!this.isOver) return false;
      throw new Error(`${this.#args.join(' ')} ended before ${what}: ${this.stdout}${this.stderr}`);
    }, what);
  }
}

function look(pid: string): { pid: number; ppid: number; command: string; environ: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state = '', ppid = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (/[ZX]/.test(state)) return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
    const environ = `\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`;
    return { pid: Number(pid), ppid: Number(ppid), command, environ };
  } catch {
    return undefined; // it ended meanwhile, or is somebody else's
  }
}

export function resultOf(ended: Omit<Result, 'json' | 'error'>): Result {
  return { ...ended, json: parsed(ended.stdout), error: envelopeIn(ended.stderr) };
}

function parsed(text: string): Any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The envelope stands last; notes may stand before it. */
function envelopeIn(stderr: string): Any {
  const at = stderr.startsWith('{\n') ? 0 : stderr.lastIndexOf('\n{\n') + 1;
  const found = parsed(stderr.slice(at));
  return found?.schema_id === 'wrkr.error_envelope' ? found : undefined;
}

export interface SpecParts {
  /** Name of the file, without its ending. */
  readonly file?: string;
  readonly inputs?: object;
  readonly budgets?: object;
  readonly adapter?: object;
  readonly rules?: readonly string[];
  readonly more?: object;
}

export function specOf(
  steps: readonly object[],
  { inputs, budgets, adapter, rules, more }: SpecParts = {},
): Any {
  return {
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: '2026-01-02T03:04:05Z',
    producer_version: 'test',
    name: 'test job',
    objective: 'show a behaviour',
    inputs: { steps, ...inputs },
    expected_artifacts: [],
    adapter: { name: 'reference', ...adapter },
    budgets: {
      max_wall_time_seconds: 600,
      max_retries: 100,
      max_step_count: 10_000,
      max_tool_calls: 10_000,
      ...budgets,
    },
    checkpoint_policy: { min_interval_seconds: 1, required_types: [] },
    environment_fingerprint: { rules: rules ?? ['os', 'arch'] },
    ...more,
  };
}

/** A command that writes its name to the ledger: a step that ran twice shows. */
export function ledger(name: string, then = 'true'): { id: string; command: string } {
  return { id: name, command: `echo ${name} >> ledger && ${then}` };
}

export const DECISION = { id: 'review', summary: 'publish it?', decision_needed: true };
