/** A fresh folder with all that a case needs, gone afterwards. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Case, CaseFile, CaseTree } from './cases.ts';
import { SkillProblem } from './problem.ts';

const DAY_MS = 86_400_000;

export interface CaseFolder {
  /** Working folder of the skill. */
  readonly cwd: string;
  /** The only programs on PATH. */
  readonly tools: string;
  readonly artifacts: string;
  /** Arguments of the case, `--root` among them. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Fills in placeholders. @throws SkillProblem bad_cases */
  fill(text: string): string;
  /** The text of a file below the folder (`work/…`, `root/…`); null if there is none. */
  read(path: string): string | null;
}

/** @param tests the skill's folder of that name. @throws SkillProblem bad_cases; what `work` throws */
export async function inCaseFolder<T>(
  tests: string,
  { args = [], env = {}, root, files, tools, beside }: Case,
  work: (folder: CaseFolder) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'reeve-skill-'));
  const cwd = join(dir, 'work');
  const values = new Map([
    ['dir', cwd],
    ['root', join(dir, 'root')],
    ['tests', tests],
    ['node', process.execPath],
  ]);
  const fill = (text: string): string =>
    text.replace(/\{\{([a-z]+)(?::(-?\d+))?\}\}/g, (_, name: string, days?: string) => {
      const value = days === undefined ? values.get(name) : day(name, Number(days));
      if (value === undefined) throw new SkillProblem('bad_cases', `{{${name}}} is no placeholder`);
      return value;
    });
  let helper: ChildProcess | undefined;
  try {
    for (const name of ['work', 'root', 'tools', 'artifacts']) mkdirSync(join(dir, name));
    if (beside !== undefined) helper = await startBeside(tests, beside.map(fill), cwd, values);
    plant(root, join(dir, 'root'), tests, fill);
    plant(files, cwd, tests, fill);
    plant(tools, join(dir, 'tools'), tests, fill, '755');
    const words = root === undefined ? args : [...args, '--root', '{{root}}'];
    return await work({
      cwd,
      tools: join(dir, 'tools'),
      artifacts: join(dir, 'artifacts'),
      args: words.map(fill),
      env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fill(value)])),
      fill,
      read: (path) => (existsSync(join(dir, path)) ? readFileSync(join(dir, path), 'utf8') : null),
    });
  } finally {
    await stopBeside(helper);
    await rm(dir, { recursive: true, force: true });
  }
}

function plant(
  tree: CaseTree | undefined,
  into: string,
  tests: string,
  fill: (text: string) => string,
  mode?: string,
): void {
  if (typeof tree === 'string') return cpSync(join(tests, tree), into, { recursive: true });
  for (const [name, content] of Object.entries(tree ?? {})) {
    const path = join(into, fill(name));
    const file = typeof content === 'string' || Array.isArray(content) ? { text: content } : content;
    const { text, from, ageDays, link, mode: own } = file as CaseFile;
    mkdirSync(dirname(path), { recursive: true });
    if (name.endsWith('/')) mkdirSync(path, { recursive: true });
    else if (link !== undefined) symlinkSync(fill(link), path);
    else if (from !== undefined) cpSync(join(tests, from), path);
    else writeFileSync(path, fill([text ?? ''].flat().join('')));
    const bits = own ?? mode;
    if (bits !== undefined) chmodSync(path, Number.parseInt(bits, 8));
    if (ageDays === undefined) continue;
    const changed = new Date(Date.now() - ageDays * DAY_MS);
    utimesSync(path, changed, changed);
  }
}

/** `{{date:-30}}` is 2026-01-31, `{{ymd:-30}}` is 20260131, `{{iso:-30}}` has the time too: so many days from now. */
function day(form: string, days: number): string | undefined {
  const iso = new Date(Date.now() + days * DAY_MS).toISOString();
  const date = iso.slice(0, 10);
  return { date, ymd: date.replaceAll('-', ''), iso: `${iso.slice(0, 19)}Z` }[form];
}

/** A program that a case needs beside it. Its first line is JSON: placeholders. It ends with its stdin, or by itself. */
async function startBeside(
  tests: string,
  [script = '', ...args]: readonly string[],
  cwd: string,
  values: Map<string, string>,
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(tests, script), ...args], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  let said = '';
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    said += String(chunk);
    if (said.includes('\n')) break;
  }
  try {
    const line = JSON.parse(said.split('\n')[0] ?? '') as Readonly<Record<string, unknown>>;
    for (const [name, value] of Object.entries(line)) values.set(name, String(value));
  } catch {
    await stopBeside(child);
    throw new SkillProblem('bad_cases', `the first line of ${script} is no JSON`, `tests/${script}`);
  }
  return child;
}

async function stopBeside(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.stdin?.end();
  await exit;
}
