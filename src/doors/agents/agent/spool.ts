/**
 * Results on their way: on disk from the end of a run until the control plane has them, so that neither a restart of the
 * agent nor a network that is away loses one (contract agents §2.2). What is here has been redacted.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeTextAtomically } from '../../../evidence/output-file.ts';
import type { ResultRequest } from '../wire/tasks.ts';

export interface Delivery {
  readonly taskId: string;
  readonly runId: string;
  readonly attempt: number;
  /** Absolute. */
  readonly directory: string;
  readonly result: ResultRequest;
  /** Milliseconds since 1970: it is tried for a day from then. */
  readonly spooledAtMs: number;
  /** Somebody else has the task: only what was found is still delivered, beside theirs. */
  readonly isLate?: true;
}

export class Spool {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Durable when it resolves. @throws ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE */
  async put(delivery: Delivery): Promise<void> {
    await writeTextAtomically(this.#path(delivery), `${JSON.stringify(delivery)}\n`);
  }

  async remove(delivery: Delivery): Promise<void> {
    await rm(this.#path(delivery), { force: true });
  }

  /** Oldest first; what cannot be read is set aside under another name, and told. */
  async all(note: (text: string) => void): Promise<readonly Delivery[]> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.json'));
    const found = await Promise.all(names.map(async (name) => this.#read(name, note)));
    return found.filter((one) => one !== undefined).toSorted((a, b) => a.spooledAtMs - b.spooledAtMs);
  }

  async #read(name: string, note: (text: string) => void): Promise<Delivery | undefined> {
    try {
      return JSON.parse(await readFile(join(this.#folder, name), 'utf8')) as Delivery;
    } catch (error) {
      note(`the spooled result ${name} cannot be read (${(error as Error).message}); it stays where it is`);
      return undefined;
    }
  }

  #path({ taskId, attempt }: Delivery): string {
    return join(this.#folder, `${taskId}-${attempt}.json`);
  }
}
