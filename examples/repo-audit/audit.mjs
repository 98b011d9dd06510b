// What the steps share. Every result is one JSON file, written aside and renamed: a step that is killed leaves either
// the old file or the new one, and running it again gives the same.
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = fileURLToPath(new URL('.', import.meta.url));

/** @param {string[]} args */
export function git(...args) {
  return execFileSync('git', args, {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Like `git`, but undefined when git fails: in a repository without commits, for instance. @param {string[]} args */
export function tryGit(...args) {
  try {
    return git(...args).trim();
  } catch {
    return undefined;
  }
}

export const root = tryGit('rev-parse', '--show-toplevel') ?? '';
if (root === '') {
  process.stderr.write(`repo-audit: ${process.cwd()} is in no git working tree\n`);
  process.exit(2);
}
/** Inside the git directory: no status, commit, linter or image build ever sees it. */
export const out = resolve(
  process.env.AUDIT_OUT || join(git('rev-parse', '--absolute-git-dir').trim(), 'reeve-audit'),
);

/** Tracked files as [{path, mode}]; no submodules, each path once. */
export function trackedFiles() {
  const files = new Map();
  for (const entry of git('-C', root, 'ls-files', '-s', '-z').split('\0')) {
    const tab = entry.indexOf('\t');
    const mode = entry.slice(0, 6);
    if (tab > 0 && mode !== '160000') files.set(entry.slice(tab + 1), mode);
  }
  return [...files].map(([path, mode]) => ({ path, mode }));
}

/** The content of a tracked regular file as text; undefined when it is binary, a link, too large or gone. */
export function textOf({ path, mode }, bytesMax = 2 << 20) {
  if (mode === '120000') return undefined;
  let bytes;
  try {
    bytes = readFileSync(join(root, path));
  } catch {
    return undefined;
  }
  if (bytes.length > bytesMax || bytes.subarray(0, 8000).includes(0)) return undefined;
  return bytes.toString('utf8');
}

export function readResult(name) {
  return JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8'));
}

export function writeFile(name, text) {
  mkdirSync(out, { recursive: true });
  const aside = join(out, `.${name}.${process.pid}`);
  writeFileSync(aside, text);
  renameSync(aside, join(out, name));
}

/** Runs a step's work and writes its result; trail.log shows every start and end, so that a repetition would show. */
export async function step(name, work) {
  mkdirSync(out, { recursive: true });
  trail(`${name} started`);
  const result = await work();
  writeFile(`${name}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
  trail(`${name} done`);
}

export function trail(what) {
  appendFileSync(join(out, 'trail.log'), `${new Date().toISOString()} ${what}\n`);
}

export function byText(a, b) {
  return a < b ? -1 : Number(a > b);
}

/** The paths among `files` whose last part is `name`. */
export function named(files, name) {
  return files.filter(({ path }) => path === name || path.endsWith(`/${name}`));
}
