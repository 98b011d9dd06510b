/** Reads one output stream of a command to its end and keeps what the record keeps. */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Redactor } from '../../policy/redaction/redactor.ts';
import type { LineSplitter } from './output.ts';
import { Tail } from './output.ts';
import { makeDirectories } from './record.ts';

export class StreamKeeper {
  /** Bytes the command wrote, before redaction. */
  bytes = 0;
  /** When data last arrived, on the monotonic clock. */
  lastDataMs = performance.now();
  /** Sees the stream too, unredacted. */
  lines: LineSplitter | undefined;
  /** Why the log is incomplete. */
  logError: string | undefined;
  readonly tail = new Tail();
  readonly #redactor: Redactor;
  #log: FileHandle | undefined;

  /** @param redact beside the secrets that are known anyway (I9). */
  constructor(redact: readonly RegExp[]) {
    this.#redactor = new Redactor(redact);
  }

  /** From now on everything also goes to `output/<name>.log` below `captureDir`, which begins empty. */
  async openLog(captureDir: string, name: 'stdout' | 'stderr'): Promise<void> {
    const directory = join(captureDir, 'output');
    await makeDirectories(directory);
    this.#log = await open(join(directory, `${name}.log`), 'w', 0o600);
  }

  /** Never rejects. A slow disk slows the command down, since the next chunk is read only when the last was written. */
  async readAll(stream: Readable | undefined): Promise<void> {
    try {
      for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) {
        this.bytes += chunk.length;
        this.lastDataMs = performance.now();
        this.lines?.push(chunk);
        await this.#keep(this.#redactor.push(chunk));
      }
    } catch {
      // Destroyed because a process that could not be killed keeps it open: what came so far is kept.
    }
    this.lines?.end();
    await this.#keep(this.#redactor.end());
    const log = this.#log;
    this.#log = undefined;
    await log?.sync().catch((error: Error) => this.#noteLogError(error));
    await log?.close();
  }

  async #keep(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    this.tail.push(bytes);
    try {
      await this.#log?.appendFile(bytes);
    } catch (error) {
      // A full disk does not stop the command, whose effects would be half done; the record says that the log is cut.
      this.#noteLogError(error as Error);
      await this.#log?.close();
      this.#log = undefined;
    }
  }

  #noteLogError(error: Error): void {
    this.logError ??= error.message;
  }
}
