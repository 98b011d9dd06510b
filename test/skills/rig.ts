/**
 * Runs a skill as its users do: as a process, in a fresh folder, with only the tools on PATH and the system files that its
 * case names. The form of tests/cases.json is told in skills/README.md.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const SKILLS = fileURLToPath(new URL('../../skills', import.meta.url));
const CASE_MS = 25_000;
const DAY_MS = 86_400_000;

/** A file: its text, parts of its text, or more about it. */
type Content =
  | string
  | readonly string[]
  | {
      readonly text?: string | readonly string[];
      /** A file of tests/, byte by byte. */
      readonly from?: string;
      /** Days since it was changed. */
      readonly ageDays?: number;
      /** Octal. */
      readonly mode?: string;
      /** A symbolic link to this. */
      readonly link?: string;
    };
/** Files by path, or the name of a folder of tests/. */
type Tree = string | Readonly<Record<string, Content>>;

export interface Report {
  readonly skill: string;
  readonly version: string;
  readonly outcome: 'pass' | 'violation' | 'skipped' | 'error';
  readonly findings: readonly Readonly<Record<'id' | 'severity' | 'where' | 'message', string>>[];
  readonly metrics: Readonly<Record<string, unknown>>;
}

export interface Case {
  readonly name: string;
  readonly kind: 'pass' | 'violation' | 'skipped' | 'error' | 'usage';
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly root?: Tree;
  readonly files?: Tree;
  readonly tools?: Tree;
  readonly beside?: readonly string[];
  readonly expect: {
    readonly exit: number;
    readonly lines?: readonly string[];
    readonly findings?: readonly Readonly<Record<string, string>>[];
    readonly report?: Readonly<Record<string, unknown>>;
    readonly absent?: readonly (string | readonly string[])[];
    readonly files?: Readonly<Record<string, string | null>>;
  };
}

export interface Outcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly report: Report | undefined;
  /** Placeholders of the case filled in. */
  readonly fill: (text: string) => string;
  /** The text of a file in the case's folder; null if there is none. */
  readonly read: (path: string) => string | null;
}

export function casesOf(skill: string): readonly Case[] {
  return JSON.parse(readFileSync(join(SKILLS, skill, 'tests/cases.json'), 'utf8')) as Case[];
}

/** Runs one case from beginning to end, in a folder that is gone afterwards. `look` sees it before. */
export async function perform(
  skill: string,
  { args = [], env = {}, root, files, tools, beside }: Case,
  look: (outcome: Outcome) => void,
  more: readonly string[] = [],
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-skill-'));
  const tests = join(SKILLS, skill, 'tests');
  const values = new Map([
    ['dir', join(dir, 'work')],
    ['root', join(dir, 'root')],
    ['tests', tests],
    ['node', process.execPath],
  ]);
  const fill = (text: string): string =>
    text.replace(/\{\{([a-z]+)(?::(-?\d+))?\}\}/g, (_, name: string, days?: string) => {
      const value = days === undefined ? values.get(name) : day(name, Number(days));
      if (value === undefined) throw new Error(`${name} is no placeholder`);
      return value;
    });
  let helper: ChildProcess | undefined;
  try {
    for (const name of ['work', 'root', 'tools', 'artifacts']) mkdirSync(join(dir, name));
    if (beside !== undefined) {
      helper = await startBeside(tests, beside.map(fill), join(dir, 'work'), values);
    }
    plant(root, join(dir, 'root'), tests, fill);
    plant(files, join(dir, 'work'), tests, fill);
    plant(tools, join(dir, 'tools'), tests, fill, '755');
    const words = root === undefined ? args : [...args, '--root', '{{root}}'];
    const child = spawn(process.execPath, [join(SKILLS, skill, 'check.mjs'), ...words.map(fill), ...more], {
      cwd: join(dir, 'work'),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: CASE_MS,
      env: {
        PATH: join(dir, 'tools'),
        HOME: join(dir, 'work'),
        LANG: 'C',
        TZ: 'UTC',
        JARVAS_RUN_ID: 'run-1',
        JARVAS_ACTION: skill,
        JARVAS_ARTIFACTS_DIR: join(dir, 'artifacts'),
        ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fill(value)])),
      },
    });
    const { exit, stdout, stderr } = await ended(child);
    const path = join(dir, 'artifacts/report.json');
    const report = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Report) : undefined;
    const read = (name: string): string | null =>
      existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8') : null;
    look({ exit, stdout, stderr, report, fill, read });
  } finally {
    await stopBeside(helper);
    rmSync(dir, { recursive: true, force: true });
  }
}

function plant(
  tree: Tree | undefined,
  into: string,
  tests: string,
  fill: (text: string) => string,
  mode?: string,
): void {
  if (typeof tree === 'string') return cpSync(join(tests, tree), into, { recursive: true });
  for (const [name, content] of Object.entries(tree ?? {})) {
    const path = join(into, fill(name));
    const file = typeof content === 'string' || Array.isArray(content) ? { text: content } : content;
    const { text, from, ageDays, link, mode: own } = file as Exclude<Content, string | readonly string[]>;
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
  [script, ...args]: readonly string[],
  cwd: string,
  values: Map<string, string>,
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(tests, script ?? ''), ...args], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let said = '';
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    said += String(chunk);
    if (said.includes('\n')) break;
  }
  const [line = ''] = said.split('\n');
  for (const [name, value] of Object.entries(JSON.parse(line) as Record<string, unknown>)) {
    values.set(name, String(value));
  }
  return child;
}

async function stopBeside(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.stdin?.end();
  await exit;
}

async function ended(child: ChildProcess): Promise<{ exit: number; stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => (texts[name] += chunk));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { exit: code ?? -1, ...texts };
}
