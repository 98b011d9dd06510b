/**
 * Tasks on their way: on disk from before a run begins until the control plane has its result, so that neither a restart of
 * the agent nor a network that is away loses one (contract agents §2.2). What is here has been redacted.
 *
 * `<task>-<attempt>.begun` says that a run was begun, `<task>-<attempt>.json` is its result, to be delivered.
 */
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeTextAtomically } from '../../../evidence/output-file.ts';
import type { ResultRequest } from '../wire/tasks.ts';

export interface Begun {
  readonly taskId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly leaseId: string;
  /** Of the run, absolute. One that was set aside for a later attempt is `<directory>.attempt-<attempt>`. */
  readonly directory: string;
}

export interface Delivery extends Omit<Begun, 'leaseId'> {
  readonly result: ResultRequest;
  /** Milliseconds since 1970: it is tried for a day from then. */
  readonly spooledAtMs: number;
  /** Somebody else has the task: only what was found is still delivered, beside theirs. */
  readonly isLate?: true;
}

type Key = Pick<Begun, 'taskId' | 'attempt'>;

export class Spool {
  readonly #folder: string;
  readonly #note: (text: string) => void;

  /** @param note is told of what cannot be read. */
  constructor(folder: string, note: (text: string) => void) {
    this.#folder = folder;
    this.#note = note;
  }

  /** Durable when it resolves. @throws ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE */
  async begin(begun: Begun): Promise<void> {
    await writeTextAtomically(this.#path(begun, 'begun'), `${JSON.stringify(begun)}\n`);
  }

  /** Nothing will come of it. */
  async forget(begun: Key): Promise<void> {
    await rm(this.#path(begun, 'begun'), { force: true });
  }

  /** Durable when it resolves. @throws ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE */
  async put(delivery: Delivery): Promise<void> {
    await writeTextAtomically(this.#path(delivery, 'json'), `${JSON.stringify(delivery)}\n`);
    await this.forget(delivery);
  }

  async remove(delivery: Key): Promise<void> {
    await this.forget(delivery); // still there where `put` found no room
    await rm(this.#path(delivery, 'json'), { force: true });
  }

  /** Runs that were begun, and of whose end nothing was written down. */
  async begun(): Promise<readonly Begun[]> {
    const all = await this.#every<Begun>('begun');
    const done = new Set((await this.all()).map((one) => this.#path(one, 'begun')));
    return all.filter((one) => !done.has(this.#path(one, 'begun')));
  }

  /** Oldest first. */
  async all(): Promise<readonly Delivery[]> {
    return (await this.#every<Delivery>('json')).toSorted((a, b) => a.spooledAtMs - b.spooledAtMs);
  }

  async #every<T extends Key>(kind: 'begun' | 'json'): Promise<readonly T[]> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(`.${kind}`));
    const found = await Promise.all(names.map(async (name) => this.#read<T>(name)));
    return found.filter((one) => one !== undefined);
  }

  /** What is damaged is put aside under another name, and told of once. */
  async #read<T extends Key>(name: string): Promise<T | undefined> {
    const path = join(this.#folder, name);
    try {
      const value = JSON.parse(await readFile(path, 'utf8')) as T;
      const kind = name.slice(name.lastIndexOf('.') + 1) as 'begun' | 'json';
      if (this.#path(value, kind) === path) return value;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // delivered meanwhile
    }
    this.#note(`${path} cannot be understood, and is kept as ${name}.damaged`);
    await rename(path, `${path}.damaged`).catch(() => undefined);
    return undefined;
  }

  #path({ taskId, attempt }: Key, kind: 'begun' | 'json'): string {
    return join(this.#folder, `${taskId}-${attempt}.${kind}`);
  }
}
