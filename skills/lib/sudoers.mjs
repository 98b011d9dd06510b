/**
 * Reads sudoers files as sudo does: lines joined at a backslash, comments, quotes, files that are included.
 */
import { posix } from 'node:path';
import { CannotCheck } from '#skill';

/** sudo itself follows no more. */
const MAX_DEPTH = 128;

/**
 * @typedef {{file: string, line: number, text: string}} Line
 * @typedef {{file: string, line: number, message: string}} Problem an include that could not be followed
 * @param {string} file
 * @param {import('#skill').Context} ctx
 * @param {{hostname: string, onFile: (file: string) => void, onProblem: (problem: Problem) => void}} options `hostname` for
 *   `%h` in the names of files; `onFile` hears of every file that is read
 * @returns {AsyncGenerator<Line>} every line that means something, those of included files in their place
 * @throws {CannotCheck} when `file` itself cannot be read
 */
export async function* sudoersLines(file, ctx, options, depth = 0) {
  const whole = await ctx.read(file);
  if (whole === undefined) throw new CannotCheck(file, 'is not there');
  options.onFile(file);
  for (const { line, text } of logicalLines(whole)) {
    const include = /^[@#](include|includedir)\s+(?:"([^"]+)"|(\S.*))$/.exec(text);
    if (include === null) {
      yield { file, line, text };
      continue;
    }
    const [, kind, quoted, bare = ''] = include;
    const name = quoted ?? bare.trim().replaceAll(/\\(.)/g, '$1');
    const target = posix.resolve(posix.dirname(file), name.replaceAll('%h', options.hostname));
    if (depth >= MAX_DEPTH) {
      options.onProblem({ file, line, message: `includes go deeper than ${MAX_DEPTH} files` });
      return;
    }
    try {
      for (const next of kind === 'include' ? [target] : await filesOf(target, ctx)) {
        yield* sudoersLines(next, ctx, options, depth + 1);
      }
    } catch (error) {
      if (!(error instanceof CannotCheck)) throw error;
      options.onProblem({ file, line, message: `includes ${error.where}, which ${error.message}` });
    }
  }
}

/** A folder that is not there is nothing to sudo; names with a dot or a last `~` are passed over. */
async function filesOf(dir, ctx) {
  const names = ((await ctx.list(dir)) ?? []).filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return names
    .filter((name) => !name.includes('.') && !name.endsWith('~'))
    .map((name) => posix.join(dir, name));
}

/**
 * @param {string} text of one line
 * @returns {{who: string, how: string} | undefined} who may act without a password, and what says so
 */
export function passwordless(text) {
  const defaults = /^Defaults(?:[@:!>]\s*("[^"]*"|\S+))?\s+(.*)$/.exec(text);
  if (defaults !== null) {
    const [, scope = 'everybody', settings = ''] = defaults;
    const set = withoutQuoted(settings)
      .split(',')
      .map((setting) => setting.replaceAll(/\s/g, ''));
    // The last one counts, as for sudo.
    return set.findLast((setting) => /^!*authenticate$/.test(setting)) === '!authenticate'
      ? { who: unquoted(scope), how: '!authenticate' }
      : undefined;
  }
  if (/^(?:User|Runas|Host|Cmnd|Cmd)_Alias\b/.test(text)) return undefined;
  const who = /^("[^"]*"|(?:\\.|[^\s,=])+(?:\s*,\s*(?:"[^"]*"|(?:\\.|[^\s,=])+))*)/.exec(text)?.[1];
  if (who === undefined) return undefined;
  // Only after the `=` of the hosts: a tag stands before commands, never within a name.
  const rights = withoutQuoted(text.slice(who.length));
  return /[=,:)\s]NOPASSWD\s*:/.test(rights.slice(rights.indexOf('=')))
    ? { who: unquoted(who), how: 'NOPASSWD' }
    : undefined;
}

/** A comment ends with its line, whatever it ends in: a backslash there joins nothing. */
function* logicalLines(text) {
  let joined = '';
  let startedAt = 0;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    if (joined === '') startedAt = index + 1;
    const part = /^\s*#include(?:dir)?\s/.test(raw) ? raw : withoutComment(raw);
    const goesOn = /(?:^|[^\\])(?:\\\\)*\\$/.test(part);
    joined += goesOn ? `${part.slice(0, -1)} ` : part;
    if (goesOn) continue;
    const line = joined.trim();
    joined = '';
    if (line !== '') yield { line: startedAt, text: line };
  }
  if (joined.trim() !== '') yield { line: startedAt, text: joined.trim() };
}

/** `#` begins a comment but for `#1000`, the number of a user, and within quotes or after a backslash. */
function withoutComment(text) {
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\') at += 1;
    else if (char === '"') quoted = !quoted;
    else if (char === '#' && !quoted && !isUserId(text, at)) return `${text.slice(0, at)} `;
  }
  return text;
}

function isUserId(text, at) {
  return /^#\d+(?:[\s,=:)]|$)/.test(text.slice(at)) && (at === 0 || /[\s,(%!:]/.test(text[at - 1]));
}

const withoutQuoted = (text) => text.replaceAll(/"(?:\\.|[^"\\])*"/g, '""');
const unquoted = (text) => text.replaceAll('"', '');
