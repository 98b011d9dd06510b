// Looks for secrets in tracked files. A finding says where and of which kind, never what: the report may be shared.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { here, root, step, textOf, trackedFiles } from './audit.mjs';

/** Kinds with a shape of their own first; a line is reported once, under the first kind that fits. */
const KINDS = [
  ['private-key', /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/],
  ['aws-access-key', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ['github-token', /\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})/],
  ['gitlab-token', /\bglpat-[A-Za-z0-9_-]{20,}/],
  ['slack-token', /\bxox[abeoprs]-[A-Za-z0-9-]{10,}/],
  ['google-api-key', /\bAIza[0-9A-Za-z_-]{35}/],
  ['stripe-key', /\b[rs]k_live_[0-9A-Za-z]{20,}/],
  ['npm-token', /\bnpm_[A-Za-z0-9]{36}\b/],
  ['anthropic-key', /\bsk-ant-[A-Za-z0-9_-]{20,}/],
  ['openai-key', /\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}/],
  ['jwt', /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/],
  [
    'password-in-url',
    /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@'"`<>${}]{1,64}:([^\s/:@'"`<>${}]{3,128})@[a-z0-9[]/i,
  ],
  ['assigned-secret', /(?:api[_-]?key|secret|token|passw(?:or)?d)["']?\s*[:=]\s*["']([^"'\s]{12,200})["']/i],
];
const PLACEHOLDER =
  /example|sample|dummy|placeholder|change.?me|your[_-]|x{4,}|\*{3,}|\.{3}|\$\{|\{\{|<[^>]+>|^(?:password|secret|token|test|fake)/i;
const LINE_CHARS_MAX = 20_000;

await step('secrets', async () => {
  const allowed = allowList();
  const findings = [];
  let scanned = 0;
  let skipped = 0;
  let allowedCount = 0;
  for (const file of trackedFiles()) {
    const text = textOf(file);
    if (text === undefined) {
      skipped += 1;
      continue;
    }
    scanned += 1;
    text.split('\n').forEach((line, at) => {
      const kind = kindOf(line.slice(0, LINE_CHARS_MAX));
      if (kind === undefined) return;
      if (allowed.some((rule) => rule(file.path, kind))) allowedCount += 1;
      else findings.push({ file: file.path, line: at + 1, kind });
    });
  }
  // Time to try `kill -9` in the middle of a step. Not needed for anything else.
  const seconds = Number(process.env.AUDIT_DELAY ?? 2);
  if (seconds > 0) await delay(seconds * 1000);
  return { scanned, skipped, allowed: allowedCount, findings };
});

function kindOf(line) {
  for (const [kind, pattern] of KINDS) {
    const match = pattern.exec(line);
    // What is caught on its own (a password, an assigned value) may be a mere placeholder; so may the whole of a token.
    if (
      match !== null &&
      !PLACEHOLDER.test(match[1] ?? match[0]) &&
      (match[1] === undefined || isRandom(kind, match[1]))
    )
      return kind;
  }
  return undefined;
}

/** An assigned value counts only when it looks drawn by lot: letters and digits, and many different ones. */
function isRandom(kind, value) {
  if (kind !== 'assigned-secret') return true;
  return /\d/.test(value) && /[a-z]/i.test(value) && new Set(value).size >= Math.min(10, value.length * 0.5);
}

/**
 * Lines `<path glob> [kind]`, `#` begins a comment. From AUDIT_ALLOW, else `.audit-allow` of the repository, else, for the
 * repository that holds this example, allow.txt beside this file.
 */
function allowList() {
  const isOurs = !relative(root, here).startsWith('..');
  const candidates = [
    process.env.AUDIT_ALLOW,
    join(root, '.audit-allow'),
    ...(isOurs ? [join(here, 'allow.txt')] : []),
  ];
  const file = process.env.AUDIT_ALLOW || candidates.find((path) => path && existsSync(path));
  if (file === undefined) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [glob, wanted] = line.split(/\s+/);
      const pattern = globPattern(glob);
      return (path, kind) => pattern.test(path) && (wanted === undefined || wanted === kind);
    });
}

/** `*` stays within a folder, `**` does not. */
function globPattern(glob) {
  const parts = glob.split(/(\*\*\/?|\*)/).map((part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '**') return '.*';
    return part === '*' ? '[^/]*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`);
}
