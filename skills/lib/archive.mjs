// Whether an archive can be read to its end, and what is in it. Nothing is unpacked.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

const BLOCK = 512;
/** Long names stand in a record of their own before the entry. */
const NAME_BYTES_MAX = 64 * 1024;

export class DamagedArchive extends Error {}

/**
 * Reads a .tar.gz, .tgz, .tar or .gz to its end.
 * @param {string} path as the system knows it @param {string} name what tells its form
 * @returns {Promise<{entries: {name: string, size: number}[], bytes: number} | undefined>} plain files in it (for .gz: one);
 *   undefined for other forms
 * @throws {DamagedArchive} it is cut off, a checksum is wrong, or it is none
 */
export async function readArchive(path, name) {
  const isTar = /\.(?:tar|tar\.gz|tgz)$/i.test(name);
  const isZipped = /\.(?:gz|tgz)$/i.test(name);
  if (!isTar && !isZipped) return undefined;
  const file = createReadStream(path);
  const stream = isZipped ? pipeline(file, createGunzip(), () => {}) : file;
  const tar = new Tar();
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (isTar) tar.push(chunk);
    }
  } catch (error) {
    if (error.code?.startsWith('Z_')) throw new DamagedArchive(`cannot be inflated: ${error.message}`);
    throw error;
  }
  if (!isTar) return { entries: [{ name, size: bytes }], bytes };
  tar.end();
  return { entries: tar.entries, bytes };
}

/** Headers of a tar as they come by; contents are passed over. */
class Tar {
  entries = [];
  #pending = Buffer.alloc(0);
  /** Bytes of content and padding that are still to come. */
  #rest = 0;
  /** Collects a long name: which form it has, and what there is of it. */
  #long;
  #nextName;
  #emptyBlocks = 0;

  push(chunk) {
    let bytes = chunk;
    while (bytes.length > 0 && this.#emptyBlocks < 2) {
      if (this.#rest > 0) {
        const part = bytes.subarray(0, this.#rest);
        this.#long?.parts.push(Buffer.from(part));
        this.#rest -= part.length;
        bytes = bytes.subarray(part.length);
        if (this.#rest === 0 && this.#long !== undefined) this.#endLong();
        continue;
      }
      const part = bytes.subarray(0, BLOCK - this.#pending.length);
      this.#pending = Buffer.concat([this.#pending, part]);
      bytes = bytes.subarray(part.length);
      if (this.#pending.length < BLOCK) return;
      this.#header(this.#pending);
      this.#pending = Buffer.alloc(0);
    }
  }

  end() {
    if (this.#rest > 0 || this.#pending.length > 0) throw new DamagedArchive('ends within an entry');
    if (this.#emptyBlocks === 0) throw new DamagedArchive('ends without the mark of its end');
  }

  #header(block) {
    if (block.every((byte) => byte === 0)) {
      this.#emptyBlocks++;
      return;
    }
    this.#emptyBlocks = 0;
    const said = Number.parseInt(text(block, 148, 8), 8);
    // The sum counts its own field as spaces.
    const sum = block.reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 32 : byte), 0);
    if (said !== sum) throw new DamagedArchive('holds a header with a wrong checksum');
    const size = sizeOf(block);
    const type = String.fromCharCode(block[156]);
    this.#rest = Math.ceil(size / BLOCK) * BLOCK;
    if (type === 'L' || type === 'x') {
      if (size === 0 || size > NAME_BYTES_MAX) throw new DamagedArchive('holds an impossible name');
      this.#long = { type, size, parts: [] };
      return;
    }
    const prefix = text(block, 257, 5) === 'ustar' ? text(block, 345, 155) : '';
    const name = this.#nextName ?? (prefix === '' ? '' : `${prefix}/`) + text(block, 0, 100);
    this.#nextName = undefined;
    if (type === '0' || type === '\0' || type === '7') this.entries.push({ name, size });
  }

  #endLong() {
    const { type, size, parts } = this.#long;
    const record = Buffer.concat(parts).toString('utf8', 0, size);
    this.#long = undefined;
    const name = type === 'L' ? record.replace(/\0.*$/s, '') : /^\d+ path=(.*)$/m.exec(record)?.[1];
    this.#nextName = name ?? this.#nextName;
  }
}

const text = (block, from, length) =>
  block
    .toString('latin1', from, from + length)
    .replace(/\0.*$/s, '')
    .trim();

/** Octal, or binary for files of 8 GiB and more. */
function sizeOf(block) {
  const size =
    (block[124] & 0x80) === 0
      ? Number.parseInt(text(block, 124, 12) || '0', 8)
      : Number(block.readBigUInt64BE(128));
  if (!Number.isSafeInteger(size) || size < 0) throw new DamagedArchive('holds an entry of impossible size');
  return size;
}

/** @returns {Promise<string>} SHA-256, hexadecimal */
export async function sha256(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
