#!/usr/bin/env node
// Checks a jobpack, offline. One file, nothing but Node (20 or newer), written from docs/jobpack.md alone and apart from
// Reeve's own verifier, so that a mistake has to be made twice to go unseen. "Step n" is that of "How to verify" there.
//
//   node verify.mjs <pack> [--public-key <pem>]… [--trust <file>] [--require-signature] [--require-signed-approvals]
//                          [--signature <file>] [--json]
//
// Exit 0: the pack is what its record says. 2: it is not. 6: its form or the command is wrong.
// @ts-nocheck -- plain JavaScript, to be read and run as it is

import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { posix } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createInflateRaw } from 'node:zlib';

const MIB = 1024 * 1024;
const MAX_TOTAL = 512 * MIB; // inflated, all entries together
const MAX_PIECE = 16 * MIB; // a document, a line, the directory; bigger entries must not be bombs
const MAX_RATIO = 100;
const MAX_DEPTH = 1000; // of nesting
const CHUNK = 256 * 1024;

export class Refusal extends Error {
  constructor(exitCode, message, path) {
    super(message);
    this.exitCode = exitCode;
    this.code = exitCode === 2 ? 'E_VERIFY_HASH_MISMATCH' : 'E_INVALID_INPUT_SCHEMA';
    this.details = path === undefined ? {} : { path };
  }
}

/** What has to hold of the pack: it is not what its record says otherwise (2). */
function must(holds, message, path, exitCode = 2) {
  if (!holds) throw new Refusal(exitCode, message, path);
}

/** What has to hold of the form of documents, and of the command (6). */
const mustFit = (holds, message, path) => must(holds, message, path, 6);

/**
 * @param {string} path of the pack
 * @param {{publicKeys?: readonly string[], trust?: string, requireSignature?: boolean, requireSignedApprovals?: boolean,
 *   signature?: string}} [options] publicKeys, trust and signature are paths
 * @returns {Promise<{job_id: string, manifest_sha256: string, files_verified: number, signatures?: object[],
 *   approvals?: object[]}>} signatures and approvals where keys are known
 * @throws {Refusal}
 */
export async function verify(path, options = {}) {
  const keys = readKeys(options);
  const pack = openPack(path); // step 1
  try {
    readDirectory(pack); // step 2
    const manifest = await checkManifest(pack); // step 3
    await checkFiles(pack, manifest); // steps 4 and 5
    const { job_id, manifest_sha256, files } = manifest;
    const artifacts = await checkSchemas(pack); // step 6
    await checkAgreement(pack, job_id, artifacts); // step 7
    const recorded = await checkChain(pack, job_id, artifacts); // step 8
    const approvals = recorded.map((approval) => checkApproval(approval, job_id, keys, options)); // step 9
    const result = { job_id, manifest_sha256, files_verified: files.length };
    if (keys.size === 0) return result;
    return { ...result, signatures: await checkSidecar(pack, path, manifest, keys, options), approvals };
  } finally {
    closeSync(pack.fd);
  }
}

// ---- The archive ---------------------------------------------------------------------------------------------------

function openPack(path) {
  let fd;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // does not wait for the writer of a pipe
  } catch (error) {
    mustFit(false, `${quote(path)} cannot be read: ${error.message}`, path);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) closeSync(fd);
  mustFit(stat.isFile(), `${quote(path)} is not a file`, path);
  return { fd, size: stat.size, entries: new Map() };
}

function readAt(pack, offset, length, bytes = Buffer.allocUnsafe(length)) {
  for (let got = 0; got < length; ) {
    const n = readSync(pack.fd, bytes, got, length - got, offset + got);
    must(n > 0, 'the archive ends too early');
    got += n;
  }
  return bytes;
}

/** Fills `entries`. Headers and contents have to fill the file from its first byte to the directory. */
function readDirectory(pack) {
  must(pack.size >= 22, 'too short for a zip archive');
  const end = readAt(pack, pack.size - 22, 22);
  const [count, size, start] = [end.readUInt16LE(10), end.readUInt32LE(12), end.readUInt32LE(16)];
  must(
    end.readUInt32LE(0) === 0x06054b50 && end.readUInt16LE(20) === 0,
    'does not end as a zip without comment',
  );
  must(end.readUInt32LE(4) === 0 && end.readUInt16LE(8) === count, 'an archive of several disks');
  must(count !== 0xffff && size !== 0xffffffff && start !== 0xffffffff, 'a ZIP64 archive');
  must(start + size + 22 === pack.size, 'the directory does not end where the archive does');
  must(size <= MAX_PIECE, 'the directory is too big');

  const directory = readAt(pack, start, size);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const entry = readCentralHeader(directory, at);
    must(!pack.entries.has(entry.name), `entry ${quote(entry.name)} is there twice`, entry.name);
    pack.entries.set(entry.name, entry);
    at = entry.next;
  }
  must(at === size, 'the directory holds something else');

  let [position, total] = [0, 0];
  for (const entry of [...pack.entries.values()].toSorted((a, b) => a.offset - b.offset)) {
    must(entry.offset === position, `something else stands before entry ${quote(entry.name)}`, entry.name);
    position = readLocalHeader(pack, entry, start);
    total += entry.size;
  }
  must(position === start, 'something stands before the directory');
  must(total <= MAX_TOTAL, 'the archive inflates to too much');
}

/** Attributes of plain files as Unix writers store them. */
const PLAIN_MODES = [0, 0o600, 0o644, 0o100600, 0o100644].map((mode) => mode * 65536);

function readCentralHeader(directory, at) {
  const whole = at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50;
  must(whole, 'the directory is damaged');
  const u16 = (offset) => directory.readUInt16LE(at + offset);
  const u32 = (offset) => directory.readUInt32LE(at + offset);
  const nameEnd = at + 46 + u16(28);
  const next = nameEnd + u16(30);
  must(next <= directory.length, 'the directory is damaged');
  const [nameBytes, extra] = [directory.subarray(at + 46, nameEnd), directory.subarray(nameEnd, next)];
  const name = utf8(nameBytes);
  must(name !== null && isSafeName(name), `${quote(nameBytes.toString())} is no name for an entry`);
  const has = (holds, what) => must(holds, `entry ${quote(name)} ${what}`, name);
  const [madeBy, needed, flags, method, attributes] = [u16(4), u16(6), u16(8), u16(10), u32(38)];
  const [crc, packed, size, offset] = [u32(16), u32(20), u32(24), u32(42)];
  const plain = madeBy === 20 ? attributes === 0 : madeBy === 0x0314 && PLAIN_MODES.includes(attributes);
  has(plain && u16(36) === 0, 'is not a plain file');
  has(needed === 10 || needed === 20, 'needs a newer zip');
  has((flags & ~0x080e) === 0, 'is encrypted or special'); // descriptor, UTF-8, and how hard deflate tried
  has(method === 8 || (method === 0 && packed === size), 'is neither stored nor deflated');
  has(u16(32) === 0 && u16(34) === 0, 'has a comment or is on another disk');
  has(![packed, size, offset].includes(0xffffffff), 'needs ZIP64');
  has(size <= MAX_PIECE || size <= MAX_RATIO * packed, 'inflates to too much');
  for (let field = 0; field < extra.length; ) {
    has(field + 4 <= extra.length, 'has a damaged extra field');
    has(![0x0001, 0x7075].includes(extra.readUInt16LE(field)), 'has another size or name in its extra field');
    field += 4 + extra.readUInt16LE(field + 2);
    has(field <= extra.length, 'has a damaged extra field');
  }
  const repeated = directory.subarray(at + 6, at + 16); // version needed, flags, method, time, date
  return { name, nameBytes, extra, repeated, flags, method, crc, packed, size, offset, next, has };
}

/** Compares the local header and the descriptor with the directory; gives where the entry ends. */
function readLocalHeader(pack, entry, limit) {
  const { nameBytes, extra, crc, packed, size, has } = entry;
  entry.start = entry.offset + 30 + nameBytes.length + extra.length;
  const hasDescriptor = (entry.flags & 8) !== 0;
  const end = entry.start + packed + (hasDescriptor ? 16 : 0);
  has(end <= limit, 'reaches into the directory');
  const header = readAt(pack, entry.offset, entry.start - entry.offset);
  const sizes = Buffer.from(Uint32Array.of(crc, packed, size).buffer);
  const lengths = Buffer.from(Uint16Array.of(nameBytes.length, extra.length).buffer);
  const isLater = hasDescriptor && header.subarray(14, 26).every((byte) => byte === 0);
  const first = Buffer.concat([
    Buffer.from('PK\x03\x04'),
    entry.repeated,
    isLater ? Buffer.alloc(12) : sizes,
  ]);
  has(header.equals(Buffer.concat([first, lengths, nameBytes, extra])), 'has two headers that differ');
  const descriptor = Buffer.concat([Buffer.from('PK\x07\x08'), sizes]);
  if (hasDescriptor) has(readAt(pack, end - 16, 16).equals(descriptor), 'has a descriptor that differs');
  return end;
}

function isSafeName(name) {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f\\]/.test(name) || /^[a-z]:/i.test(name)) return false;
  return name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** The content of an entry. A piece is valid until the next; the end comes only if size and CRC are right. */
async function* chunks(pack, entry) {
  let [crc, size] = [0, 0];
  for await (const chunk of entry.method === 0 ? packedChunks(pack, entry) : inflatedChunks(pack, entry)) {
    size += chunk.length;
    entry.has(size <= entry.size, 'is longer than it says');
    crc = crc32(chunk, crc);
    yield chunk;
  }
  entry.has(crc === entry.crc && size === entry.size, 'has a wrong CRC or size');
}

function* packedChunks(pack, { start, packed }) {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, packed));
  for (let at = 0; at < packed; at += CHUNK) {
    const length = Math.min(CHUNK, packed - at);
    yield readAt(pack, start + at, length, buffer.subarray(0, length));
  }
}

function* copies(pieces) {
  for (const piece of pieces) yield Buffer.from(piece);
}

async function* inflatedChunks(pack, entry) {
  const inflater = createInflateRaw();
  const source = Readable.from(copies(packedChunks(pack, entry))); // a stream holds on to what it is given
  pipeline(source, inflater, () => {});
  try {
    yield* inflater;
  } catch (error) {
    entry.has(error instanceof Refusal, 'cannot be inflated');
    throw error;
  } finally {
    inflater.destroy();
  }
  entry.has(inflater.bytesWritten === entry.packed, 'has something behind its content');
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(bytes, before) {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// ---- Documents and lines -------------------------------------------------------------------------------------------

const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const quote = (text) => JSON.stringify(text);

function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

async function readBytes(pack, name) {
  const entry = pack.entries.get(name);
  entry.has(entry.size <= MAX_PIECE, 'is too big for a document');
  const parts = [];
  for await (const chunk of chunks(pack, entry)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** @param exitCode for bytes that are no JSON */
const readDocument = async (pack, name, exitCode = 6) => parse(await readBytes(pack, name), name, exitCode);

/** The bytes of each line. Lines end at byte 0x0A only; blank ones are passed over. */
async function* rawLines(pack, name) {
  let parts = [];
  let length = 0;
  for await (const chunk of chunks(pack, pack.entries.get(name))) {
    for (let start = 0; start < chunk.length; ) {
      const found = chunk.indexOf(10, start);
      const stop = found === -1 ? chunk.length : found;
      length += stop - start;
      must(length <= MAX_PIECE, `${name} has a line that is too long`, name);
      parts.push(found === -1 ? Buffer.from(chunk.subarray(start)) : chunk.subarray(start, stop));
      start = stop + 1;
      if (found === -1) break;
      const line = Buffer.concat(parts);
      [parts, length] = [[], 0];
      if (!isBlank(line)) yield line;
    }
  }
  const last = Buffer.concat(parts);
  if (!isBlank(last)) yield last;
}

const isBlank = (line) => line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);

/** The lines as values. An entry that is not there has none. */
async function* lines(pack, name) {
  if (pack.entries.has(name)) for await (const line of rawLines(pack, name)) yield parse(line, name, 6);
}

/** JSON that all readers understand alike: no name twice in an object, no half characters, no number beyond a double. */
function parse(bytes, path, exitCode, oddExitCode = 2) {
  const text = utf8(bytes);
  must(text !== null, `${path} is not UTF-8`, path, exitCode);
  let [depth, names, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (quoted && char === 0x5c) i++;
    else if (char === 0x22) quoted = !quoted;
    else if (quoted) continue;
    else if (char === 0x3a) names++;
    else if (char === 0x5d || char === 0x7d) depth--;
    else if (char === 0x5b || char === 0x7b)
      must(++depth <= MAX_DEPTH, `${path} is nested too deep`, path, oddExitCode);
  }
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    must(false, `${path} is not JSON: ${error.message}`, path, exitCode);
  }
  const isPlain = countNames(value) === names;
  must(isPlain, `${path} has a name twice, or a text or number that is none`, path, oddExitCode);
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
  const names = Object.keys(value).toSorted();
  return `{${names.map((name) => `${quote(name)}:${canonical(value[name])}`).join(',')}}`;
}

/** Two values are the same if their RFC 8785 forms are. */
const same = (a, b) => canonical(a) === canonical(b);

/** A time of RFC 3339 as seconds since 1970 and nanoseconds, so that equal instants are equal texts; else null. */
function instant(value) {
  const pattern = /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/i;
  const found = pattern.exec(value);
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

// ---- Schemas: a check gives null, or what is wrong -----------------------------------------------------------------

const rule = (test, what) => (value, at) => (test(value) ? null : `${at || '/'} has to be ${what}`);
const oneOf = (...values) => rule((v) => values.includes(v), values.map(quote).join(' or '));
const matching = (pattern) => rule((v) => typeof v === 'string' && pattern.test(v), `like ${pattern.source}`);
const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
const anyObject = rule(isObject, 'an object');
const text = rule((v) => typeof v === 'string', 'a text');
const filled = rule((v) => typeof v === 'string' && v !== '', 'a text that is not empty');
const summaryText = rule((v) => filled(v) === null && Array.from(v).length <= 2000, '1 to 2000 characters');
const flag = rule((v) => typeof v === 'boolean', 'true or false');
const count = rule((v) => Number.isInteger(v) && v >= 0, 'a whole number from 0');
const time = rule((v) => typeof v === 'string' && instant(v) !== null, 'a time as in RFC 3339');
const hex64 = matching(/^[a-f0-9]{64}$/);

const list = (item) => (value, at) => {
  if (!Array.isArray(value)) return `${at} has to be a list`;
  for (const [i, each] of value.entries()) {
    const problem = item(each, `${at}/${i}`);
    if (problem !== null) return problem;
  }
  return null;
};

/** An object with all of these fields, perhaps with the optional ones, and no others. */
const object = (required, optional = {}) => {
  const checks = new Map(Object.entries({ ...required, ...optional }));
  return (value, at = '') => {
    if (!isObject(value)) return anyObject(value, at);
    for (const name of Object.keys(required))
      if (!Object.hasOwn(value, name)) return `${at}/${name} is missing`;
    for (const name of Object.keys(value)) {
      const problem = checks.has(name)
        ? checks.get(name)(value[name], `${at}/${name}`)
        : `${at}/${name} is not known`;
      if (problem !== null) return problem;
    }
    return null;
  };
};

const VERSION = matching(/^v1(\.[0-9]+)?$/);
const ENVELOPE = { schema_version: VERSION, created_at: time, producer_version: filled, job_id: filled };
const record = (id, fields, optional) => object({ schema_id: oneOf(id), ...ENVELOPE, ...fields }, optional);

const STATUSES =
  'queued running paused blocked_decision blocked_budget blocked_error completed canceled'.split(' ');
const SCHEMAS = {
  'manifest.json': record('wrkr.jobpack_manifest', {
    manifest_sha256: hex64,
    files: list(object({ path: filled, sha256: hex64 })),
  }),
  'job.json': record('wrkr.job', { name: filled, status: filled, budgets: anyObject }),
  'artifacts_manifest.json': record('wrkr.artifacts_manifest', {
    capture_mode: oneOf('reference-only', 'raw'),
    artifacts: list(object({ path: filled, sha256: hex64 }, { redacted: flag })),
  }),
  'accept/accept_result.json': record('wrkr.accept_result', {
    checks_run: count,
    checks_passed: count,
    failures: list(object({ check: filled, message: filled }, { artifact: text })),
    reason_codes: list(filled),
  }),
  'events.jsonl': record('wrkr.event', {
    event_id: filled,
    type: filled,
    executed: flag,
    payload: anyObject,
  }),
  'checkpoints.jsonl': record(
    'wrkr.checkpoint',
    {
      checkpoint_id: filled,
      type: oneOf('plan', 'progress', 'decision-needed', 'blocked', 'completed'),
      summary: summaryText,
      status: oneOf(...STATUSES),
      budget_state: object({
        wall_time_seconds: count,
        retry_count: count,
        step_count: count,
        tool_call_count: count,
      }),
      artifacts_delta: object({ added: list(text), changed: list(text), removed: list(text) }),
      reason_codes: list(filled),
    },
    { required_action: object({}, { kind: text, instructions: text }) },
  ),
  'approvals.jsonl': record('wrkr.approval_record', {
    checkpoint_id: filled,
    reason: filled,
    approved_by: filled,
  }),
};

function fits(value, schema, path) {
  const problem = schema(value, '');
  mustFit(problem === null, `${path}: ${problem}`, path);
  return value;
}

// ---- Steps 3 to 7 --------------------------------------------------------------------------------------------------

const DOCUMENTS = ['job.json', 'artifacts_manifest.json', 'accept/accept_result.json'];
const LINES = ['events.jsonl', 'checkpoints.jsonl', 'approvals.jsonl'];

async function checkManifest(pack) {
  const path = 'manifest.json';
  must(pack.entries.has(path), 'there is no manifest.json', path);
  const manifest = fits(await readDocument(pack, path), SCHEMAS[path], path);
  const expected = sha256(canonical({ ...manifest, manifest_sha256: '0'.repeat(64) }));
  must(manifest.manifest_sha256 === expected, `the manifest's hash should be ${expected}`, path);
  return manifest;
}

async function checkFiles(pack, manifest) {
  const listed = new Set(['manifest.json']);
  for (const { path, sha256: expected } of manifest.files) {
    must(
      isSafeName(path) && !listed.has(path),
      `the manifest must not name ${quote(path)}, or not again`,
      path,
    );
    listed.add(path);
    const entry = pack.entries.get(path);
    must(entry !== undefined, `${quote(path)} is missing`, path);
    const hash = createHash('sha256');
    for await (const chunk of chunks(pack, entry)) hash.update(chunk);
    entry.sha256 = hash.digest('hex');
    must(entry.sha256 === expected, `${quote(path)} is not what the manifest says`, path);
  }
  for (const path of pack.entries.keys())
    must(listed.has(path), `the manifest does not name ${quote(path)}`, path);
  const required = ['job.json', 'events.jsonl', 'checkpoints.jsonl', 'artifacts_manifest.json'];
  for (const path of required) must(listed.has(path), `${path} is missing`, path);
}

/** @returns `artifacts_manifest.json` */
async function checkSchemas(pack) {
  const found = {};
  for (const path of DOCUMENTS.filter((name) => pack.entries.has(name))) {
    found[path] = fits(await readDocument(pack, path), SCHEMAS[path], path);
  }
  for (const path of LINES) for await (const value of lines(pack, path)) fits(value, SCHEMAS[path], path);
  return found['artifacts_manifest.json'];
}

async function checkAgreement(pack, jobId, artifacts) {
  const ofThisJob = (document, path) => {
    must(document.job_id === jobId, `${path} is about job ${quote(document.job_id)}`, path);
    return document;
  };
  for (const path of DOCUMENTS.filter((name) => pack.entries.has(name))) {
    ofThisJob(await readDocument(pack, path), path);
  }

  // Checkpoints and approvals are read beside the events: the next one has to be that of the next event of its kind.
  const [checkpoints, approvals] = [lines(pack, 'checkpoints.jsonl'), lines(pack, 'approvals.jsonl')];
  const next = async (source, path, { event_id }) => {
    const { value, done } = await source.next();
    must(!done, `${path} lacks what ${event_id} says`, path);
    return ofThisJob(value, path);
  };
  const decisions = new Set();
  let seq = 0;
  for await (const event of lines(pack, 'events.jsonl')) {
    seq++;
    ofThisJob(event, 'events.jsonl');
    must(event.event_id === `evt_${seq}`, `event ${seq} is called ${quote(event.event_id)}`, 'events.jsonl');
    if (event.type === 'checkpoint_emitted') {
      const found = await next(checkpoints, 'checkpoints.jsonl', event);
      must(
        isCheckpointOf(found, event),
        `a checkpoint is not what ${event.event_id} says`,
        'checkpoints.jsonl',
      );
      if (found.type === 'decision-needed') decisions.add(found.checkpoint_id);
    } else if (event.type === 'approval_recorded') {
      const { created_at, ...found } = await next(approvals, 'approvals.jsonl', event);
      const { created_at: recorded, ...expected } = event.payload;
      const isSame = same(found, expected) && instant(created_at) === instant(recorded);
      must(isSame, `an approval is not what ${event.event_id} says`, 'approvals.jsonl');
      must(decisions.has(found.checkpoint_id), `an approval is of no decision before it`, 'approvals.jsonl');
    }
  }
  must(
    (await checkpoints.next()).done,
    'there are more checkpoints than events of them',
    'checkpoints.jsonl',
  );
  must((await approvals.next()).done, 'there are more approvals than events of them', 'approvals.jsonl');

  const isRaw = artifacts.capture_mode === 'raw';
  for (const { path, sha256: recorded } of artifacts.artifacts) {
    const entry = pack.entries.get(`artifacts/${posix.normalize(path)}`);
    const expected = isRaw ? entry?.sha256 : sha256(`reference:${path}`);
    must(recorded === expected, `artifact ${quote(path)} is not what its hash says`, path);
  }
}

function isCheckpointOf(
  { created_at, producer_version: _, schema_version: _any, ...found },
  { event_id, payload, ...event },
) {
  const { type, summary, status, budget_state, artifacts_delta, reason_codes, required_action } = payload;
  const ids = {
    schema_id: 'wrkr.checkpoint',
    job_id: event.job_id,
    checkpoint_id: event_id.replace('evt_', 'cp_'),
  };
  const expected = { ...ids, type, summary, status, budget_state, artifacts_delta, reason_codes };
  if (required_action !== undefined && required_action !== null) expected.required_action = required_action;
  return same(found, expected) && instant(created_at) === instant(event.created_at);
}

// ---- Step 8: the chain ---------------------------------------------------------------------------------------------

const CHAIN = 'reeve/events.jsonl';
const RUN = 'reeve/run.json';
const CHAIN_ENTRIES = [CHAIN, 'reeve/nodes.jsonl', RUN];

/** The types that an event of the chain has in events.jsonl; any event may be there as `reeve.<its type>` too. */
const WORDS = new Map([
  ['checkpoint_emitted', ['checkpoint_emitted']],
  ['approval_recorded', ['approval_recorded']],
  ['attempt_ended', ['counters_updated']],
  ['key_recorded', ['idempotency_recorded']],
  ['run_created', ['job_initialized']],
  ['environment_recorded', ['env_fingerprint_set', 'env_override_recorded']],
  ['phase_changed', ['status_changed']],
  ['node_assigned', ['lease_set']],
  ['node_released', ['lease_released']],
  ['attempt_started', ['adapter_step']],
]);

/** What both have to say alike: of the chain's event, and of the payload. */
const EQUAL = {
  checkpoint_emitted: (e, p) => [
    [e.checkpoint, e.summary, e.delta, e.reasonCodes, e.requiredAction ?? null],
    [p.type, p.summary, p.artifacts_delta, p.reason_codes, p.required_action ?? null],
  ],
  approval_recorded: (e, p) => [
    [typeof e.checkpoint === 'number' && `cp_${e.checkpoint}`, e.by, e.reason],
    [p.checkpoint_id, p.approved_by, p.reason],
  ],
  attempt_ended: (e, p) => [
    [e.total?.retries, e.total?.steps, e.total?.toolCalls],
    [p.retry_count, p.step_count, p.tool_call_count],
  ],
  key_recorded: (e, p) => [e.key, p.key],
};

/** @returns the approvals: id, by, and where the chain has them reason, binds and signature */
async function checkChain(pack, jobId, artifacts) {
  const approvals = [];
  const unsigned = ({ checkpoint_id: id, approved_by: by }) => approvals.push({ id, by });
  if (!CHAIN_ENTRIES.some((path) => pack.entries.has(path))) {
    for await (const approval of lines(pack, 'approvals.jsonl')) unsigned(approval);
    return approvals;
  }
  for (const path of CHAIN_ENTRIES) must(pack.entries.has(path), `${path} is missing`, path);
  const end = await readDocument(pack, RUN, 2);
  must(isObject(end), `${RUN} is not an object`, RUN);
  mustFit(end.format === 1, `${RUN} has a format that is not known`, RUN);
  must(end.job_id === jobId, `${RUN} is about another job`, RUN);

  const events = lines(pack, 'events.jsonl');
  const listed = new Set(artifacts.artifacts.map(({ path }) => path));
  const unclaimed = new Set(listed); // no more is kept of the paths, however many the checkpoints claim
  let isComplete = listed.size === artifacts.artifacts.length;
  let [status, budgets, document] = [
    'queued',
    { retry_count: 0, step_count: 0, tool_call_count: 0 },
    undefined,
  ];
  let [seq, head] = [0, sha256(`reeve.run:${jobId}`)];
  for await (const line of rawLines(pack, CHAIN)) {
    seq++;
    const link = readLink(line, seq, head);
    head = link.hash;
    const { value: event, done } = await events.next();
    must(!done && meansTheSame(link, event), `event ${seq} of the chain is not that of events.jsonl`, CHAIN);
    if (isObject(link.event.spec)) document = link.event.spec.document;
    if (link.event.type === 'approval_recorded') {
      const { checkpoint, by, reason, binds, signature } = link.event;
      approvals.push({ id: `cp_${checkpoint}`, by, reason, binds, signature });
    } else if (event.type === 'approval_recorded') unsigned(event.payload);

    const { type, payload } = event;
    const to =
      type === 'job_initialized' ? payload.status : type === 'status_changed' ? payload.to : undefined;
    if (typeof to === 'string' && to !== '') status = to;
    if (type === 'counters_updated') {
      const { retry_count = 0, step_count = 0, tool_call_count = 0 } = payload;
      budgets = { retry_count, step_count, tool_call_count };
    } else if (type === 'checkpoint_emitted') {
      const { added, changed } = payload.artifacts_delta;
      for (const path of [...added, ...changed]) {
        unclaimed.delete(path);
        isComplete &&= listed.has(path);
      }
    }
  }
  must((await events.next()).done, 'events.jsonl has more events than the chain', CHAIN);
  must(end.chain?.events === seq && end.chain.head === head, 'the chain does not end in its head', RUN);

  const job = await readDocument(pack, 'job.json');
  must(
    job.status === status && same(job.budgets, budgets),
    'job.json is not what the events add up to',
    'job.json',
  );
  must(
    isComplete && unclaimed.size === 0,
    'the artifacts are not those of the checkpoints',
    'artifacts_manifest.json',
  );
  if (pack.entries.has('jobspec.json')) {
    const spec = await readDocument(pack, 'jobspec.json', 2);
    must(same(spec, document), 'jobspec.json is not the spec of the chain', 'jobspec.json');
  }
  return approvals;
}

/** One line of the chain. It can be spelled in one way only, so its RFC 8785 form is made again and compared. */
function readLink(bytes, seq, previous) {
  const has = (holds, what) => must(holds, `event ${seq} of the chain ${what}`, CHAIN);
  const link = parse(bytes, CHAIN, 2);
  has(isObject(link) && isObject(link.body), 'is none');
  const { body, hash, spill } = link;
  const { at, event, spilled } = body;
  const isSpilled = spill !== undefined;
  const names = `body,hash${isSpilled ? ',spill' : ''} at,event,seq${isSpilled ? ',spilled' : ''}`;
  has([Object.keys(link).join(), Object.keys(body).join()].join(' ') === names, 'has other fields');
  has(bytes.equals(Buffer.from(canonical(link))), 'is not in its RFC 8785 form');
  has(body.seq === seq && instantOfMs(at) !== null, 'has a wrong number or time');
  has(isObject(event) && typeof event.type === 'string', 'has no type');
  has(hash === sha256(`${previous}\n${canonical(body)}`), 'does not follow the one before');
  if (!isSpilled) return { at, event, hash };
  has(isObject(spill) && spill.type === event.type && Object.keys(event).length === 1, 'has another payload');
  has(spilled === sha256(canonical(spill)), 'has not the payload that was hashed');
  return { at, event: spill, hash };
}

function meansTheSame({ at, event }, { type, payload, created_at }) {
  if (event.type === 'line_imported') {
    const { line } = event;
    if (line?.type !== type || instant(line.created_at) !== instant(created_at)) return false;
    return same(line.payload === undefined ? {} : line.payload, payload);
  }
  if (instantOfMs(at) !== instant(created_at)) return false;
  const { type: kind, ...rest } = event;
  if (type === `reeve.${kind}`) return same(rest, payload);
  if (WORDS.get(kind)?.includes(type) !== true) return false;
  const [a, b] = EQUAL[kind]?.(event, payload) ?? [];
  return same(a, b);
}

// ---- Step 9: signatures --------------------------------------------------------------------------------------------

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const DSSE = object({
  payload: text,
  payloadType: oneOf(PAYLOAD_TYPE),
  signatures: list(object({ keyid: hex64, sig: text })),
});
const person = rule((v) => filled(v) === null && v.trim() === v, 'a name without white space around it');
const TRUST = object({
  schema_id: oneOf('reeve.trust'),
  schema_version: oneOf('v1'),
  keys: list(object({ name: person, public_key: filled })),
});

/** The keys that are known, by id: those of --public-key are `asked` for, those of the trust file have a `name`. */
function readKeys({ publicKeys = [], trust, signature, requireSignature, requireSignedApprovals }) {
  const keys = new Map();
  const add = (pem, where, more) => {
    let key;
    try {
      const [block, ...others] = pem.match(/-----BEGIN .*/g) ?? [];
      if (block === '-----BEGIN PUBLIC KEY-----' && others.length === 0) key = createPublicKey(pem);
    } catch {} // there is none then
    mustFit(key?.asymmetricKeyType === 'ed25519', `${where} does not hold one public Ed25519 key`, where);
    const id = sha256(key.export({ type: 'spki', format: 'der' }));
    mustFit(more.asked || !keys.has(id), `${where} has one key twice`, where);
    keys.set(id, { ...keys.get(id), ...more, key });
  };
  if (trust !== undefined) {
    const file = fits(parse(readSmall(trust), trust, 6, 6), TRUST, trust);
    for (const { name, public_key } of file.keys) add(public_key, trust, { name });
    mustFit(keys.size > 0, `${trust} holds no keys`, trust);
  }
  for (const path of publicKeys) add(readSmall(path).toString(), path, { asked: true });
  const isAsked = signature !== undefined || requireSignature || requireSignedApprovals;
  mustFit(keys.size > 0 || !isAsked, 'checking signatures needs --public-key or --trust');
  return keys;
}

function readSmall(path) {
  let bytes;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new Refusal(6, `${quote(path)} cannot be read: ${error.message}`, path);
  }
  mustFit(bytes.length <= 1_048_576, `${quote(path)} is too big`, path);
  return bytes;
}

/** @returns who approved what, and what is known of the signature. */
function checkApproval({ id, by, reason, binds, signature }, jobId, keys, { trust, requireSignedApprovals }) {
  const where = `the approval of ${id} by ${quote(by)}`;
  let signers = [];
  if (signature !== undefined) {
    must(typeof reason === 'string' && hex64(binds) === null, `${where} has a signature of nothing`);
    const predicate = { approved_by: by, checkpoint_id: id, job_id: jobId, reason };
    const subject = [{ digest: { sha256: binds }, name: `${jobId}/${id}` }];
    signers = readEnvelope(signature, 'urn:reeve:approval:v1', predicate, subject, keys, where);
  }
  const good = signers.filter(({ status }) => status === 'good');
  const isTheirs = trust === undefined || good.every(({ name }) => name === by);
  must(isTheirs, `${where} is signed with the key of ${quote(good[0]?.name)}`);
  must(!requireSignedApprovals || good.length > 0, `${where} is not signed by a known key`);
  return { checkpoint_id: id, approved_by: by, ...(good[0] ?? signers[0] ?? { status: 'unsigned' }) };
}

async function checkSidecar(pack, path, { job_id, manifest_sha256 }, keys, options) {
  const sidecar = options.signature ?? `${path}.sig.json`;
  if (!existsSync(sidecar)) {
    must(!options.requireSignature, `the pack is not signed: there is no ${quote(sidecar)}`, sidecar);
    mustFit(options.signature === undefined, `there is no ${quote(sidecar)}`, sidecar);
    return [];
  }
  // A pipe beside a pack would hold us up for ever.
  mustFit(
    options.signature !== undefined || statSync(sidecar).isFile(),
    `${quote(sidecar)} is not a file`,
    sidecar,
  );
  const hash = createHash('sha256');
  for (const chunk of packedChunks(pack, { start: 0, packed: pack.size })) hash.update(chunk);
  const predicate = { job_id, manifest_sha256 };
  const subject = [
    { digest: { sha256: hash.digest('hex') }, name: `jobpack_${job_id}.zip` },
    { digest: { sha256: sha256(await readBytes(pack, 'manifest.json')) }, name: 'manifest.json' },
  ];
  const bytes = readSmall(sidecar);
  const envelope = parse(bytes, sidecar, 2);
  must(bytes.equals(Buffer.from(canonical(envelope))), `${quote(sidecar)} is not in RFC 8785 form`, sidecar);
  const signatures = readEnvelope(envelope, 'urn:reeve:jobpack:v1', predicate, subject, keys, quote(sidecar));
  const good = new Set(signatures.filter(({ status }) => status === 'good').map(({ key_id }) => key_id));
  for (const [id, { asked }] of keys)
    must(!asked || good.has(id), `the pack is not signed by key ${id}`, sidecar);
  const isTrusted = [...keys].some(([id, { name }]) => name !== undefined && good.has(id));
  must(options.trust === undefined || isTrusted, 'the pack is not signed by a trusted key', sidecar);
  return signatures;
}

/** A DSSE envelope over exactly this statement: who signed it. The signatures of known keys have to be good. */
function readEnvelope(envelope, predicateType, predicate, subject, keys, where) {
  const problem = DSSE(envelope);
  must(problem === null, `${where}: ${problem}`);
  const statement = { _type: 'https://in-toto.io/Statement/v1', predicate, predicateType, subject };
  const payload = Buffer.from(canonical(statement));
  must(envelope.payload === payload.toString('base64'), `${where} is signed as something else`);
  must(envelope.signatures.length > 0, `${where} is signed by nobody`);
  const head = Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `);
  const message = Buffer.concat([head, payload]);
  let last = '';
  return envelope.signatures.map(({ keyid, sig }) => {
    must(keyid > last, `${where}: the signatures are not sorted, or two are by one key`);
    last = keyid;
    const bytes = Buffer.from(sig, 'base64');
    must(bytes.length === 64 && bytes.toString('base64') === sig, `${where}: a signature is none`);
    if (!keys.has(keyid)) return { key_id: keyid, status: 'unknown' };
    const { key, name } = keys.get(keyid);
    must(verifySignature(null, message, key, bytes), `${where}: the signature by key ${keyid} is wrong`);
    return { key_id: keyid, ...(name === undefined ? {} : { name }), status: 'good' };
  });
}

// ---- The command ---------------------------------------------------------------------------------------------------

/** Controls and direction marks are written out: a pack must not draw on the terminal. */
const printable = (line) =>
  line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
const print = (stream, line) => stream.write(`${line}\n`);

async function main(args) {
  const isJson = args.includes('--json');
  try {
    const result = await run(args);
    if (isJson) return print(process.stdout, JSON.stringify(result, null, 2));
    const { job_id, manifest_sha256, files_verified, signatures, approvals = [] } = result;
    const found = `verified job_id=${job_id} manifest=sha256:${manifest_sha256} files=${files_verified}`;
    print(process.stdout, printable(found));
    if (signatures?.length === 0) print(process.stdout, 'signature=none');
    const told = ({ status, key_id, name }, about = '') => {
      const key = key_id === undefined ? '' : ` key=${key_id}`;
      return printable(`${status}${about}${key}${name === undefined ? '' : ` name=${quote(name)}`}`);
    };
    for (const each of signatures ?? []) print(process.stdout, `signature=${told(each)}`);
    for (const each of approvals) {
      const about = ` checkpoint=${each.checkpoint_id} by=${quote(each.approved_by)}`;
      print(process.stdout, `approval=${told(each, about)}`);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code, message, details } = error;
    process.exitCode = error.exitCode;
    print(
      process.stderr,
      isJson ? JSON.stringify({ code, message, details }, null, 2) : printable(`${code}: ${message}`),
    );
  }
}

const ON = { type: 'boolean' };
const FILE = { type: 'string' };
const OPTIONS = {
  trust: FILE,
  signature: FILE,
  'require-signature': ON,
  'require-signed-approvals': ON,
  json: ON,
};

function run(args) {
  let parsed;
  try {
    const options = { ...OPTIONS, 'public-key': { type: 'string', multiple: true } };
    parsed = parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    throw new Refusal(6, error.message);
  }
  const { values, positionals } = parsed;
  mustFit(
    positionals.length === 1,
    'name one pack: node verify.mjs <pack> [--public-key <pem>] [--trust <file>]',
  );
  return verify(positionals[0], {
    publicKeys: values['public-key'],
    trust: values.trust,
    signature: values.signature,
    requireSignature: values['require-signature'],
    requireSignedApprovals: values['require-signed-approvals'],
  });
}

const [, script] = process.argv;
if (script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url))
  await main(process.argv.slice(2));
