// The container file, without an engine: its stages are carried out in folders of this machine. COPY and RUN happen as they
// are written, on paths below the folder of their stage. One thing is not done again: the development dependencies of the
// first stage are those of this clone, which the same lock file gave. Base images, users and the file system are not seen.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished } from 'vitest';
import { test } from '../cli/rig.ts';
import { copyOf, healthCommand, imageEnvironment, INSTRUCTIONS } from './container-file.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const copies = INSTRUCTIONS.filter(({ verb }) => verb === 'COPY').map(({ rest }) => copyOf(rest));

describe('the file', () => {
  test('has instructions that there are, and ends as no root, with its data in one place', () => {
    const verbs = new Set(INSTRUCTIONS.map(({ verb }) => verb));
    expect(verbs).toEqual(
      new Set(['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'HEALTHCHECK', 'ENTRYPOINT']),
    );
    const last = new Map(INSTRUCTIONS.map(({ verb, rest }) => [verb, rest]));
    expect(last.get('USER')).toBe('1000:1000');
    expect(last.get('WORKDIR')).toBe('/data');
    expect(last.get('ENTRYPOINT')).toBe('["reeve"]');
    expect(imageEnvironment()).toMatchObject({ REEVE_HOME: '/data', NODE_ENV: 'production' });
    expect(healthCommand()[0]).toBe('node');
  });

  test('the images are of the Node that the package asks for', () => {
    const bases = INSTRUCTIONS.filter(({ verb }) => verb === 'FROM').map(({ rest }) => rest.split(' ')[0]);
    expect(new Set(bases)).toEqual(new Set(['docker.io/library/node:24-slim']));
  });

  test('every source of a COPY is there, and is not left out by .dockerignore', () => {
    const kept = readFileSync(join(ROOT, '.dockerignore'), 'utf8').match(/(?<=^!).*/gm) ?? [];
    const wanted = copies.flatMap(({ from, sources }) => (from === undefined ? sources : []));
    for (const source of wanted) expect(existsSync(join(ROOT, source)), source).toBe(true);
    expect(new Set(kept)).toEqual(new Set(wanted));
  });
});

test('its stages make a reeve that needs nothing else', { timeout: 120_000 }, async ({ home }) => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'reeve-image-')));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const image = build(dir);
  const reeve = (...args: string[]): string =>
    execFileSync(process.execPath, [join(image, 'usr/local/bin/reeve'), ...args], {
      cwd: home.cwd,
      env: home.env({ REEVE_HOME: join(image, 'data') }),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  expect(reeve('version')).toMatch(/^reeve \d/);
  expect(reeve('demo')).toContain('jobpack='); // a job from end to end, on the store
  const installed = join(image, 'opt/reeve/node_modules');
  expect(existsSync(join(installed, 'better-sqlite3'))).toBe(true);
  expect(existsSync(join(installed, 'typescript'))).toBe(false);
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  for (const name of Object.keys(dependencies)) expect(existsSync(join(installed, name)), name).toBe(true);
});

/** @returns the root of the last stage's file system. */
function build(dir: string): string {
  let root = '';
  let cwd = '/';
  for (const { verb, rest } of INSTRUCTIONS) {
    const inside = (path: string): string => join(root, path.startsWith('/') ? path : join(cwd, path));
    if (verb === 'FROM') {
      root = join(dir, / AS (\S+)$/.exec(rest)?.[1] ?? 'image');
      cwd = '/';
      mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
    } else if (verb === 'WORKDIR') {
      cwd = rest;
      mkdirSync(inside('.'), { recursive: true });
    } else if (verb === 'COPY') {
      const { from, sources, target } = copyOf(rest);
      for (const source of sources) {
        const isInto = target.endsWith('/');
        const path = join(from === undefined ? ROOT : join(dir, from), source);
        const isFolder = from !== undefined || !isInto;
        cpSync(path, isFolder ? inside(target) : inside(join(target, source)), { recursive: true });
      }
    } else if (verb === 'RUN') {
      if (rest === 'npm ci --ignore-scripts') symlinkSync(join(ROOT, 'node_modules'), inside('node_modules'));
      else run(rest, root, inside('.'));
    }
  }
  return root;
}

function run(line: string, root: string, cwd: string): void {
  const here = line.replaceAll(/(?<= )\/(?=\w)/g, `${root}/`);
  // Only root can give a folder away.
  const asWho = process.getuid?.() === 0 ? here : here.replace('-o 1000 -g 1000 ', '');
  const npm = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  execFileSync('/bin/sh', ['-c', asWho], {
    cwd,
    env: {
      ...Object.fromEntries(npm),
      PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      npm_config_prefer_offline: 'true', // what the clone was made of is in the cache
    },
    stdio: 'pipe',
  });
}
