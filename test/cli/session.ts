/**
 * Many commands in one process, for tests of what commands say and leave behind: starting Node takes ten times as long as
 * most of them. What a process does (signals, streams, its end, its environment at the start) is tested with `home`.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  Home,
  resultOf,
  test as base,
  type Program,
  type Result,
  type Running,
  type RunOptions,
} from './rig.ts';

export interface Asked {
  readonly argv: readonly string[];
  readonly program: Program;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** The process, which a file of tests shares. It carries out one command at a time. */
class Host {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #last: Promise<unknown> = Promise.resolve();
  #stray = '';

  constructor() {
    const file = fileURLToPath(new URL('./session-host.mjs', import.meta.url));
    this.#child = fork(file, { execArgv: [], silent: true });
    this.#ended = once(this.#child, 'exit');
    this.#last = Promise.race([once(this.#child, 'message'), this.#ended]);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#stray += text));
  }

  carryOut(asked: Asked): Promise<Result> {
    const turn = this.#last.then(() => this.#carryOut(asked));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #carryOut(asked: Asked): Promise<Result> {
    const answered = new Promise<Pick<Result, 'code' | 'stdout' | 'stderr'>>((resolve) =>
      this.#child.once('message', resolve as (message: unknown) => void),
    );
    if (this.#child.connected) this.#child.send(asked);
    const answer = await Promise.race([answered, this.#ended.then(() => undefined)]);
    const words = asked.argv.join(' ');
    if (answer === undefined) throw new Error(`the process ended with '${words}': ${this.#stray}`);
    if (this.#stray !== '') throw new Error(`'${words}' wrote past its streams: ${this.#stray}`);
    return resultOf({ ...answer, signal: null });
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** A home whose commands run in a process that is there already. */
class Session extends Home {
  readonly #host: Host;

  constructor(home: Home, host: Host) {
    super(home.dir);
    this.#host = host;
  }

  override run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const { program = 'wrkr', env, cwd = this.cwd, ...more } = options;
    if (Object.keys(more).length > 0) throw new Error('a session has no input, and runs under nothing');
    return this.#host.carryOut({ argv: args, program, env: this.env(env), cwd });
  }

  override start(): Running {
    throw new Error('what runs beside other commands is a process of its own: home.start');
  }
}

/** A test with a home, and a session in it. */
export const test = base
  // oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
  .extend('host', { scope: 'file' }, ({}, { onCleanup }) => {
    const host = new Host();
    onCleanup(() => host.close());
    return host;
  })
  .extend('session', ({ home, host }) => new Session(home, host));
