/**
 * Writes a ZIP archive by the byte recipe of a pack (contract wrkr §f, W48): entries in the order of their names' bytes,
 * stored, of one fixed date, sizes and CRC behind the data. The same entries give the same bytes everywhere (I10), and
 * nothing is held in memory but one chunk and the central directory.
 */
import { crc32 } from 'node:zlib';
import { ReeveError } from '../model/errors.ts';
import { compareBytes, nameProblem } from './entry-names.ts';
import { ENTRIES_MAX, PACK_BYTES_MAX } from './limits.ts';
import * as zip from './zip-format.ts';

export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Takes bytes in order; they may be reused once the promise has resolved. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

export class ZipWriter {
  readonly #sink: ByteSink;
  readonly #bytesMax: number;
  readonly #central: Buffer[] = [];
  #offset = 0;
  #contentBytes = 0;
  #lastName = '';

  /** @param bytesMax of all contents together; far below the 4 GiB from which the format would need ZIP64. */
  constructor(sink: ByteSink, bytesMax = PACK_BYTES_MAX) {
    this.#sink = sink;
    this.#bytesMax = bytesMax;
  }

  /**
   * @throws ReeveError E_INVALID_INPUT_SCHEMA for a name that no verifier takes, and for more than a pack may hold.
   * @throws TypeError when entries come out of order.
   */
  async add(name: string, content: Chunks): Promise<void> {
    const problem = nameProblem(name);
    if (problem !== undefined)
      throw refusal(`the entry name ${JSON.stringify(name)} ${problem}`, { path: name });
    if (compareBytes(this.#lastName, name) >= 0)
      throw new TypeError(`entry ${name} comes after ${this.#lastName}`);
    if (this.#central.length >= ENTRIES_MAX)
      throw refusal(`a pack holds at most ${ENTRIES_MAX} files`, { files_max: ENTRIES_MAX });
    this.#lastName = name;
    const offset = this.#offset;
    const encoded = Buffer.from(name);
    await this.#write(localHeader(encoded));
    let crc = 0;
    let size = 0;
    for await (const chunk of content) {
      size += chunk.length;
      this.#contentBytes += chunk.length;
      if (this.#contentBytes > this.#bytesMax) {
        throw refusal(`a pack holds at most ${this.#bytesMax} bytes; ${name} goes beyond that`, {
          path: name,
          bytes_max: this.#bytesMax,
        });
      }
      crc = crc32(chunk, crc);
      await this.#write(chunk);
    }
    await this.#write(descriptor(crc, size));
    this.#central.push(centralHeader(encoded, crc, size, offset));
  }

  async end(): Promise<void> {
    const offset = this.#offset;
    for (const header of this.#central) await this.#write(header);
    await this.#write(endRecord(this.#central.length, this.#offset - offset, offset));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#offset += bytes.length;
    await this.#sink.write(bytes);
  }
}

function refusal(message: string, details: Readonly<Record<string, unknown>>): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', message, details);
}

function flagsOf(name: Buffer): number {
  const isAscii = name.every((byte) => byte < 0x80);
  return isAscii ? zip.FLAG_DESCRIPTOR : zip.FLAG_DESCRIPTOR | zip.FLAG_UTF8;
}

function localHeader(name: Buffer): Buffer {
  const header = Buffer.alloc(zip.LOCAL_HEADER_BYTES);
  header.writeUInt32LE(zip.LOCAL_HEADER, 0);
  header.writeUInt16LE(zip.VERSION, 4);
  header.writeUInt16LE(flagsOf(name), 6);
  header.writeUInt16LE(zip.STORED, 8);
  header.writeUInt16LE(zip.DOS_TIME, 10);
  header.writeUInt16LE(zip.DOS_DATE, 12);
  // CRC and sizes stay 0: they are in the descriptor.
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(zip.EXTRA.length, 28);
  return Buffer.concat([header, name, zip.EXTRA]);
}

function descriptor(crc: number, size: number): Buffer {
  const bytes = Buffer.alloc(zip.DESCRIPTOR_BYTES);
  bytes.writeUInt32LE(zip.DESCRIPTOR, 0);
  bytes.writeUInt32LE(crc, 4);
  bytes.writeUInt32LE(size, 8);
  bytes.writeUInt32LE(size, 12);
  return bytes;
}

function centralHeader(name: Buffer, crc: number, size: number, offset: number): Buffer {
  const header = Buffer.alloc(zip.CENTRAL_HEADER_BYTES);
  header.writeUInt32LE(zip.CENTRAL_HEADER, 0);
  header.writeUInt16LE(zip.VERSION, 4);
  header.writeUInt16LE(zip.VERSION, 6);
  header.writeUInt16LE(flagsOf(name), 8);
  header.writeUInt16LE(zip.STORED, 10);
  header.writeUInt16LE(zip.DOS_TIME, 12);
  header.writeUInt16LE(zip.DOS_DATE, 14);
  header.writeUInt32LE(crc, 16);
  header.writeUInt32LE(size, 20);
  header.writeUInt32LE(size, 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt16LE(zip.EXTRA.length, 30);
  // Comment, disk and attributes stay 0.
  header.writeUInt32LE(offset, 42);
  return Buffer.concat([header, name, zip.EXTRA]);
}

function endRecord(entries: number, centralBytes: number, centralOffset: number): Buffer {
  const record = Buffer.alloc(zip.END_RECORD_BYTES);
  record.writeUInt32LE(zip.END_RECORD, 0);
  record.writeUInt16LE(entries, 8);
  record.writeUInt16LE(entries, 10);
  record.writeUInt32LE(centralBytes, 12);
  record.writeUInt32LE(centralOffset, 16);
  return record;
}
