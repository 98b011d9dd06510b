#!/usr/bin/env node
// Checks a jobpack, offline. One file, nothing but Node (20 or newer), written from docs/jobpack.md alone and apart from
// Reeve's own verifier, so that a mistake has to be made twice to go unseen. "Step n" is that of "How to verify" there.
//
//   node verify.mjs <pack> [--public-key <pem>]… [--trust <file>] [--require-signature] [--require-signed-approvals]
//                          [--signature <file>] [--json]
//
// Exit 0: the pack is what its record says. 2: it is not. 6: its form or the command is wrong.
// @ts-nocheck -- plain JavaScript, with types only where others call it

import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createInflateRaw } from 'node:zlib';

const MIB = 1024 * 1024;
const MAX_TOTAL = 512 * MIB; // inflated, all entries together
const MAX_PIECE = 16 * MIB; // a document, a line, the directory; entries above it have to be no bombs
const MAX_RATIO = 100;
const MAX_DEPTH = 1000; // of nesting
const CHUNK = 256 * 1024;

export class Refusal extends Error {
  /** @param {'E_VERIFY_HASH_MISMATCH' | 'E_INVALID_INPUT_SCHEMA'} code */
  constructor(code, message, details) {
    super(message);
    this.code = code;
    this.details = details;
    this.exitCode = code === 'E_VERIFY_HASH_MISMATCH' ? 2 : 6;
  }
}
const mismatch = (message, details = {}) => new Refusal('E_VERIFY_HASH_MISMATCH', message, details);
const invalid = (message, details = {}) => new Refusal('E_INVALID_INPUT_SCHEMA', message, details);

/**
 * @param {string} path of the pack
 * @param {{publicKeys?: string[], trust?: string, requireSignature?: boolean, requireSignedApprovals?: boolean,
 *   signature?: string}} [options] publicKeys, trust and signature are paths
 * @returns {Promise<{job_id: string, manifest_sha256: string, files_verified: number, signed_by?: string[], unknown_keys?: string[]}>}
 * @throws {Refusal}
 */
export async function verify(path, options = {}) {
  const keys = readKeys(options);
  const pack = openPack(path); // step 1
  try {
    readDirectory(pack); // step 2
    const manifest = await checkManifest(pack); // step 3
    await checkFiles(pack, manifest); // steps 4 and 5
    const artifacts = await checkSchemas(pack); // step 6
    await checkAgreement(pack, manifest, artifacts); // step 7
    const approvals = await checkChain(pack, manifest.job_id, artifacts); // step 8
    const signers = await checkSignatures(pack, path, manifest, approvals, keys, options); // step 9
    return {
      job_id: manifest.job_id,
      manifest_sha256: manifest.manifest_sha256,
      files_verified: manifest.files.length,
      ...signers,
    };
  } finally {
    closeSync(pack.fd);
  }
}

// ---------------------------------------------------------------------------------------------------------- the archive

function openPack(path) {
  let fd;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // does not wait for the writer of a pipe
    const found = fstatSync(fd);
    if (found.isFile()) return { fd, size: found.size, entries: new Map() };
    throw new Error('it is not a file');
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw invalid(`${quote(path)} cannot be read: ${error.message}`, { path });
  }
}

function readAt(pack, offset, length) {
  const bytes = Buffer.allocUnsafe(length);
  let got = 0;
  while (got < length) {
    const n = readSync(pack.fd, bytes, got, length - got, offset + got);
    if (n === 0) throw mismatch('the archive ends too early');
    got += n;
  }
  return bytes;
}

/** Fills `entries` in the order of the directory. Headers and contents have to fill the file without a gap. */
function readDirectory(pack) {
  if (pack.size < 22) throw mismatch('too short for a zip archive');
  const end = readAt(pack, pack.size - 22, 22);
  const [count, size, start] = [end.readUInt16LE(10), end.readUInt32LE(12), end.readUInt32LE(16)];
  if (end.readUInt32LE(0) !== 0x06054b50) throw mismatch('does not end as a zip archive without a comment does');
  if (end.readUInt32LE(4) !== 0 || end.readUInt16LE(8) !== count) throw mismatch('an archive of several disks');
  if (count === 0xffff || size === 0xffffffff || start === 0xffffffff) throw mismatch('a ZIP64 archive');
  if (end.readUInt16LE(20) !== 0) throw mismatch('the archive has a comment');
  if (start + size + 22 !== pack.size) throw mismatch('the directory does not end where the archive does');
  if (size > MAX_PIECE) throw mismatch('the directory is too big', { limit: MAX_PIECE });

  const directory = readAt(pack, start, size);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const entry = readCentralRecord(directory, at);
    if (pack.entries.has(entry.name)) throw mismatch(`entry ${quote(entry.name)} is there twice`, { path: entry.name });
    pack.entries.set(entry.name, entry);
    at = entry.recordEnd;
  }
  if (at !== size) throw mismatch('the directory holds something else');

  let position = 0;
  let total = 0;
  for (const entry of [...pack.entries.values()].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset !== position) throw mismatch(`something stands before entry ${quote(entry.name)}`, { path: entry.name });
    position = readLocalHeader(pack, entry, start);
    total += entry.size;
    if (total > MAX_TOTAL) throw mismatch('the archive inflates to too much', { limit: MAX_TOTAL });
  }
  if (position !== start) throw mismatch('something stands before the directory');
}

/** Attributes of plain files as Unix writers store them. */
const PLAIN_MODES = [0, 0o600, 0o644, 0o100600, 0o100644].map((mode) => mode * 65536);

function readCentralRecord(directory, at) {
  if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50) throw mismatch('a broken directory');
  const u16 = (offset) => directory.readUInt16LE(at + offset);
  const u32 = (offset) => directory.readUInt32LE(at + offset);
  const nameEnd = at + 46 + u16(28);
  const recordEnd = nameEnd + u16(30);
  if (recordEnd > directory.length) throw mismatch('a broken directory');
  const nameBytes = directory.subarray(at + 46, nameEnd);
  const name = entryName(nameBytes);
  const refuse = (what) => mismatch(`entry ${quote(name)}: ${what}`, { path: name });
  const [madeBy, needed, flags, method, mode] = [u16(4), u16(6), u16(8), u16(10), u32(38)];
  const plain = madeBy === 20 ? mode === 0 : madeBy === 0x0314 && PLAIN_MODES.includes(mode);
  if (!plain || u16(36) !== 0) throw refuse('not a plain file');
  if (needed !== 10 && needed !== 20) throw refuse('needs a newer zip');
  if ((flags & ~0x080e) !== 0) throw refuse('encrypted, or has flags that readers understand differently');
  if (method !== 0 && method !== 8) throw refuse('neither stored nor deflated');
  if (u16(32) !== 0 || u16(34) !== 0) throw refuse('has a comment or is on another disk');
  const extra = directory.subarray(nameEnd, recordEnd);
  checkExtra(extra, refuse);
  const entry = { name, nameBytes, extra, recordEnd, flags, method, crc: u32(16), packed: u32(20), size: u32(24), offset: u32(42) };
  entry.common = directory.subarray(at + 6, at + 16); // version needed, flags, method, time, date
  if (entry.packed === 0xffffffff || entry.size === 0xffffffff || entry.offset === 0xffffffff) throw refuse('ZIP64');
  if (method === 0 && entry.packed !== entry.size) throw refuse('stored with two sizes');
  if (entry.size > MAX_PIECE && entry.size > MAX_RATIO * entry.packed) throw refuse('inflates to too much');
  return entry;
}

/** ZIP64 sizes and Unicode names in extra fields would mean another entry to some readers. */
function checkExtra(extra, refuse) {
  let at = 0;
  while (at < extra.length) {
    if (at + 4 > extra.length) throw refuse('a broken extra field');
    if ([0x0001, 0x7075].includes(extra.readUInt16LE(at))) throw refuse('an extra field that changes its meaning');
    at += 4 + extra.readUInt16LE(at + 2);
  }
  if (at !== extra.length) throw refuse('a broken extra field');
}

/** Compares the local header and the descriptor with the directory; gives where the entry ends. */
function readLocalHeader(pack, entry, limit) {
  const refuse = (what) => mismatch(`entry ${quote(entry.name)}: ${what}`, { path: entry.name });
  const headerLength = 30 + entry.nameBytes.length + entry.extra.length;
  if (entry.offset + headerLength > limit) throw refuse('its header is outside');
  const header = readAt(pack, entry.offset, headerLength);
  const sizes = Buffer.alloc(12);
  [entry.crc, entry.packed, entry.size].forEach((value, i) => sizes.writeUInt32LE(value, 4 * i));
  const lengths = Buffer.alloc(4);
  [entry.nameBytes.length, entry.extra.length].forEach((value, i) => lengths.writeUInt16LE(value, 2 * i));
  const descriptor = (entry.flags & 8) !== 0;
  const later = descriptor && header.subarray(14, 26).every((byte) => byte === 0);
  const start = Buffer.from('PK\x03\x04');
  const expected = [start, entry.common, later ? Buffer.alloc(12) : sizes, lengths, entry.nameBytes, entry.extra];
  if (!header.equals(Buffer.concat(expected))) throw refuse('its two headers differ');

  entry.dataStart = entry.offset + headerLength;
  const dataEnd = entry.dataStart + entry.packed;
  const entryEnd = dataEnd + (descriptor ? 16 : 0);
  if (entryEnd > limit) throw refuse('its content is outside');
  if (descriptor) {
    const found = readAt(pack, dataEnd, 16);
    if (found.readUInt32LE(0) !== 0x08074b50 || !found.subarray(4).equals(sizes)) throw refuse('its descriptor differs');
  }
  return entryEnd;
}

function entryName(bytes) {
  const name = utf8(bytes);
  const details = { path: name ?? bytes.toString('latin1') };
  if (name === null || !isSafeName(name)) throw mismatch(`${quote(details.path)} is no name for an entry`, details);
  return name;
}

function isSafeName(name) {
  if (/[\u0000-\u001f\u007f-\u009f\\]/.test(name) || /^[a-z]:/i.test(name)) return false;
  return name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** The content of an entry, piece by piece. The end comes only if size and CRC are right. */
async function* chunks(pack, entry) {
  const refuse = (what) => mismatch(`entry ${quote(entry.name)}: ${what}`, { path: entry.name });
  let [crc, size] = [0, 0];
  for await (const chunk of entry.method === 0 ? packedChunks(pack, entry) : inflatedChunks(pack, entry, refuse)) {
    size += chunk.length;
    if (size > entry.size) throw refuse('is longer than it says');
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (crc !== entry.crc || size !== entry.size) throw refuse('its CRC or size is wrong');
}

function* packedChunks(pack, entry) {
  const end = entry.dataStart + entry.packed;
  for (let at = entry.dataStart; at < end; at += CHUNK) yield readAt(pack, at, Math.min(CHUNK, end - at));
}

async function* inflatedChunks(pack, entry, refuse) {
  const inflater = createInflateRaw();
  pipeline(Readable.from(packedChunks(pack, entry)), inflater, () => {});
  try {
    yield* inflater;
  } catch (error) {
    throw error instanceof Refusal ? error : refuse('cannot be inflated');
  } finally {
    inflater.destroy();
  }
  if (inflater.bytesWritten !== entry.packed) throw refuse('something stands behind its content');
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

function crc32(bytes, crc) {
  crc = ~crc;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// ------------------------------------------------------------------------------------------------- documents and lines

const sha256 = (data) => createHash('sha256').update(data).digest('hex');

function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

async function readBytes(pack, name) {
  const entry = pack.entries.get(name);
  if (entry.size > MAX_PIECE) throw mismatch(`${name} is too big for a document`, { path: name, limit: MAX_PIECE });
  const parts = [];
  for await (const chunk of chunks(pack, entry)) parts.push(chunk);
  return Buffer.concat(parts);
}

/** @param unreadable what to throw for bytes that are no JSON: `invalid`, or below reeve/ `mismatch` */
async function readDocument(pack, name, unreadable) {
  return parse(await readBytes(pack, name), name, unreadable);
}

/** Lines end at byte 0x0A only. Gives their bytes without it. */
async function* rawLines(pack, name) {
  let parts = [];
  let length = 0;
  for await (const chunk of chunks(pack, pack.entries.get(name))) {
    let start = 0;
    while (start < chunk.length) {
      const found = chunk.indexOf(10, start);
      const stop = found === -1 ? chunk.length : found;
      length += stop - start;
      if (length > MAX_PIECE) throw mismatch(`${name} has a line that is too long`, { path: name, limit: MAX_PIECE });
      parts.push(chunk.subarray(start, stop));
      if (found !== -1) {
        yield parts.length === 1 ? parts[0] : Buffer.concat(parts);
        [parts, length] = [[], 0];
      }
      start = stop + 1;
    }
  }
  if (length > 0) yield Buffer.concat(parts);
}

const isBlank = (line) => line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);

/** The lines as [value, number of the line]; blank ones are passed over. An entry that is not there has none. */
async function* lines(pack, name) {
  if (!pack.entries.has(name)) return;
  let number = 0;
  for await (const line of rawLines(pack, name)) {
    number++;
    if (isBlank(line)) continue;
    yield [parse(line, name, invalid, number), number];
  }
}

/** JSON that every reader understands alike: no name twice in an object, no lone surrogate, no number beyond a double. */
function parse(bytes, path, unreadable, line) {
  const details = line === undefined ? { path } : { path, line };
  const where = line === undefined ? path : `line ${line} of ${path}`;
  const text = utf8(bytes);
  if (text === null) throw unreadable(`${where} is not UTF-8`, details);
  let [depth, names, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted && char === '\\') i++;
    else if (char === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (char === ':') names++;
    else if (char === ']' || char === '}') depth--;
    else if ((char === '[' || char === '{') && ++depth > MAX_DEPTH) throw mismatch(`${where} is nested too deep`, details);
  }
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unreadable(`${where} is not JSON: ${error.message}`, details);
  }
  if (countNames(value) !== names) throw mismatch(`${where} has a name twice, or a text or number that is none`, details);
  return value;
}

/** How many names all objects have; NaN where there is something that RFC 8785 has no form for. */
function countNames(value) {
  if (typeof value === 'string') return value.isWellFormed() ? 0 : Number.NaN;
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : Number.NaN;
  if (value === null || typeof value !== 'object') return 0;
  let count = 0;
  if (Array.isArray(value)) for (const item of value) count += countNames(item);
  else for (const name of Object.keys(value)) count += 1 + countNames(name) + countNames(value[name]);
  return count;
}

/** RFC 8785: names by UTF-16 units, numbers and escapes as ECMAScript writes them. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(',')}}`;
}

/** Two values are the same if their RFC 8785 forms are. */
const same = (a, b) => canonical(a) === canonical(b);
const quote = (text) => JSON.stringify(text);

// ------------------------------------------------------------------------------------------------------------- schemas

// A check gives null, or what is wrong as a text.
const rule = (test, what) => (value, at) => (test(value) ? null : `${at || '/'} has to be ${what}`);
const oneOf = (...values) => rule((v) => values.includes(v), values.map(quote).join(' or '));
const matching = (pattern) => rule((v) => typeof v === 'string' && pattern.test(v), `a text like ${pattern.source}`);
const text = rule((v) => typeof v === 'string', 'a text');
const filled = rule((v) => typeof v === 'string' && v !== '', 'a text that is not empty');
const flag = rule((v) => typeof v === 'boolean', 'true or false');
const count = rule((v) => Number.isInteger(v) && v >= 0, 'a whole number from 0');
const anyObject = rule((v) => typeof v === 'object' && v !== null && !Array.isArray(v), 'an object');
const hex64 = matching(/^[a-f0-9]{64}$/);
const summary = rule((v) => typeof v === 'string' && v !== '' && [...v].length <= 2000, 'a text of 1 to 2000 characters');
const time = rule((v) => typeof v === 'string' && instant(v) !== null, 'a time as in RFC 3339');

const list = (item) => (value, at) => {
  if (!Array.isArray(value)) return `${at || '/'} has to be a list`;
  for (let i = 0; i < value.length; i++) {
    const problem = item(value[i], `${at}/${i}`);
    if (problem !== null) return problem;
  }
  return null;
};

const object = (required, optional = {}) => (value, at = '') => {
  if (anyObject(value) !== null) return anyObject(value, at);
  for (const name of Object.keys(required)) if (!Object.hasOwn(value, name)) return `${at}/${name} is missing`;
  for (const name of Object.keys(value)) {
    const check = Object.hasOwn(required, name) ? required[name] : Object.hasOwn(optional, name) ? optional[name] : null;
    const problem = check === null ? `${at}/${name} is not known` : check(value[name], `${at}/${name}`);
    if (problem !== null) return problem;
  }
  return null;
};

const record = (id, fields, optional) =>
  object(
    {
      schema_id: oneOf(id),
      schema_version: matching(/^v1(\.[0-9]+)?$/),
      created_at: time,
      producer_version: filled,
      job_id: filled,
      ...fields,
    },
    optional,
  );

const MANIFEST = record('wrkr.jobpack_manifest', { manifest_sha256: hex64, files: list(object({ path: filled, sha256: hex64 })) });
const JOB = record('wrkr.job', { name: filled, status: filled, budgets: anyObject });
const EVENT = record('wrkr.event', { event_id: filled, type: filled, executed: flag, payload: anyObject });
const CHECKPOINT = record(
  'wrkr.checkpoint',
  {
    checkpoint_id: filled,
    type: oneOf('plan', 'progress', 'decision-needed', 'blocked', 'completed'),
    summary,
    status: oneOf('queued', 'running', 'paused', 'blocked_decision', 'blocked_budget', 'blocked_error', 'completed', 'canceled'),
    budget_state: object({ wall_time_seconds: count, retry_count: count, step_count: count, tool_call_count: count }),
    artifacts_delta: object({ added: list(text), changed: list(text), removed: list(text) }),
    reason_codes: list(filled),
  },
  { required_action: object({}, { kind: text, instructions: text }) },
);
const APPROVAL = record('wrkr.approval_record', { checkpoint_id: filled, reason: filled, approved_by: filled });
const ARTIFACTS = record('wrkr.artifacts_manifest', {
  capture_mode: oneOf('reference-only', 'raw'),
  artifacts: list(object({ path: filled, sha256: hex64 }, { redacted: flag })),
});
const ACCEPTANCE = record('wrkr.accept_result', {
  checks_run: count,
  checks_passed: count,
  failures: list(object({ check: filled, message: filled }, { artifact: text })),
  reason_codes: list(filled),
});

function fits(value, schema, path, line) {
  const problem = schema(value, '');
  if (problem === null) return value;
  throw invalid(`${line === undefined ? path : `line ${line} of ${path}`}: ${problem}`, { path, line, error: problem });
}

/** A time of RFC 3339 as seconds since 1970 and nanoseconds, so that equal instants are equal texts; null if it is none. */
function instant(value) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/i.exec(value);
  if (found === null) return null;
  const [, date, hour, minute, second, fraction = '', sign, zoneHour = '0', zoneMinute = '0'] = found;
  const day = Date.parse(`${date}T00:00:00Z`);
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return null; // 30 February
  if (hour > 23 || minute > 59 || second > 59 || zoneHour > 23 || zoneMinute > 59) return null;
  const zone = (sign === '-' ? -1 : 1) * (zoneHour * 3600 + zoneMinute * 60);
  const seconds = day / 1000 + hour * 3600 + minute * 60 + Number(second) - zone;
  if (seconds < -62_167_219_200 || seconds >= 253_402_300_800) return null; // years 0000 to 9999
  return `${seconds}.${fraction.slice(0, 9).replace(/0+$/, '')}`;
}

/** The same of whole milliseconds since 1970. */
function instantOfMs(ms) {
  return Number.isInteger(ms) && Math.abs(ms) <= 8.64e15 ? instant(new Date(ms).toISOString()) : null;
}

// -------------------------------------------------------------------------------------------------------- steps 3 to 7

async function checkManifest(pack) {
  if (!pack.entries.has('manifest.json')) throw mismatch('there is no manifest.json', { path: 'manifest.json' });
  const manifest = fits(await readDocument(pack, 'manifest.json', invalid), MANIFEST, 'manifest.json');
  const expected = sha256(canonical({ ...manifest, manifest_sha256: '0'.repeat(64) }));
  const actual = manifest.manifest_sha256;
  if (expected !== actual) throw mismatch('the manifest is not what its hash says', { path: 'manifest.json', expected, actual });
  return manifest;
}

async function checkFiles(pack, manifest) {
  const listed = new Set(['manifest.json']);
  for (const { path, sha256: expected } of manifest.files) {
    if (!isSafeName(path)) throw mismatch(`the manifest names ${quote(path)}, which is no name for an entry`, { path });
    if (listed.has(path)) throw mismatch(`the manifest names ${quote(path)}, which it may not or did before`, { path });
    listed.add(path);
    const entry = pack.entries.get(path);
    if (entry === undefined) throw mismatch(`${quote(path)} is not in the pack`, { path });
    const hash = createHash('sha256');
    for await (const chunk of chunks(pack, entry)) hash.update(chunk);
    const actual = hash.digest('hex');
    entry.sha256 = actual;
    if (actual !== expected) throw mismatch(`${quote(path)} is not what the manifest says`, { path, expected, actual });
  }
  for (const path of pack.entries.keys()) {
    if (!listed.has(path)) throw mismatch(`the manifest does not name ${quote(path)}`, { path });
  }
  for (const path of ['job.json', 'events.jsonl', 'checkpoints.jsonl', 'artifacts_manifest.json']) {
    if (!listed.has(path)) throw mismatch(`${path} is missing`, { path });
  }
}

async function checkSchemas(pack) {
  fits(await readDocument(pack, 'job.json', invalid), JOB, 'job.json');
  const artifacts = fits(await readDocument(pack, 'artifacts_manifest.json', invalid), ARTIFACTS, 'artifacts_manifest.json');
  const accept = 'accept/accept_result.json';
  if (pack.entries.has(accept)) fits(await readDocument(pack, accept, invalid), ACCEPTANCE, accept);
  for (const [path, schema] of [['events.jsonl', EVENT], ['checkpoints.jsonl', CHECKPOINT], ['approvals.jsonl', APPROVAL]]) {
    for await (const [value, line] of lines(pack, path)) fits(value, schema, path, line);
  }
  return artifacts;
}

async function checkAgreement(pack, manifest, artifacts) {
  const jobId = manifest.job_id;
  const ofThisJob = (document, path) => {
    if (document.job_id !== jobId) throw mismatch(`${path} is about job ${quote(document.job_id)}`, { path, expected: jobId, actual: document.job_id });
    return document;
  };
  for (const path of ['job.json', 'artifacts_manifest.json', 'accept/accept_result.json']) {
    if (pack.entries.has(path)) ofThisJob(await readDocument(pack, path, invalid), path);
  }

  // The checkpoints and approvals are read beside the events: the next one has to be that of the next event of its kind.
  const checkpoints = lines(pack, 'checkpoints.jsonl');
  const approvals = lines(pack, 'approvals.jsonl');
  const next = async (source, path, event) => {
    const { value, done } = await source.next();
    if (done) throw mismatch(`${path} lacks what ${event.event_id} says`, { path });
    return ofThisJob(value[0], path);
  };
  const decisions = new Set();
  let seq = 0;
  for await (const [event] of lines(pack, 'events.jsonl')) {
    seq++;
    ofThisJob(event, 'events.jsonl');
    if (event.event_id !== `evt_${seq}`) throw mismatch(`event ${seq} is called ${quote(event.event_id)}`, { path: 'events.jsonl' });
    if (event.type === 'checkpoint_emitted') {
      const path = 'checkpoints.jsonl';
      const { created_at, producer_version, schema_version, ...found } = await next(checkpoints, path, event);
      const { type, summary, status, budget_state, artifacts_delta, reason_codes, required_action } = event.payload;
      const expected = { schema_id: 'wrkr.checkpoint', job_id: jobId, checkpoint_id: `cp_${seq}`, type, summary, status };
      Object.assign(expected, { budget_state, artifacts_delta, reason_codes });
      if (required_action !== undefined && required_action !== null) expected.required_action = required_action;
      if (!same(found, expected) || instant(created_at) !== instant(event.created_at)) {
        throw mismatch(`a checkpoint is not what ${event.event_id} says`, { path });
      }
      if (found.type === 'decision-needed') decisions.add(found.checkpoint_id);
    } else if (event.type === 'approval_recorded') {
      const path = 'approvals.jsonl';
      const { created_at, ...found } = await next(approvals, path, event);
      const { created_at: recorded, ...expected } = event.payload;
      if (!same(found, expected) || instant(created_at) !== instant(recorded)) {
        throw mismatch(`an approval is not what ${event.event_id} says`, { path });
      }
      if (!decisions.has(found.checkpoint_id)) throw mismatch(`${quote(found.checkpoint_id)} is no decision before it`, { path });
    }
  }
  for (const [source, path] of [[checkpoints, 'checkpoints.jsonl'], [approvals, 'approvals.jsonl']]) {
    if (!(await source.next()).done) throw mismatch(`${path} has more than the events say`, { path });
  }

  for (const { path, sha256: actual } of artifacts.artifacts) {
    const entry = `artifacts/${posix.normalize(path)}`;
    const raw = artifacts.capture_mode === 'raw';
    const expected = raw ? pack.entries.get(entry)?.sha256 : sha256(`reference:${path}`);
    if (actual !== expected) throw mismatch(`artifact ${quote(path)} is not as recorded`, { path: raw ? entry : path, expected, actual });
  }
}

// -------------------------------------------------------------------------------------------------------------- step 8

const CHAIN_ENTRIES = ['reeve/events.jsonl', 'reeve/nodes.jsonl', 'reeve/run.json'];

/** The types that an event of the chain has in events.jsonl; any event may be there as `reeve.<its type>` too. */
const WORDS = {
  checkpoint_emitted: ['checkpoint_emitted'],
  approval_recorded: ['approval_recorded'],
  attempt_ended: ['counters_updated'],
  key_recorded: ['idempotency_recorded'],
  run_created: ['job_initialized'],
  environment_recorded: ['env_fingerprint_set', 'env_override_recorded'],
  phase_changed: ['status_changed'],
  node_assigned: ['lease_set'],
  node_released: ['lease_released'],
  attempt_started: ['adapter_step'],
};

/** What both have to say alike, as [of the chain, of events.jsonl]. */
const EQUAL = {
  checkpoint_emitted: (event, payload) => [
    [event.checkpoint, event.summary, event.delta, event.reasonCodes, event.requiredAction ?? null],
    [payload.type, payload.summary, payload.artifacts_delta, payload.reason_codes, payload.required_action ?? null],
  ],
  approval_recorded: (event, payload) => [
    [typeof event.checkpoint === 'number' && `cp_${event.checkpoint}`, event.by, event.reason],
    [payload.checkpoint_id, payload.approved_by, payload.reason],
  ],
  attempt_ended: (event, payload) => [
    [event.total?.retries, event.total?.steps, event.total?.toolCalls],
    [payload.retry_count, payload.step_count, payload.tool_call_count],
  ],
  key_recorded: (event, payload) => [event.key, payload.key],
};

/** @returns the events of the chain that are approvals */
async function checkChain(pack, jobId, artifacts) {
  const approvals = [];
  if (!CHAIN_ENTRIES.some((path) => pack.entries.has(path))) return approvals;
  for (const path of CHAIN_ENTRIES) if (!pack.entries.has(path)) throw mismatch(`${path} is missing`, { path });
  const [chainPath, , runPath] = CHAIN_ENTRIES;
  const run = await readDocument(pack, runPath, mismatch);
  if (anyObject(run) !== null) throw mismatch(`${runPath} is not an object`, { path: runPath });
  if (run.format !== 1) throw invalid(`${runPath} has format ${quote(run.format)}, which is unknown`, { path: runPath });
  if (run.job_id !== jobId) throw mismatch(`${runPath} is about another job`, { path: runPath, expected: jobId, actual: run.job_id });

  const events = lines(pack, 'events.jsonl');
  const standing = { status: 'queued', budgets: { retry_count: 0, step_count: 0, tool_call_count: 0 }, paths: new Set() };
  let document;
  let head = sha256(`reeve.run:${jobId}`);
  let seq = 0;
  for await (const line of rawLines(pack, chainPath)) {
    if (isBlank(line)) continue;
    seq++;
    const link = readLink(line, seq, head);
    head = link.hash;
    const { value } = await events.next();
    if (value === undefined) throw mismatch('the chain has more events than events.jsonl', { path: chainPath });
    const [event] = value;
    if (!meansTheSame(link, event)) throw mismatch(`event ${seq} of the chain is not what events.jsonl says`, { path: chainPath, line: seq });
    if (anyObject(link.event.spec) === null) document = link.event.spec.document;
    if (link.event.type === 'approval_recorded') approvals.push(link.event);
    follow(standing, event);
  }
  if (!(await events.next()).done) throw mismatch('events.jsonl has more events than the chain', { path: chainPath });
  if (run.chain?.events !== seq || run.chain.head !== head) throw mismatch('the chain does not end in its head', { path: runPath, actual: head });

  const job = await readDocument(pack, 'job.json', invalid);
  if (job.status !== standing.status || !same(job.budgets, standing.budgets)) {
    throw mismatch('job.json is not what the events add up to', { path: 'job.json', expected: standing.status, actual: job.status });
  }
  const paths = artifacts.artifacts.map(({ path }) => path);
  if (paths.length !== standing.paths.size || !paths.every((path) => standing.paths.delete(path))) {
    throw mismatch('artifacts_manifest.json is not what the checkpoints add up to', { path: 'artifacts_manifest.json' });
  }
  const path = 'jobspec.json';
  if (pack.entries.has(path)) {
    const spec = await readDocument(pack, path, mismatch);
    if (!same(document, spec)) throw mismatch(`${path} is not the spec of the chain`, { path });
  }
  return approvals;
}

/** One line of the chain; its spelling is the only one possible, so the RFC 8785 form is made again and compared. */
function readLink(bytes, seq, previous) {
  const path = CHAIN_ENTRIES[0];
  const broken = (what) => mismatch(`line ${seq} of ${path}: ${what}`, { path, line: seq });
  const link = parse(bytes, path, mismatch, seq);
  const { body, hash, spill } = anyObject(link) === null ? link : {};
  if (anyObject(body) !== null || typeof hash !== 'string') throw broken('is no link of a chain');
  const bodyText = canonical(body);
  const text = `{"body":${bodyText},"hash":${quote(hash)}${spill === undefined ? '' : `,"spill":${canonical(spill)}`}}`;
  if (!bytes.equals(Buffer.from(text))) throw broken('is not spelled as a link is');
  const { at, event, seq: number, spilled } = body;
  const names = spill === undefined ? 'at,event,seq' : 'at,event,seq,spilled';
  if (Object.keys(body).join() !== names || anyObject(event) !== null || typeof event.type !== 'string') throw broken('has another body');
  if (number !== seq || instantOfMs(at) === null) throw broken('has a wrong number or time');
  if (hash !== sha256(`${previous}\n${bodyText}`)) throw broken('its hash is not that of the chain');
  if (spill === undefined) return { at, event, hash };
  const whole = anyObject(spill) === null && spill.type === event.type && Object.keys(event).length === 1;
  if (!whole || spilled !== sha256(canonical(spill))) throw broken('its payload is not what the chain says');
  return { at, event: spill, hash };
}

function meansTheSame({ at, event }, { type, payload, created_at }) {
  if (event.type === 'line_imported') {
    const { line } = event;
    return line?.type === type && instant(line.created_at) === instant(created_at) && same(line.payload === undefined ? {} : line.payload, payload);
  }
  if (instantOfMs(at) !== instant(created_at)) return false;
  if (type === `reeve.${event.type}`) {
    const { type: _, ...rest } = event;
    return same(rest, payload);
  }
  if (!Object.hasOwn(WORDS, event.type) || !WORDS[event.type].includes(type)) return false;
  const [a, b] = EQUAL[event.type]?.(event, payload) ?? [];
  return same(a, b);
}

/** What the events say about the job, one after the other. */
function follow(standing, { type, payload }) {
  const status = { job_initialized: payload.status, status_changed: payload.to }[type];
  if (typeof status === 'string' && status !== '') standing.status = status;
  if (type === 'counters_updated') {
    const { retry_count = 0, step_count = 0, tool_call_count = 0 } = payload;
    standing.budgets = { retry_count, step_count, tool_call_count };
  }
  if (type !== 'checkpoint_emitted') return;
  for (const path of [...payload.artifacts_delta.added, ...payload.artifacts_delta.changed]) standing.paths.add(path);
}

// ----------------------------------------------------------------------------------------------- step 9: the signatures

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** The keys that are known: id → {key, name} (a name only from a trust file; `required` if it has to have signed). */
function readKeys({ publicKeys = [], trust, requireSignature, requireSignedApprovals }) {
  const keys = new Map();
  const add = (pem, where, more) => {
    let key;
    try {
      key = createPublicKey(pem);
    } catch {
      throw invalid(`${where} holds no public key`, { path: where });
    }
    if (key.asymmetricKeyType !== 'ed25519') throw invalid(`${where} holds no Ed25519 key`, { path: where });
    const id = sha256(key.export({ type: 'spki', format: 'der' }));
    keys.set(id, { ...keys.get(id), ...more, key });
  };
  const read = (path) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw invalid(`${quote(path)} cannot be read: ${error.message}`, { path });
    }
  };
  if (trust !== undefined) {
    const file = parse(read(trust), trust, invalid);
    fits(file, object({ schema_id: oneOf('reeve.trust'), schema_version: oneOf('v1'), keys: list(object({ name: filled, public_key: filled })) }), trust);
    for (const { name, public_key } of file.keys) add(public_key, trust, { name });
  }
  for (const path of publicKeys) add(read(path), path, { required: true });
  if ((requireSignature || requireSignedApprovals) && publicKeys.length === 0 && trust === undefined) {
    throw invalid('a required signature needs --public-key or --trust');
  }
  return keys;
}

async function checkSignatures(pack, path, manifest, approvals, keys, options) {
  const jobId = manifest.job_id;
  let signedApprovals = 0;
  for (const approval of approvals) {
    const { signature, checkpoint, by, reason, binds } = approval;
    if (signature === undefined) continue;
    const id = `cp_${checkpoint}`;
    const predicate = { approved_by: by, checkpoint_id: id, job_id: jobId, reason };
    const statement = { predicateType: 'urn:reeve:approval:v1', predicate, subject: [{ digest: { sha256: binds }, name: `${jobId}/${id}` }] };
    const { good } = checkEnvelope(signature, statement, keys, `the signature of approval ${id}`);
    const names = good.map((keyid) => keys.get(keyid).name).filter((name) => name !== undefined);
    if (names.length > 0 && !names.includes(by)) throw mismatch(`approval ${id} of ${quote(by)} is signed by ${quote(names[0])}`);
    if (good.length > 0) signedApprovals++;
  }
  if (options.requireSignedApprovals) {
    let all = 0;
    for await (const _ of lines(pack, 'approvals.jsonl')) all++;
    if (signedApprovals !== all) throw mismatch(`${all - signedApprovals} of ${all} approvals are not signed by a known key`);
  }
  if (keys.size === 0 && !options.requireSignature) return {};

  const sidecarPath = options.signature ?? `${path}.sig.json`;
  let bytes;
  try {
    bytes = readFileSync(sidecarPath);
  } catch (error) {
    if (error.code === 'ENOENT' && !options.requireSignature && options.signature === undefined) return { signed_by: [], unknown_keys: [] };
    throw mismatch(`the signature ${quote(sidecarPath)} cannot be read`, { path: sidecarPath });
  }
  const name = `jobpack_${jobId}.zip`;
  const [hash, manifestHash] = [createHash('sha256'), sha256(await readBytes(pack, 'manifest.json'))];
  for (let at = 0; at < pack.size; at += CHUNK) hash.update(readAt(pack, at, Math.min(CHUNK, pack.size - at)));
  const statement = {
    predicateType: 'urn:reeve:jobpack:v1',
    predicate: { job_id: jobId, manifest_sha256: manifest.manifest_sha256 },
    subject: [
      { digest: { sha256: hash.digest('hex') }, name },
      { digest: { sha256: manifestHash }, name: 'manifest.json' },
    ],
  };
  const envelope = parse(bytes, sidecarPath, mismatch);
  const { good, unknown } = checkEnvelope(envelope, statement, keys, quote(sidecarPath));
  const missing = [...keys].find(([id, { required }]) => required && !good.includes(id));
  if (missing !== undefined) throw mismatch(`the pack is not signed by key ${missing[0]}`, { expected: missing[0] });
  if (good.length === 0) throw mismatch('the pack is not signed by a known key');
  return { signed_by: good.map((id) => keys.get(id).name ?? id), unknown_keys: unknown };
}

/** A DSSE envelope over exactly this statement: which known keys signed it, and which unknown ones. */
function checkEnvelope(envelope, statement, keys, where) {
  const form = object({ payload: text, payloadType: oneOf(PAYLOAD_TYPE), signatures: list(object({ keyid: hex64, sig: filled })) });
  const problem = form(envelope, '');
  if (problem !== null) throw mismatch(`${where}: ${problem}`);
  const payload = Buffer.from(canonical({ _type: 'https://in-toto.io/Statement/v1', ...statement }));
  if (envelope.payload !== payload.toString('base64')) throw mismatch(`${where} is about something else`);
  if (envelope.signatures.length === 0) throw mismatch(`${where} is by nobody`);
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `), payload]);
  const [good, unknown] = [[], []];
  let last = '';
  for (const { keyid, sig } of envelope.signatures) {
    if (keyid <= last) throw mismatch(`${where}: its signatures are not sorted, one for each key`);
    last = keyid;
    const bytes = Buffer.from(sig, 'base64');
    if (bytes.length !== 64 || bytes.toString('base64') !== sig) throw mismatch(`${where}: a signature is none`, { keyid });
    if (!keys.has(keyid)) unknown.push(keyid);
    else if (verifySignature(null, signed, keys.get(keyid).key, bytes)) good.push(keyid);
    else throw mismatch(`${where}: the signature by key ${keyid} is wrong`, { keyid });
  }
  return { good, unknown };
}

// -------------------------------------------------------------------------------------------------------- command line

/** Control characters and direction marks are written out, so that a pack cannot draw on the terminal. */
const printable = (line) =>
  line.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

async function main() {
  const json = process.argv.includes('--json');
  try {
    const result = await run(process.argv.slice(2));
    const { job_id, manifest_sha256, files_verified, signed_by = [], unknown_keys = [] } = result;
    if (json) return console.log(JSON.stringify(result, null, 2));
    console.log(printable(`verified job_id=${job_id} manifest=sha256:${manifest_sha256} files=${files_verified}`));
    for (const signer of signed_by) console.log(printable(`signed by ${signer}`));
    for (const keyid of unknown_keys) console.log(`signed by unknown key ${keyid}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code, message, details } = error;
    if (json) console.log(JSON.stringify({ code, message, details }, null, 2));
    else console.error(printable(`${code}: ${message}`));
    process.exitCode = error.exitCode;
  }
}

function run(args) {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        'public-key': { type: 'string', multiple: true },
        trust: { type: 'string' },
        signature: { type: 'string' },
        'require-signature': { type: 'boolean' },
        'require-signed-approvals': { type: 'boolean' },
        json: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw invalid(error.message);
  }
  const { values, positionals } = parsed;
  if (positionals.length !== 1) throw invalid('usage: node verify.mjs <pack> [--public-key <pem>] [--trust <file>] [--json]');
  return verify(positionals[0], {
    publicKeys: values['public-key'],
    trust: values.trust,
    signature: values.signature,
    requireSignature: values['require-signature'],
    requireSignedApprovals: values['require-signed-approvals'],
  });
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
