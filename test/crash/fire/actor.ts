/** A program that is started again whenever it ends, until it is told to stop. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Estate } from './estate.ts';
import { descendants, signal } from './processes.ts';

const AGAIN_MS = 300;
const STOP_MS = 15_000;
/** What these programs say once they are at work. */
const UP = /listening on|work: queue=/;

export class Actor {
  /** Ends that nobody had asked for. */
  readonly gaveUp: string[] = [];
  readonly up: Promise<void>;
  isFrozen = false;
  isUp = false;
  isThere = false;
  readonly #estate: Estate;
  readonly #args: readonly string[];
  readonly #machine: number;
  readonly #first = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isKilled = false;
  #isStopping = false;

  constructor(estate: Estate, args: readonly string[], machine: number) {
    this.#estate = estate;
    this.#args = args;
    this.#machine = machine;
    this.up = this.#first.promise;
    this.#start();
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** SIGKILL; `everything` are its supervisors and their commands, as when the power goes. */
  kill(way: 'alone' | 'supervisors' | 'everything'): void {
    const { children, all } = descendants(this.pid);
    const below = { alone: [], supervisors: children, everything: all }[way];
    this.#isKilled = true;
    this.isThere = false;
    signal(this.pid, 'SIGKILL');
    for (const pid of below) signal(pid, 'SIGKILL');
  }

  /** Stops it for so long; it wakes up where it was. */
  async freeze(ms: number): Promise<void> {
    const { pid } = this;
    this.isFrozen = true;
    signal(pid, 'SIGSTOP');
    await delay(ms);
    signal(pid, 'SIGCONT');
    await delay(AGAIN_MS);
    this.isFrozen = false;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    signal(this.pid, 'SIGTERM');
    const late = new AbortController();
    const isOver = await Promise.race([
      this.#ended.then(() => true),
      delay(STOP_MS, false, { signal: late.signal }).catch(() => true),
    ]);
    late.abort();
    if (isOver) return;
    this.gaveUp.push(`${this.#args[0]} did not end within ${STOP_MS} ms of SIGTERM`);
    signal(this.pid, 'SIGKILL');
    await this.#ended;
  }

  #start(): void {
    const child = this.#estate.start(this.#args, this.#machine);
    this.#child = child;
    this.isThere = true;
    this.isUp = false;
    this.#isKilled = false;
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-2000);
        if (!this.isUp && UP.test(said)) {
          this.isUp = true;
          this.#first.resolve();
        }
      });
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    child.on('exit', (code, killedBy) => {
      this.isThere = false;
      const isAsked = this.#isKilled || this.#isStopping;
      if (!isAsked)
        this.gaveUp.push(`${this.#args[0]} ended with ${code ?? killedBy}: ${said.slice(-600).trim()}`);
      // Its supervisors hold its pipes open: `close` may come late.
      child.stdout?.destroy();
      child.stderr?.destroy();
      if (this.#isStopping) return ended.resolve();
      setTimeout(() => (this.#isStopping ? undefined : this.#start()), isAsked ? 0 : AGAIN_MS);
      ended.resolve();
    });
  }
}
