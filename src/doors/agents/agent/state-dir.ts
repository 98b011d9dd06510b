/** The agent's own few files: its token, the allow-list, packages, and the spool. Small, and readable for nobody else. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { outputError, writeTextAtomically } from '../../../evidence/output-file.ts';
import { identify, isAlive, type ProcessIdentity } from '../../../executors/process/processes.ts';
import { ReeveError } from '../../../model/errors.ts';

export class StateDir {
  readonly root: string;
  readonly spool: string;
  readonly packages: string;
  readonly allowListPath: string;
  readonly serialPath: string;
  readonly #lockPath: string;

  private constructor(root: string) {
    this.root = root;
    this.spool = join(root, 'spool');
    this.packages = join(root, 'packages');
    this.allowListPath = join(root, 'allowlist.json');
    this.serialPath = join(root, 'allowlist.serial.json');
    this.#lockPath = join(root, 'agent.lock');
  }

  /** @throws ReeveError E_STORE_FULL, E_STORE_UNAVAILABLE; E_LEASE_CONFLICT: another agent works with it. */
  static async open(root: string): Promise<StateDir> {
    const state = new StateDir(root);
    try {
      for (const folder of [root, state.spool, state.packages])
        await mkdir(folder, { recursive: true, mode: 0o700 });
      await state.#lock();
    } catch (cause) {
      throw outputError(cause, root);
    }
    return state;
  }

  async close(): Promise<void> {
    await rm(this.#lockPath, { force: true });
  }

  /** Undefined where there is no such file. */
  async read(name: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.root, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async write(name: string, text: string): Promise<void> {
    await writeTextAtomically(join(this.root, name), text);
  }

  /** Who was killed leaves the file, and is known to be gone by it. Of two that begin at once, one gets it. */
  async #lock(): Promise<void> {
    const mine = `${this.#lockPath}.${randomUUID()}`;
    try {
      await writeFile(mine, `${JSON.stringify(identify(process.pid))}\n`, { mode: 0o600 });
      while (!(await isLinked(mine, this.#lockPath))) {
        const text = await this.read('agent.lock');
        if (text === undefined) continue; // given back at this moment
        const holder = parsed(text);
        if (holder !== undefined && isAlive(holder)) throw this.#taken(holder.pid);
        const stale = `${mine}.stale`;
        await rename(this.#lockPath, stale).catch(() => undefined);
        const taken = await readFile(stale, 'utf8').catch(() => text);
        // Somebody was faster, and has it by now: it is put back.
        if (taken !== text) await link(stale, this.#lockPath).catch(() => undefined);
        await rm(stale, { force: true });
      }
    } finally {
      await rm(mine, { force: true });
    }
  }

  #taken(pid: number): ReeveError {
    return new ReeveError('E_LEASE_CONFLICT', `another agent (process ${pid}) works with ${this.root}`, {
      path: this.root,
      pid,
    });
  }
}

async function isLinked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function parsed(text: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
