// The machine that a skill looks at: files below a root, tools on PATH. Both can be replaced, which is how skills are tested.

import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { constants as system } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const TOOL_MS = 20_000;
const ABSENT = new Set(['ENOENT', 'ENOTDIR']);

/** Something that a check needs cannot be read or asked: exit 4. */
export class CannotCheck extends Error {
  constructor(where, message) {
    super(message);
    this.where = where;
  }
}

export class System {
  #signal;

  /** @param {string} root absolute paths are looked up below it @param {AbortSignal} signal ends all tools */
  constructor(root, signal) {
    this.root = root;
    this.#signal = signal;
  }

  /** Where a path of the system really is. Relative ones are relative to the working directory, as usual. */
  path(path) {
    return isAbsolute(path) && this.root !== '/' ? join(this.root, path) : path;
  }

  /** What `stat` says, following links; undefined if there is nothing. @throws {CannotCheck} */
  async stat(path) {
    return this.#orAbsent(path, () => stat(this.path(path)));
  }

  /** The text of a file; undefined if there is none. @throws {CannotCheck} unreadable, not a file, over 64 MiB */
  async read(path) {
    const bytes = await this.readBytes(path);
    return bytes?.toString('utf8');
  }

  /** @see read */
  async readBytes(path) {
    return this.#orAbsent(path, async () => {
      // Does not wait for the writer of a pipe.
      const file = await open(this.path(path), constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const info = await file.stat();
        if (!info.isFile()) throw new CannotCheck(path, 'is not a file');
        if (info.size > FILE_BYTES_MAX) throw new CannotCheck(path, 'is larger than 64 MiB');
        return await file.readFile();
      } finally {
        await file.close();
      }
    });
  }

  /** Entries of a folder by name; undefined if there is none. @throws {CannotCheck} */
  async list(path) {
    const entries = await this.#orAbsent(path, () => readdir(this.path(path), { withFileTypes: true }));
    return entries?.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Where a tool is, as PATH has it; undefined if it has none. */
  tool(name) {
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        if (folder !== '' && statSync(path).isFile()) return path;
      } catch {} // not here
    }
    return undefined;
  }

  /**
   * Runs a tool to its end, without a shell and with empty input, in the C locale.
   * @param {readonly [string, ...string[]]} argv
   * @param {{timeoutMs?: number, env?: Record<string, string>}} [options]
   * @returns {Promise<{code: number, stdout: string, stderr: string}>} code: 128 + n when a signal ended it
   * @throws {CannotCheck} it cannot be started, takes too long, or says more than 16 MiB
   */
  run([file, ...args], { timeoutMs = TOOL_MS, env = {} } = {}) {
    const { promise, resolve, reject } = Promise.withResolvers();
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...env },
      detached: true, // a group of its own, so that all of it can be ended
    });
    const end = (why) => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {} // over already
      reject(new CannotCheck(file, why));
    };
    const timer = setTimeout(end, timeoutMs, `does not end within ${timeoutMs} ms`);
    const onAbort = () => end('was stopped');
    this.#signal.addEventListener('abort', onAbort, { once: true });
    const texts = ['stdout', 'stderr'].map((name) => {
      const chunks = [];
      let bytes = 0;
      child[name].on('data', (chunk) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > OUTPUT_BYTES_MAX) end('says more than 16 MiB');
      });
      return () => Buffer.concat(chunks).toString('utf8');
    });
    child.on('error', (error) => reject(new CannotCheck(file, `cannot be started: ${error.code}`)));
    child.on('close', (code, signal) => {
      resolve({ code: code ?? 128 + (system.signals[signal] ?? 0), stdout: texts[0](), stderr: texts[1]() });
    });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', onAbort);
    });
  }

  async #orAbsent(path, look) {
    try {
      return await look();
    } catch (error) {
      if (ABSENT.has(error.code)) return undefined;
      if (error instanceof CannotCheck) throw error;
      throw new CannotCheck(path, `cannot be read: ${error.code ?? error.message}`);
    }
  }
}
