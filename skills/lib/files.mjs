// The files of a tree, for skills that look into each of them.

import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { likeOrBelow } from './globs.mjs';
import { CannotCheck } from './system.mjs';

/** What version control keeps for itself: history is no place that anybody edits. */
const INTERNAL = new Set(['.git', '.hg', '.svn']);
/** How much of a file tells whether it is text, bytes. */
const PROBE_BYTES = 8192;

/**
 * The files of a tree, or the one file that is named, in order. Links are not followed. What cannot be read is told as an
 * error, and what is larger than `maxBytes` as a warning.
 * @param {object} ctx
 * @param {string} path
 * @param {{maxBytes: number, allow?: readonly string[]}} options `allow`: globs of what is left out, with all below
 * @yields {{name: string, text: string, isText: boolean}} `text` has one character per byte if it is not UTF-8
 */
export async function* files(ctx, path, { maxBytes, allow = [] }) {
  const info = await ctx.stat(path);
  if (info === undefined) throw new CannotCheck(path, 'does not exist');
  const allowed = allow.map(likeOrBelow);
  const names = info.isDirectory() ? walk(ctx, path) : [path];
  for await (const name of names) {
    const shown = info.isDirectory() ? relative(path, name) : name;
    if (allowed.some((pattern) => pattern.test(shown))) continue;
    try {
      const { size } = (await ctx.stat(name)) ?? { size: 0 };
      if (size > maxBytes) {
        ctx.warn('too_large', { where: shown, message: `is larger than ${maxBytes} bytes: not looked into` });
        continue;
      }
      const bytes = await ctx.readBytes(name);
      if (bytes === undefined) continue; // gone meanwhile
      yield { name: shown, ...decode(bytes) };
    } catch (error) {
      if (!(error instanceof CannotCheck)) throw error;
      ctx.error(shown, error.message);
    }
  }
}

/** UTF-8, UTF-16 with its mark, or bytes. */
function decode(bytes) {
  const mark = bytes.length >= 2 && bytes.length % 2 === 0 ? bytes.readUInt16BE(0) : 0;
  if (mark === 0xfffe) return { text: bytes.toString('utf16le'), isText: true };
  if (mark === 0xfeff) return { text: bytes.swap16().toString('utf16le'), isText: true };
  const isText = !bytes.subarray(0, PROBE_BYTES).includes(0);
  return { text: bytes.toString(isText ? 'utf8' : 'latin1'), isText };
}

async function* walk(ctx, folder) {
  let entries;
  try {
    entries = await readdir(ctx.path(folder), { withFileTypes: true });
  } catch (error) {
    ctx.error(folder, `cannot be read: ${error.code}`);
    return;
  }
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (INTERNAL.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(ctx, path);
    else if (entry.isFile()) yield path;
  }
}

/** The number of the line, from 1, in which each match begins. @returns {Generator<{match: RegExpExecArray, line: number}>} */
export function* matches(text, pattern) {
  let [line, at] = [1, 0];
  for (const match of text.matchAll(pattern)) {
    for (; (at = text.indexOf('\n', at)) !== -1 && at < match.index; at++) line++;
    if (at === -1) at = text.length;
    yield { match, line };
  }
}
