/**
 * Writes a gzipped tar whose every byte follows from its files: in order, without times, owners or the machine's own
 * compressor (two versions of zlib compress alike only by chance, so nothing is compressed). Any tar reads it.
 */
import { crc32 } from 'node:zlib';
import { compareBytes } from '../../../evidence/entry-names.ts';
import type { PackageFile } from './read-package.ts';
import { SkillProblem } from './problem.ts';

const BLOCK = 512;
/** Of a block of deflate that is not compressed. */
const STORED_BYTES_MAX = 0xffff;
/** No name, no time, system 255 (unknown). */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/** @throws SkillProblem unsafe_path: a path is too long for the format. */
export function writeArchive(files: readonly PackageFile[]): Buffer {
  const parts = files
    .toSorted((a, b) => compareBytes(a.path, b.path))
    .flatMap((file) => [headerOf(file), file.bytes, Buffer.alloc(-file.bytes.length & (BLOCK - 1))]);
  return gzipped(Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]));
}

function headerOf({ path, bytes, isExecutable }: PackageFile): Buffer {
  const header = Buffer.alloc(BLOCK);
  const { name, prefix } = splitPath(path);
  const octal = (value: number, at: number, length: number): void =>
    void header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  header.write(name, 0);
  octal(isExecutable ? 0o755 : 0o644, 100, 8);
  octal(0, 108, 8); // uid
  octal(0, 116, 8); // gid
  octal(bytes.length, 124, 12);
  octal(0, 136, 12); // mtime
  header.fill(' ', 148, 156);
  header.write('0', 156); // a file
  header.write('ustar\u000000', 257, 'latin1');
  octal(0, 329, 8);
  octal(0, 337, 8);
  header.write(prefix, 345);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** 100 bytes of name, and before it a folder of 155. */
function splitPath(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return { name, prefix };
  }
  throw new SkillProblem('unsafe_path', `${JSON.stringify(path)} is too long for a path of a package`, path);
}

function gzipped(bytes: Buffer): Buffer {
  const parts: Buffer[] = [GZIP_HEADER];
  for (let at = 0; at < bytes.length; at += STORED_BYTES_MAX) {
    const piece = bytes.subarray(at, at + STORED_BYTES_MAX);
    const head = Buffer.alloc(5);
    head.writeUInt8(at + piece.length === bytes.length ? 1 : 0, 0);
    head.writeUInt16LE(piece.length, 1);
    head.writeUInt16LE(~piece.length & 0xffff, 3);
    parts.push(head, piece);
  }
  const end = Buffer.alloc(8);
  end.writeUInt32LE(crc32(bytes), 0);
  end.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([...parts, end]);
}
