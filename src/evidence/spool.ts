/**
 * Lines whose hash is needed before they are written: in a pack the manifest stands before some of the files it lists.
 * They wait in memory while they are few, and in a temporary file otherwise.
 */
import { createHash, randomUUID } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const GATHER_CHARS = 64 * 1024;
const MEMORY_BYTES = 8 * 1_048_576;
const READ_BYTES = 256 * 1024;

export class Spool {
  readonly #hash = createHash('sha256');
  readonly #path = join(tmpdir(), `reeve-spool-${randomUUID()}`);
  #lines: string[] = [];
  #chars = 0;
  #chunks: Buffer[] = [];
  #held = 0;
  #file: FileHandle | undefined;
  #bytes = 0;
  #sha256: string | undefined;

  get isEmpty(): boolean {
    return this.#bytes + this.#chars === 0;
  }

  /** Adds a text, which must be well-formed. Await it where it is not `undefined`: then there is something to write. */
  add(text: string): Promise<void> | undefined {
    this.#lines.push(text);
    this.#chars += text.length;
    return this.#chars > GATHER_CHARS ? this.#gather() : undefined;
  }

  /** The hash of all that was added; nothing can be added after it. */
  async end(): Promise<string> {
    if (this.#chars > 0) await this.#gather();
    return (this.#sha256 ??= this.#hash.digest('hex'));
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    if (this.#file !== undefined) {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (let at = 0; at < this.#bytes - this.#held; ) {
        const { bytesRead } = await this.#file.read(buffer, 0, READ_BYTES, at);
        if (bytesRead === 0) throw new Error('a temporary file was cut');
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    }
    yield* this.#chunks;
  }

  async close(): Promise<void> {
    this.#chunks = [];
    await this.#file?.close();
    if (this.#file !== undefined) await rm(this.#path, { force: true });
  }

  async #gather(): Promise<void> {
    const chunk = Buffer.from(this.#lines.join(''));
    this.#lines = [];
    this.#chars = 0;
    this.#hash.update(chunk);
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#held += chunk.length;
    if (this.#held > MEMORY_BYTES) await this.#spill();
  }

  async #spill(): Promise<void> {
    if (this.#file === undefined) {
      this.#file = await open(this.#path, 'wx+', 0o600);
      // Gone from its folder at once, so that a killed process leaves nothing; where that is not possible, on `close`.
      await rm(this.#path, { force: true }).catch(() => undefined);
    }
    for (const chunk of this.#chunks) await this.#file.appendFile(chunk);
    this.#chunks = [];
    this.#held = 0;
  }
}
