/** The output of a command on its way to `output.raw`: redacted, counted, cut at the cap, in bounded memory. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { open, rename, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { StreamReader } from '../../../executors/process/command.ts';

/** For log, meta and summary. */
const ROOM_BYTES = 256 * 1024;

export interface ByteFilter {
  push(chunk: Uint8Array): Buffer;
  end(): Buffer;
}

export interface CapturedSummary {
  /** Bytes of `output.raw`. */
  readonly bytes: number;
  /** 64 hex digits. */
  readonly sha256: string;
  /** Bytes beyond the cap. */
  readonly dropped: number;
  /** It holds NUL, or is not UTF-8. */
  readonly isBinary: boolean;
  /** Why bytes are missing that should be there. */
  readonly writeError?: string;
}

export class CapturedOutput implements StreamReader {
  lastDataMs = performance.now();
  readonly #path: string;
  readonly #aside: string;
  readonly #file: FileHandle;
  readonly #filter: ByteFilter;
  readonly #bytesMax: number;
  readonly #hash = createHash('sha256');
  readonly #text = new TextCheck();
  #bytes = 0;
  #dropped = 0;
  #isFull = false;
  #writeError: string | undefined;

  /** Until `finish`, the file has another name: what is half written is not mistaken for output. */
  static async open(path: string, filter: ByteFilter, bytesMax: number): Promise<CapturedOutput> {
    const aside = join(dirname(path), '.tmp-output');
    return new CapturedOutput(path, aside, await open(aside, 'wx+', 0o640), filter, bytesMax);
  }

  private constructor(path: string, aside: string, file: FileHandle, filter: ByteFilter, bytesMax: number) {
    this.#path = path;
    this.#aside = aside;
    this.#file = file;
    this.#filter = filter;
    this.#bytesMax = bytesMax;
  }

  /** The next chunk is read when the last one is written: a slow disk slows the command down. */
  async readAll(stream: Readable | undefined): Promise<void> {
    try {
      for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) {
        this.lastDataMs = performance.now();
        if (this.#isFull) this.#dropped += chunk.length;
        else await this.#keep(this.#filter.push(chunk));
      }
    } catch {
      // Destroyed because a process that could not be killed keeps it open: what came so far is kept.
    }
    if (!this.#isFull) await this.#keep(this.#filter.end());
  }

  /** Gives the file its name. @throws the error of the file system */
  async finish(): Promise<CapturedSummary> {
    let sha256: string;
    try {
      sha256 = this.#writeError === undefined ? this.#hash.digest('hex') : await this.#makeRoom();
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
    await rename(this.#aside, this.#path);
    return {
      bytes: this.#bytes,
      sha256,
      dropped: this.#dropped,
      isBinary: !this.#text.isText,
      ...(this.#writeError === undefined ? {} : { writeError: this.#writeError }),
    };
  }

  /** On a full disk the end of the output goes, so that the files which say so can be written. @returns the new digest */
  async #makeRoom(): Promise<string> {
    const kept = Math.max(0, this.#bytes - ROOM_BYTES);
    this.#dropped += this.#bytes - kept;
    this.#bytes = kept;
    await this.#file.truncate(kept);
    const hash = createHash('sha256');
    const buffer = Buffer.alloc(64 * 1024);
    for (let at = 0; at < kept; ) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, kept - at), at);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash.digest('hex');
  }

  async #keep(bytes: Buffer): Promise<void> {
    const room = this.#bytesMax - this.#bytes;
    if (bytes.length <= room) return this.#write(bytes);
    // Everything behind this is only counted. What the filter holds back would come behind it too.
    this.#isFull = true;
    const cut = characterStart(bytes, room);
    await this.#write(bytes.subarray(0, cut));
    this.#dropped += bytes.length - cut + this.#filter.end().length;
  }

  async #write(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    try {
      let at = 0;
      while (at < bytes.length) at += (await this.#file.write(bytes, at)).bytesWritten;
    } catch (error) {
      // The command goes on, its effects would be half done otherwise; the run fails for it when it is over.
      this.#writeError = (error as NodeJS.ErrnoException).code ?? 'failed';
      this.#isFull = true;
      this.#dropped += bytes.length;
      await this.#file.truncate(this.#bytes).catch(() => undefined);
      return;
    }
    this.#bytes += bytes.length;
    this.#hash.update(bytes);
    this.#text.push(bytes);
  }
}

/** The last place up to `at` that splits no UTF-8 character; in binary data at most 3 before. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at;
  while (start > 0 && start > at - 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start -= 1;
  return start;
}

/** Whether a stream is text: UTF-8 without NUL. */
class TextCheck {
  /** A character at the end of the last chunk that is not whole. */
  #begun: Buffer = Buffer.alloc(0);
  #isBad = false;

  get isText(): boolean {
    return !this.#isBad && this.#begun.length === 0;
  }

  push(chunk: Buffer): void {
    if (this.#isBad) return;
    const all = this.#begun.length === 0 ? chunk : Buffer.concat([this.#begun, chunk]);
    const whole = all.length - unfinished(all);
    this.#isBad = all.includes(0) || !isUtf8(all.subarray(0, whole));
    this.#begun = Buffer.from(all.subarray(whole));
  }
}

/** How many bytes at the end may be the beginning of a character. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
