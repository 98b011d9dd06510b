/** What is measured, one shape for ours and for peers. Each is opened in a process of its own (`subject.ts`). */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where a system may put its files, and what runs already. */
export interface Place {
  readonly dir: string;
  /** A database of its own on the server that all share. */
  readonly postgres: string;
  /** Effects run in another process than the one that asks for them. */
  readonly elsewhere: boolean;
  /** Most steps at one time, and so the concurrency that a worker is given. */
  readonly clientsMax: number;
}

export interface Dispatched {
  /** From handing work over until it is durable, milliseconds. */
  readonly acceptedMs: number;
  /** From handing it over until its effect begins. */
  readonly begunMs: number;
}

export interface System {
  /**
   * So many clients with a sequence of steps each: the next begins once the result of the one before is durable.
   * @returns milliseconds of each step; empty where nobody but the worker elsewhere could know.
   */
  steps(clients: number, each: number): Promise<readonly number[]>;
  /** One piece of work on an idle system. */
  dispatch?(): Promise<Dispatched>;
  /** A parent with so many children; resolves when it knows that all are done. */
  fanOut?(children: number): Promise<void>;
  /** What lies on the disk, bytes; undefined: in the database of its own on the shared server. */
  bytes?(): number;
  /** Of a server that is the system's own, for its memory. */
  readonly serverPid?: number;
  close(): Promise<void>;
}

/** A module that carries a system. */
export interface SystemModule {
  open(place: Place): Promise<System>;
  /** The worker's side; `tell` reaches whoever started it. Resolves when it is ready, with how to stop. */
  work?(place: Place, tell: (message: Told) => void): Promise<() => Promise<void>>;
  /** Opens what a process before has left, and makes one more step of its long run. */
  resume?(place: Place): Promise<void>;
}

/** What a worker elsewhere says: an effect begins, or its end is recorded. */
export interface Told {
  readonly kind: 'begun' | 'done';
  readonly id: string;
  readonly atMs: number;
}

/** Milliseconds since 1970 with fractions, comparable between processes of one machine. */
export const nowMs = (): number => performance.timeOrigin + performance.now();

/** Starts `work` of a module in a process of its own. */
export async function startWorker(
  module: string,
  place: Place,
  onTold: (message: Told) => void = () => undefined,
): Promise<() => Promise<void>> {
  const child = fork(
    fileURLToPath(new URL('../worker.ts', import.meta.url)),
    [module, JSON.stringify(place)],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  );
  const exited = once(child, 'exit');
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  child.on('message', (message: 'ready' | Told) => {
    if (message === 'ready') resolve();
    else onTold(message);
  });
  await Promise.race([
    ready,
    exited.then(() => {
      throw new Error(`the worker of ${module} ended before it was ready`);
    }),
  ]);
  return async () => {
    if (child.connected) child.disconnect();
    await exited;
  };
}

/** Waits for one thing for each id, whether it comes before or after it is asked for. */
export class Inbox<T> {
  readonly #came = new Map<string, T>();
  readonly #waiting = new Map<string, (value: T) => void>();

  put(id: string, value: T): void {
    const resolve = this.#waiting.get(id);
    if (resolve === undefined) this.#came.set(id, value);
    else {
      this.#waiting.delete(id);
      resolve(value);
    }
  }

  take(id: string): Promise<T> {
    const came = this.#came.get(id);
    if (came === undefined) return new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#came.delete(id);
    return Promise.resolve(came);
  }
}

/** Runs each client's sequence and says how long every step took. */
export async function sequences(
  clients: number,
  each: number,
  step: (client: number, n: number) => Promise<unknown>,
): Promise<number[]> {
  const times: number[] = [];
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let n = 0; n < each; n += 1) {
        const before = performance.now();
        await step(client, n);
        times.push(performance.now() - before);
      }
    }),
  );
  return times;
}

/** Of all files below a folder, as the disk counts them. */
export function bytesBelow(dir: string): number {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0);
}

/** Resident memory of a process, bytes; undefined where the system does not say. */
export function residentBytes(pid: number): number | undefined {
  try {
    const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
