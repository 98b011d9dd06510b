/** Child processes on a store, and what they said. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Task } from './process.ts';

const PROGRAM = fileURLToPath(new URL('process.ts', import.meta.url));

export class Child {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  readonly ended: Promise<{ code: number | null; errors: string }>;
  #onLine: (() => void)[] = [];

  constructor(task: Partial<Task> & Pick<Task, 'root' | 'kind'>) {
    const whole: Task = { by: 'x', count: 1, ...task };
    this.process = spawn(process.execPath, [PROGRAM, JSON.stringify(whole)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let errors = '';
    this.process.stderr?.on('data', (text: Buffer) => (errors += text.toString()));
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.lines.push(line);
      for (const wake of this.#onLine.splice(0)) wake();
    });
    this.ended = once(this.process, 'close').then(([code]) => {
      for (const wake of this.#onLine.splice(0)) wake();
      return { code: code as number | null, errors };
    });
  }

  /** Resolves once it has said so many lines; fails when it ends before. */
  async said(count: number): Promise<readonly string[]> {
    while (this.lines.length < count) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`it ended after ${this.lines.length} lines: ${(await this.ended).errors}`);
      }
      await new Promise<void>((resolve) => this.#onLine.push(resolve));
    }
    return this.lines;
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }

  /** What it says it has written. */
  get wrote(): string[] {
    return this.lines.filter((line) => line.startsWith('wrote ')).map((line) => line.slice('wrote '.length));
  }
}
