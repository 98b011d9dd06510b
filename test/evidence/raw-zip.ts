/** Zip archives made by hand, byte by byte, right or wrong: nothing of the program's own writer is used here. */
import { crc32, deflateRawSync } from 'node:zlib';

export interface RawEntry {
  readonly name: string | Buffer;
  readonly data: string | Uint8Array;
  readonly method?: 'stored' | 'deflated';
  /** Compressed bytes to use instead of what the data gives. */
  readonly packed?: Uint8Array;
  /** What headers and descriptor claim instead of the truth. */
  readonly claims?: { readonly bytes?: number; readonly packedBytes?: number; readonly crc?: number };
  readonly madeBy?: number;
  /** Version that is needed. */
  readonly needed?: number;
  readonly internal?: number;
  /** `none`: sizes stand before the data; `also`: before and behind. */
  readonly descriptor?: 'none' | 'also';
  readonly attributes?: number;
  readonly flags?: number;
  readonly extra?: Buffer;
  readonly comment?: string;
  /** Differs in the local header only. */
  readonly local?: {
    readonly name?: string;
    readonly flags?: number;
    readonly extra?: Buffer;
    readonly date?: number;
  };
  /** Bytes between this entry and the next. */
  readonly gap?: string;
}

export interface RawArchive {
  readonly before?: string;
  readonly after?: string;
  readonly comment?: string;
  readonly disk?: number;
  /** Entries that the end record counts besides those that are there. */
  readonly miscount?: number;
  readonly directory?: 'reversed' | 'doubled';
}

const EXTRA = Buffer.from('555405000100a6ce12', 'hex');

export function rawZip(entries: readonly RawEntry[], archive: RawArchive = {}): Buffer {
  const parts: Buffer[] = [Buffer.from(archive.before ?? '')];
  const central: Buffer[] = [];
  let offset = parts[0]!.length;
  const push = (part: Buffer): void => {
    parts.push(part);
    offset += part.length;
  };
  for (const entry of entries) {
    const { method = 'stored', flags = 8, extra = EXTRA, local = {}, claims = {} } = entry;
    const data = Buffer.from(entry.data);
    const packed = Buffer.from(entry.packed ?? (method === 'stored' ? data : deflateRawSync(data)));
    const sizes = [
      claims.crc ?? crc32(data),
      claims.packedBytes ?? packed.length,
      claims.bytes ?? data.length,
    ];
    const name = Buffer.from(entry.name);
    const at = offset;
    push(
      header(
        '504b0304',
        [entry.needed ?? 20, local.flags ?? flags, method === 'stored' ? 0 : 8, 0, local.date ?? 0x21],
        entry.descriptor === undefined ? [0, 0, 0] : sizes,
        Buffer.from(local.name ?? name),
        local.extra ?? extra,
      ),
    );
    push(packed);
    if (entry.descriptor !== 'none') push(Buffer.concat([Buffer.from('504b0708', 'hex'), ...sizes.map(u32)]));
    push(Buffer.from(entry.gap ?? ''));
    const comment = Buffer.from(entry.comment ?? '');
    central.push(
      Buffer.concat([
        Buffer.from('504b0102', 'hex'),
        ...[entry.madeBy ?? 20, entry.needed ?? 20, flags, method === 'stored' ? 0 : 8, 0, 0x21].map(u16),
        ...sizes.map(u32),
        ...[name.length, extra.length, comment.length, 0, entry.internal ?? 0].map(u16),
        u32(entry.attributes ?? 0),
        u32(at),
        name,
        extra,
        comment,
      ]),
    );
  }
  if (archive.directory === 'reversed') central.reverse();
  if (archive.directory === 'doubled') central.push(central[0]!);
  const directory = Buffer.concat(central);
  const comment = Buffer.from(archive.comment ?? '');
  const count = central.length + (archive.miscount ?? 0);
  const end = Buffer.concat([
    Buffer.from('504b0506', 'hex'),
    ...[archive.disk ?? 0, archive.disk ?? 0, count, count].map(u16),
    u32(directory.length),
    u32(offset),
    u16(comment.length),
    comment,
  ]);
  return Buffer.concat([...parts, directory, end, Buffer.from(archive.after ?? '')]);
}

function header(
  signature: string,
  shorts: readonly number[],
  longs: readonly number[],
  name: Buffer,
  extra: Buffer,
): Buffer {
  return Buffer.concat([
    Buffer.from(signature, 'hex'),
    ...shorts.map(u16),
    ...longs.map(u32),
    u16(name.length),
    u16(extra.length),
    name,
    extra,
  ]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** What a plain reader, which trusts the directory, finds in a stored archive. */
export function readPlainZip(archive: Buffer): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  let at = archive.readUInt32LE(archive.length - 6);
  for (let left = archive.readUInt16LE(archive.length - 12); left > 0; left -= 1) {
    const nameLength = archive.readUInt16LE(at + 28);
    const local = archive.readUInt32LE(at + 42);
    const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    found.set(name, archive.subarray(start, start + archive.readUInt32LE(at + 20)));
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return found;
}
