/**
 * Reads a ZIP archive that somebody else may have made with intent (contract wrkr §f, verify). Everything a reader could
 * understand in two ways is refused, so that all readers see the same files: local and central headers say the same, the
 * entries lie side by side from the first byte of the file to the central directory, and nothing stands behind the end.
 * A change of any one bit of a stored archive is therefore refused. Memory is bounded, whatever sizes the archive claims.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { ReeveError } from '../model/errors.ts';
import { fileChunks } from './artifacts.ts';
import { nameProblem } from './entry-names.ts';
import { ENTRIES_MAX, PACK_BYTES_MAX, RATIO_FROM_BYTES, RATIO_MAX } from './limits.ts';
import * as zip from './zip-format.ts';

export interface ZipEntry {
  readonly name: string;
  readonly method: typeof zip.STORED | typeof zip.DEFLATED;
  readonly crc: number;
  /** In the archive, and inflated. */
  readonly packedBytes: number;
  readonly bytes: number;
  /** Where the data begins. */
  readonly at: number;
}

/** Names have at most 65,535 bytes; those of ten thousand artifacts do not come near this. */
const CENTRAL_BYTES_MAX = 16 * 1_048_576;
const CHUNK_BYTES = 256 * 1024;
/** Besides the descriptor and UTF-8, the two that only tell how hard a compressor tried. */
const KNOWN_FLAGS = zip.FLAG_DESCRIPTOR | zip.FLAG_UTF8 | 0x0006;
/** Made on a system without modes, or as Python does: a regular file with one of the usual modes, or none. */
const MADE_BY_UNIX = 0x0314;
const UNIX_ATTRIBUTES: ReadonlySet<number> = new Set(
  [0, 0o600, 0o644, 0o100600, 0o100644].map((mode) => (mode << 16) >>> 0),
);
/** Extra fields that would change the meaning of an entry: ZIP64 sizes, another name. */
const REFUSED_EXTRAS: ReadonlySet<number> = new Set([0x0001, 0x7075]);

export class ZipReader {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, entries: ReadonlyMap<string, ZipEntry>) {
    this.#file = file;
    this.entries = entries;
  }

  /**
   * @throws ReeveError E_VERIFY_HASH_MISMATCH for every oddity; E_INVALID_INPUT_SCHEMA when there is no such file or it
   * cannot be read.
   */
  static async open(path: string): Promise<ZipReader> {
    // Without waiting for the writer of a pipe.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
      const { code } = cause as NodeJS.ErrnoException;
      const problem = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} ${problem}`, { path }, { cause });
    });
    try {
      const found = await file.stat();
      if (!found.isFile()) throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} is not a file`, { path });
      return new ZipReader(file, await readDirectory(file, found.size));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The whole content of an entry, checked against its size and CRC. @param bytesMax more is refused. */
  async read(entry: ZipEntry, bytesMax: number): Promise<Buffer> {
    if (entry.bytes > bytesMax) throw refusal(`has more than ${bytesMax} bytes`, entry.name);
    const whole = Buffer.allocUnsafe(entry.bytes);
    let at = 0;
    for await (const chunk of this.chunks(entry)) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  /** The content piece by piece; its end comes only when size and CRC are right. A piece is valid until the next. */
  async *chunks(entry: ZipEntry): AsyncGenerator<Uint8Array> {
    let crc = 0;
    let size = 0;
    for await (const chunk of entry.method === zip.STORED ? this.#packed(entry) : this.#inflated(entry)) {
      size += chunk.length;
      if (size > entry.bytes) throw refusal('is longer than it claims', entry.name);
      crc = crc32(chunk, crc);
      yield chunk;
    }
    if (size !== entry.bytes) throw refusal('is shorter than it claims', entry.name);
    if (crc !== entry.crc) throw refusal('is damaged: its CRC is wrong', entry.name);
  }

  /** SHA-256 of the archive itself, as 64 hex digits. */
  async sha256(): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of fileChunks(this.#file)) hash.update(chunk);
    return hash.digest('hex');
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async *#packed({ at, packedBytes }: ZipEntry): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, packedBytes));
    for (let done = 0; done < packedBytes; ) {
      const part = buffer.subarray(0, Math.min(buffer.length, packedBytes - done));
      await readAt(this.#file, part, at + done);
      yield part;
      done += part.length;
    }
  }

  async *#inflated(entry: ZipEntry): AsyncGenerator<Uint8Array> {
    const inflate = createInflateRaw({ chunkSize: CHUNK_BYTES });
    // What a stream holds on to must not be overwritten.
    const source = Readable.from(copies(this.#packed(entry)), { objectMode: false });
    source.on('error', (error) => inflate.destroy(error));
    source.pipe(inflate);
    try {
      for await (const chunk of inflate) yield chunk as Uint8Array;
    } catch (cause) {
      if (cause instanceof ReeveError) throw cause;
      throw refusal('cannot be inflated', entry.name, cause);
    } finally {
      source.destroy();
      inflate.destroy();
    }
    if (inflate.bytesWritten !== entry.packedBytes)
      throw refusal('has bytes behind its compressed data', entry.name);
  }
}

async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

async function readDirectory(file: FileHandle, size: number): Promise<ReadonlyMap<string, ZipEntry>> {
  if (size < zip.END_RECORD_BYTES) throw refusal('is no zip archive');
  const end = await readBytes(file, size - zip.END_RECORD_BYTES, zip.END_RECORD_BYTES);
  // At the very end, so without a comment and with nothing behind it.
  if (end.readUInt32LE(0) !== zip.END_RECORD) throw refusal('does not end as a zip archive does');
  const count = end.readUInt16LE(8);
  const centralBytes = end.readUInt32LE(12);
  const centralAt = end.readUInt32LE(16);
  if (end.readUInt16LE(20) !== 0) throw refusal('has a comment');
  if (end.readUInt32LE(4) !== 0 || end.readUInt16LE(10) !== count) throw refusal('is one of several disks');
  if (count > ENTRIES_MAX || centralAt === 0xffffffff) throw refusal('needs ZIP64');
  if (centralAt + centralBytes !== size - zip.END_RECORD_BYTES)
    throw refusal('has bytes before its first entry or around its directory');
  if (centralBytes > CENTRAL_BYTES_MAX)
    throw refusal(`has a directory of more than ${CENTRAL_BYTES_MAX} bytes`);
  const headers = centralHeaders(await readBytes(file, centralAt, centralBytes), count);
  checkSizes(headers);
  return locate(file, headers, centralAt);
}

interface Header {
  readonly name: string;
  readonly method: ZipEntry['method'];
  readonly hasDescriptor: boolean;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly offset: number;
  /** What the local header repeats: version, flags, method, time, date, and name and extra field with their lengths. */
  readonly repeated: Buffer;
  readonly nameBytes: Buffer;
  readonly extra: Buffer;
}

function centralHeaders(central: Buffer, count: number): readonly Header[] {
  const headers: Header[] = [];
  const names = new Set<string>();
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    if (at + zip.CENTRAL_HEADER_BYTES > central.length) throw refusal('has a directory that is cut off');
    const end = at + zip.CENTRAL_HEADER_BYTES + central.readUInt16LE(at + 28) + central.readUInt16LE(at + 30);
    if (end > central.length) throw refusal('has a directory that is cut off');
    const header = centralHeader(central.subarray(at, end));
    if (names.has(header.name)) throw refusal('is there twice', header.name);
    names.add(header.name);
    headers.push(header);
    at = end;
  }
  if (at !== central.length) throw refusal('has a directory with more than its entries');
  return headers;
}

function centralHeader(header: Buffer): Header {
  const nameEnd = zip.CENTRAL_HEADER_BYTES + header.readUInt16LE(28);
  const nameBytes = header.subarray(zip.CENTRAL_HEADER_BYTES, nameEnd);
  const name = utf8(nameBytes);
  const extra = header.subarray(nameEnd);
  const refuse = (problem: string): never => {
    throw refusal(problem, name);
  };
  if (header.readUInt32LE(0) !== zip.CENTRAL_HEADER) refuse('has a damaged header');
  const problem = nameProblem(name);
  if (problem !== undefined) refuse(`has a name that ${problem}`);
  const flags = header.readUInt16LE(8);
  const method = header.readUInt16LE(10);
  const packedBytes = header.readUInt32LE(20);
  const bytes = header.readUInt32LE(24);
  const offset = header.readUInt32LE(42);
  if ((flags & ~KNOWN_FLAGS) !== 0) refuse('is encrypted or otherwise special');
  if (method !== zip.STORED && method !== zip.DEFLATED) refuse('is packed by an unknown method');
  if (method === zip.STORED && packedBytes !== bytes) refuse('is stored with another size than it claims');
  // Nothing here needs more than the version that brought DEFLATE.
  const version = header.readUInt16LE(6);
  if (version !== zip.VERSION && version !== 10) refuse('needs a newer version of the format');
  if (packedBytes === 0xffffffff || bytes === 0xffffffff || offset === 0xffffffff) refuse('needs ZIP64');
  if (header.readUInt16LE(32) !== 0) refuse('has a comment');
  if (header.readUInt16LE(34) !== 0) refuse('is on another disk');
  if (!hasPlainMode(header)) refuse('is no regular file');
  checkExtra(extra, refuse);
  return {
    name,
    method: method === zip.STORED ? zip.STORED : zip.DEFLATED,
    hasDescriptor: (flags & zip.FLAG_DESCRIPTOR) !== 0,
    crc: header.readUInt32LE(16),
    packedBytes,
    bytes,
    offset,
    repeated: header.subarray(6, 16),
    nameBytes,
    extra,
  };
}

/** Symlinks, directories and devices show in the attributes; so does a bit that was flipped. */
function hasPlainMode(header: Buffer): boolean {
  const madeBy = header.readUInt16LE(4);
  const internal = header.readUInt16LE(36);
  const external = header.readUInt32LE(38);
  if (internal !== 0) return false;
  if (madeBy === zip.VERSION) return external === 0;
  return madeBy === MADE_BY_UNIX && UNIX_ATTRIBUTES.has(external);
}

function checkExtra(extra: Buffer, refuse: (problem: string) => never): void {
  let at = 0;
  while (at < extra.length) {
    if (at + 4 > extra.length) refuse('has a damaged extra field');
    if (REFUSED_EXTRAS.has(extra.readUInt16LE(at))) refuse('has an extra field that changes its meaning');
    at += 4 + extra.readUInt16LE(at + 2);
  }
  if (at !== extra.length) refuse('has a damaged extra field');
}

/** Before anything is inflated: what would come out, in all and of each. */
function checkSizes(headers: readonly Header[]): void {
  let total = 0;
  for (const { name, bytes, packedBytes } of headers) {
    total += bytes;
    if (total > PACK_BYTES_MAX) throw refusal(`inflates to more than ${PACK_BYTES_MAX} bytes`);
    if (bytes > RATIO_FROM_BYTES && bytes > packedBytes * RATIO_MAX)
      throw refusal(`inflates to more than ${RATIO_MAX} times its size`, name);
  }
}

/** Reads the local headers. Entries may stand in any order, but side by side and without gaps. */
async function locate(
  file: FileHandle,
  headers: readonly Header[],
  centralAt: number,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const places = new Map<string, number>();
  let at = 0;
  for (const header of headers.toSorted((a, b) => a.offset - b.offset)) {
    const { name, offset, nameBytes, extra, packedBytes, hasDescriptor } = header;
    if (offset !== at) throw refusal('has bytes that belong to no entry, or entries that share some');
    const start = at + zip.LOCAL_HEADER_BYTES + nameBytes.length + extra.length;
    at = start + packedBytes + (hasDescriptor ? zip.DESCRIPTOR_BYTES : 0);
    if (at > centralAt) throw refusal('reaches into the directory', name);
    checkLocal(header, await readBytes(file, offset, start - offset));
    if (hasDescriptor)
      checkDescriptor(header, await readBytes(file, start + packedBytes, zip.DESCRIPTOR_BYTES));
    places.set(name, start);
  }
  if (at !== centralAt) throw refusal('has bytes that belong to no entry');
  // As the directory lists them.
  return new Map(
    headers.map(({ name, method, crc, packedBytes, bytes }) => [
      name,
      { name, method, crc, packedBytes, bytes, at: places.get(name) ?? 0 },
    ]),
  );
}

function checkLocal(header: Header, local: Buffer): void {
  const { name, nameBytes, extra, crc, packedBytes, bytes, hasDescriptor } = header;
  const nameEnd = zip.LOCAL_HEADER_BYTES + nameBytes.length;
  const sizes = [local.readUInt32LE(14), local.readUInt32LE(18), local.readUInt32LE(22)];
  const isSame =
    local.readUInt32LE(0) === zip.LOCAL_HEADER &&
    local.subarray(4, 14).equals(header.repeated) &&
    local.readUInt16LE(26) === nameBytes.length &&
    local.readUInt16LE(28) === extra.length &&
    local.subarray(zip.LOCAL_HEADER_BYTES, nameEnd).equals(nameBytes) &&
    local.subarray(nameEnd).equals(extra);
  const isMeasured = sizes[0] === crc && sizes[1] === packedBytes && sizes[2] === bytes;
  const isDeferred = hasDescriptor && sizes.every((size) => size === 0);
  if (!isSame || !(isMeasured || isDeferred))
    throw refusal('is described differently by its two headers', name);
}

function checkDescriptor({ name, crc, packedBytes, bytes }: Header, descriptor: Buffer): void {
  const isSame =
    descriptor.readUInt32LE(0) === zip.DESCRIPTOR &&
    descriptor.readUInt32LE(4) === crc &&
    descriptor.readUInt32LE(8) === packedBytes &&
    descriptor.readUInt32LE(12) === bytes;
  if (!isSame) throw refusal('is described differently behind its data', name);
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw refusal('has an entry whose name is no UTF-8', undefined, cause);
  }
}

async function readBytes(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  await readAt(file, bytes, at);
  return bytes;
}

async function readAt(file: FileHandle, into: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, at + done);
    if (bytesRead === 0) throw refusal('is cut off');
    done += bytesRead;
  }
}

function refusal(problem: string, path?: string, cause?: unknown): ReeveError {
  const what = path === undefined ? 'the file' : `the entry ${JSON.stringify(path)}`;
  return new ReeveError(
    'E_VERIFY_HASH_MISMATCH',
    `${what} ${problem}`,
    { ...(path === undefined ? {} : { path }), reason: problem },
    { cause },
  );
}
