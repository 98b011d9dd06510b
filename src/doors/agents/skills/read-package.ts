/**
 * Reads a skill's package (contract agents §4): a gzipped tar of plain files and folders. Nothing is written and nothing
 * is believed: no links, no devices, no absolute paths, no `..`, no name twice, and limits on everything.
 */
import { gunzipSync } from 'node:zlib';
import { nameProblem } from '../../../evidence/entry-names.ts';
import { ReeveError } from '../../../model/errors.ts';

/** Bytes of a package file, at most. */
export const PACKAGE_BYTES_MAX = 5 * 1024 * 1024;
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;
const ENTRIES_MAX = 2_000;
const BLOCK = 512;

export interface PackageFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly isExecutable: boolean;
}

/**
 * The files of a package, in its order.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: it is no package; E_UNSAFE_OPERATION {entry}: it holds what none may hold.
 */
export function readPackage(bytes: Uint8Array): readonly PackageFile[] {
  if (bytes.length > PACKAGE_BYTES_MAX)
    throw malformed(`has ${bytes.length} bytes, at most ${PACKAGE_BYTES_MAX} are read`, {
      value: bytes.length,
      limit: PACKAGE_BYTES_MAX,
    });
  const tar = unzip(bytes);
  const files: PackageFile[] = [];
  const taken = new Set<string>();
  const folders = new Set<string>();
  let at = 0;
  for (let count = 0; ; count += 1) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.length < BLOCK) throw malformed('ends in the middle of an entry');
    if (isZero(header)) break;
    if (count >= ENTRIES_MAX) throw malformed(`has more than ${ENTRIES_MAX} entries`, { limit: ENTRIES_MAX });
    const entry = readHeader(header);
    at += BLOCK;
    if (entry.path === '') {
      if (entry.kind === 'folder') continue; // the root itself
      throw malformed('has an entry without a name');
    }
    const problem = nameProblem(entry.path);
    if (problem !== undefined) throw unsafe(entry.path, problem);
    claim(entry, taken, folders);
    if (entry.kind === 'folder') continue;
    const content = tar.subarray(at, at + entry.size);
    if (content.length < entry.size) throw malformed('ends in the middle of a file');
    files.push({ path: entry.path, bytes: content, isExecutable: entry.isExecutable });
    at += Math.ceil(entry.size / BLOCK) * BLOCK;
  }
  if (!isZero(tar.subarray(at))) throw malformed('has something behind its end');
  return files;
}

interface Entry {
  readonly path: string;
  readonly kind: 'file' | 'folder';
  readonly size: number;
  readonly isExecutable: boolean;
}

/** A path is one thing: a file once, or a folder. */
function claim({ path, kind }: Entry, files: Set<string>, folders: Set<string>): void {
  const parts = path.split('/');
  for (let depth = 1; depth < parts.length; depth += 1) {
    const above = parts.slice(0, depth).join('/');
    if (files.has(above)) throw unsafe(path, 'lies below a file');
    folders.add(above);
  }
  if (files.has(path) || (kind === 'file' && folders.has(path))) throw unsafe(path, 'is there twice');
  (kind === 'file' ? files : folders).add(path);
}

function readHeader(header: Buffer): Entry {
  const sum = octal(header, 148, 8);
  let actual = 8 * 32;
  for (const [index, byte] of header.entries()) if (index < 148 || index >= 156) actual += byte;
  if (sum !== actual) throw malformed('has a header whose checksum is wrong: it is no tar, or damaged');
  const prefix =
    header.toString('latin1', 257, 262) === 'ustar' && header[262] === 0 ? text(header, 345, 155) : '';
  const name = (prefix === '' ? '' : `${prefix}/`) + text(header, 0, 100);
  const path = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
  const type = String.fromCharCode(header[156] ?? 0);
  const shown = path === '.' ? '' : path;
  if (type === '5') return { path: shown, kind: 'folder', size: 0, isExecutable: false };
  if (type !== '0' && type !== '\0')
    throw unsafe(name, KINDS[type] ?? `is of a kind (${JSON.stringify(type)}) that is not read`);
  if (name.endsWith('/')) throw malformed(`has a file that is named like a folder: ${JSON.stringify(name)}`);
  return {
    path: shown,
    kind: 'file',
    size: octal(header, 124, 12),
    isExecutable: (octal(header, 100, 8) & 0o100) !== 0,
  };
}

const KINDS: Readonly<Record<string, string>> = {
  '1': 'is a link',
  '2': 'is a symbolic link',
  '3': 'is a device',
  '4': 'is a device',
  '6': 'is a FIFO',
};

function octal(header: Buffer, at: number, length: number): number {
  const digits = text(header, at, length).trim();
  if (!/^[0-7]{1,11}$/.test(digits)) throw malformed('has a header with a number that is none');
  return Number.parseInt(digits, 8);
}

function text(header: Buffer, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

function unzip(bytes: Uint8Array): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX });
  } catch (cause) {
    const isTooLarge = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw malformed(
      isTooLarge ? `holds more than ${UNPACKED_BYTES_MAX} bytes` : 'is not gzipped, or damaged',
      isTooLarge ? { limit: UNPACKED_BYTES_MAX } : {},
      cause,
    );
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

function malformed(
  problem: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): ReeveError {
  return new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `the package ${problem}`,
    { problem, ...details },
    { cause },
  );
}

function unsafe(entry: string, problem: string): ReeveError {
  return new ReeveError(
    'E_UNSAFE_OPERATION',
    `the package holds ${JSON.stringify(entry)}, which ${problem}`,
    {
      entry,
      problem,
    },
  );
}
