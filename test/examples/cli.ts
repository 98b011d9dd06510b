/** Runs the real program on a store of its own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BIN = join(ROOT, 'bin', 'reeve.js');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Cli {
  readonly temp = realpathSync(mkdtempSync(join(tmpdir(), 'reeve-example-')));
  readonly store = join(this.temp, 'store');
  readonly #children: ChildProcess[] = [];

  path(...parts: string[]): string {
    return join(this.temp, ...parts);
  }

  run(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Outcome {
    const { status, stdout, stderr, error } = spawnSync(process.execPath, [BIN, ...args], {
      cwd,
      env: this.#env(env),
      encoding: 'utf8',
      timeout: 30_000,
    });
    if (error !== undefined) throw error;
    return { code: status, stdout, stderr };
  }

  /** @throws when the command fails. */
  json(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): unknown {
    const { code, stdout, stderr } = this.run(cwd, [...args, '--json'], env);
    if (code !== 0) throw new Error(`reeve ${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** The error's envelope, of a command that must fail. */
  refusal(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Envelope {
    const { code, stdout, stderr } = this.run(cwd, [...args, '--json'], env);
    if (code === 0) throw new Error(`reeve ${args.join(' ')} did not fail: ${stdout}`);
    return JSON.parse(stderr) as Envelope;
  }

  start(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn(process.execPath, [BIN, ...args], { cwd, env: this.#env(env), stdio: 'ignore' });
    this.#children.push(child);
    return child;
  }

  /** The checkpoint of the job's newest decision. */
  decision(cwd: string, jobId: string): string {
    const checkpoints = this.json(cwd, ['checkpoint', 'list', jobId]) as {
      checkpoint_id: string;
      type: string;
    }[];
    return checkpoints.findLast(({ type }) => type === 'decision-needed')?.checkpoint_id ?? 'none';
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.temp, { recursive: true, force: true, maxRetries: 5 });
  }

  #env(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
    const path = [dirname(process.execPath), process.env['PATH']].join(delimiter);
    return { ...process.env, PATH: path, REEVE_HOME: this.store, NO_COLOR: '1', USER: 'tester', ...more };
  }
}

export interface Envelope {
  readonly code: string;
  readonly message: string;
  readonly exit_code: number;
  readonly details: Readonly<Record<string, unknown>>;
}
