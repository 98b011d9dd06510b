// Keys, tokens and passwords in the files of a tree. What is told is the kind and the place, never a part of the value.

import { extname } from 'node:path';
import { files, matches } from '#lib/files.mjs';
import { likeOrBelow } from '#lib/globs.mjs';
import { findSecrets } from '#lib/secrets.mjs';
import { skill } from '#skill';

/** Public halves may be anywhere. They are told so that nobody has to wonder. */
const PUBLIC_KEY =
  /-----BEGIN (?:[A-Z0-9]{1,16} )?PUBLIC KEY(?: BLOCK)?-----|\b(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d{3}) AAAA/g;
/** Languages in which a value without quotes is the name of something. */
const CODE = new Set(
  '.c .cc .cpp .cs .dart .ex .go .h .hpp .java .js .jsx .kt .lua .mjs .cjs .php .pl .pm .py .rb .rs .scala .swift .ts .tsx .vue .zig'.split(
    ' ',
  ),
);
const SEVERITY = new Map([
  ['PRIVATE_KEY', 'critical'],
  ['PASSWORD', 'medium'],
]);

/** `glob` leaves out files, `glob:TYPE` one kind of secret in them. */
function allowed(words) {
  const entries = words.map((word) => /^(.*?)(?::([A-Z_]+))?$/.exec(word));
  const typed = entries.filter((entry) => entry[2] !== undefined);
  return {
    globs: entries.filter((entry) => entry[2] === undefined).map((entry) => entry[1]),
    has: (name, type) => typed.some((entry) => entry[2] === type && likeOrBelow(entry[1]).test(name)),
  };
}

/** What only its name gives away: a literal, something to read (`maybe`), or an expression of code (`no`). */
function literal(file, line, column) {
  const isQuoted = /["']/.test(line[column - 2] ?? '');
  if (!isQuoted) return CODE.has(extname(file)) ? 'no' : 'yes';
  const value = line.slice(column - 1).split(/["']/)[0];
  return /\s/.test(value) ? 'maybe' : 'yes';
}

function look(ctx, { name, text, isText }, allow) {
  const lines = text.split('\n');
  let count = 0;
  for (const { type, line, column } of findSecrets(text)) {
    if (allow.has(name, type)) continue;
    const where = `${name}:${line}`;
    const sure = type === 'PASSWORD' ? (isText ? literal(name, lines[line - 1], column) : 'no') : 'yes';
    if (sure === 'no') continue;
    if (sure === 'maybe') {
      ctx.warn('secret', { where, message: `${type}, or a text for people`, severity: 'low' });
      continue;
    }
    count++;
    ctx.fail('secret', { where, message: type, severity: SEVERITY.get(type) ?? 'high' });
  }
  for (const { line } of matches(text, PUBLIC_KEY)) {
    ctx.note('public_key', { where: `${name}:${line}`, message: 'PUBLIC_KEY: no secret' });
  }
  return count;
}

await skill({
  url: import.meta.url,
  positionals: ['path'],
  help: {
    path: 'file or folder',
    allow: 'globs of files that are left out, with commas between; glob:TYPE leaves out one kind',
    'max-bytes': 'larger files are not looked into',
  },
  async check(ctx) {
    const allow = allowed(ctx.words('allow'));
    let [count, secrets] = [0, 0];
    const options = { maxBytes: ctx.args['max-bytes'], allow: allow.globs };
    for await (const file of files(ctx, ctx.args.path, options)) {
      count++;
      secrets += look(ctx, file, allow);
    }
    ctx.metric('files', count);
    ctx.metric('secrets', secrets);
    if (count === 0 && !ctx.report.findings.length) ctx.skip(`${ctx.args.path} holds no files`);
    if (secrets === 0) ctx.ok(ctx.args.path, `no secrets in ${count} files`);
  },
});
