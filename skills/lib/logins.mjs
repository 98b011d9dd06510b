/**
 * When accounts were last used, from the files that login programs keep: `lastlog` (one record per user id), `wtmp` (one per
 * login) and the database of lastlog2.
 */
import { open, stat } from 'node:fs/promises';

const CHUNK = 256 * 1024;
/** Bytes of a record: with 32-bit times (x86-64 and most) and with 64-bit ones (arm64). */
const LASTLOG = { short: 292, long: 296 };
const WTMP = { short: 384, long: 400 };
/** ut_type of a login by a user. */
const USER_PROCESS = 7;

/**
 * The file is as long as the highest user id makes it, and mostly holes: only the records asked for are read.
 * @param {string} path
 * @param {Iterable<number>} uids
 * @returns {Promise<Map<number, number>>} user id to time of the last login, ms; ids that never logged in are absent
 */
export async function readLastlog(path, uids) {
  const found = new Map();
  const size = recordSize((await stat(path)).size, LASTLOG);
  const file = await open(path);
  try {
    const record = Buffer.alloc(8);
    for (const uid of uids) {
      const { bytesRead } = await file.read(record, 0, size === LASTLOG.long ? 8 : 4, uid * size);
      if (bytesRead < 4) continue;
      const seconds = size === LASTLOG.long ? Number(record.readBigInt64LE()) : record.readUInt32LE();
      if (seconds > 0) found.set(uid, seconds * 1000);
    }
  } finally {
    await file.close();
  }
  return found;
}

/**
 * @param {string} path
 * @returns {Promise<{logins: Map<string, number>, sinceMs: number}>} name to time of the last login, ms; and of the oldest
 *   record, Infinity without any
 */
export async function readWtmp(path) {
  const logins = new Map();
  let sinceMs = Infinity;
  const size = recordSize((await stat(path)).size, WTMP);
  const secondsAt = size === WTMP.long ? 344 : 340;
  const file = await open(path);
  try {
    const chunk = Buffer.alloc(CHUNK - (CHUNK % size));
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
      if (bytesRead < size) break;
      for (let at = 0; at + size <= bytesRead; at += size) {
        const atMs = chunk.readUInt32LE(at + secondsAt) * 1000;
        if (atMs > 0) sinceMs = Math.min(sinceMs, atMs);
        if (chunk.readInt16LE(at) !== USER_PROCESS) continue;
        const name = textOf(chunk.subarray(at + 44, at + 76));
        logins.set(name, Math.max(logins.get(name) ?? 0, atMs));
      }
    }
  } finally {
    await file.close();
  }
  return { logins, sinceMs };
}

/**
 * @param {string} path of lastlog2's database
 * @returns {Promise<Map<string, number>>} name to time of the last login, ms
 * @throws {Error} when it is no such database
 */
export async function readLastlog2(path) {
  const { DatabaseSync } = await withoutWarning(() => import('node:sqlite'));
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = database.prepare('select Name as name, Time as seconds from Lastlog2 where Time > 0').all();
    return new Map(rows.map(({ name, seconds }) => [String(name), Number(seconds) * 1000]));
  } finally {
    database.close();
  }
}

/** The length tells which records these are; where it tells nothing, the processor does. */
function recordSize(bytes, { short, long }) {
  const fitsShort = bytes % short === 0;
  if (fitsShort !== (bytes % long === 0)) return fitsShort ? short : long;
  return process.arch === 'arm64' ? long : short;
}

function textOf(bytes) {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
}

/** Older Nodes call `node:sqlite` an experiment each time, on the stream that findings are read from. */
async function withoutWarning(act) {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return await act();
  } finally {
    process.emitWarning = emitWarning;
  }
}
