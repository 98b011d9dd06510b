import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadSpec } from '../../../src/doors/jobs/load-spec.ts';
import { TEXT_FILE_BYTES_MAX } from '../../../src/doors/jobs/read-text.ts';
import { resolveUserPath, resolveWorkspace } from '../../../src/doors/jobs/paths.ts';
import { parseSpecText } from '../../../src/doors/jobs/spec-text.ts';
import { expectCode, specOf } from './support.ts';

let dir = '';
let outside = '';
beforeAll(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'reeve-spec-')));
  outside = await realpath(await mkdtemp(join(tmpdir(), 'reeve-elsewhere-')));
  await mkdir(join(dir, 'sub'));
  await writeFile(join(outside, 'job.json'), JSON.stringify(specOf()));
  await symlink(outside, join(dir, 'link'));
  await symlink(join(outside, 'nowhere'), join(dir, 'dangling'));
  await symlink(join(dir, 'sub'), join(dir, 'inner'));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
  await rm(outside, { recursive: true });
});

const expectRefused = (action: () => unknown) => expectCode('E_INVALID_INPUT_SCHEMA', action);
const write = async (name: string, content: string | Uint8Array): Promise<string> => {
  await writeFile(join(dir, name), content);
  return name;
};

describe('W41: JSON and YAML behave alike', () => {
  test('the same spec in both', async () => {
    const json = await loadSpec(await write('a.json', JSON.stringify(specOf())), dir);
    const yaml = await loadSpec(await write('a.yaml', stringify(specOf())), dir);
    const other = await loadSpec(await write('a.spec', stringify(specOf())), dir);
    expect(json.spec).toEqual(specOf());
    expect(yaml.spec).toEqual(specOf());
    expect(other.spec).toEqual(specOf());
    expect(json.path).toBe(join(dir, 'a.json'));
  });

  test('the same faults in both', async () => {
    const faulty = { ...specOf(), name: 5, extra: true };
    const json = await expectRefused(async () =>
      loadSpec(await write('b.json', JSON.stringify(faulty)), dir),
    );
    const yaml = await expectRefused(async () => loadSpec(await write('b.yaml', stringify(faulty)), dir));
    expect(yaml.details).toEqual(json.details);
  });

  test('any JSON value is read the same by both', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (value) => {
        const text = JSON.stringify(value);
        expect(await parseSpecText(text, 'yaml')).toEqual(await parseSpecText(text, 'json'));
      }),
    );
  });

  test.each([
    ['twice the same key', '{"a": 1, "b": {"a": 1, "a": 2}}'],
    ['twice the same key, spelt differently', String.raw`{"a": 1, "\u0061": 2}`],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`],
    ['a million levels', `${'['.repeat(500_000)}${']'.repeat(500_000)}`],
    ['a number out of range', '{"a": 1e999}'],
    ['half a surrogate pair', String.raw`{"a": "\ud800"}`],
    ['an unfinished string', `"${'\\"'.repeat(400_000)}x`],
    ['nothing', '{"a":'],
  ])('%s is refused by both', async (_name, text) => {
    await expectRefused(() => parseSpecText(text, 'json'));
    await expectRefused(() => parseSpecText(text, 'yaml'));
  });

  test('keys of the prototype are plain keys', async () => {
    for (const format of ['json', 'yaml'] as const) {
      const value = await parseSpecText('{"__proto__": {"polluted": 1}, "constructor": 2}', format);
      expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor']);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    }
  });
});

describe('YAML', () => {
  const yaml = (text: string) => parseSpecText(text, 'yaml');

  test('small anchors and merge keys are fine', async () => {
    const text = 'a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [*a, {z: 4}], x: 0}\n';
    const x1y2 = { x: 1, y: 2 };
    expect(await yaml(text)).toEqual({ a: x1y2, b: x1y2, c: { x: 1, y: 3 }, d: { x: 0, y: 2, z: 4 } });
  });

  test('many references to one anchor are fine', async () => {
    const value = (await yaml(`a: &a [1]\nb: [${Array.from({ length: 5000 }, () => '*a').join(', ')}]`)) as {
      b: unknown[];
    };
    expect(value.b).toHaveLength(5000);
  });

  test.each([
    ['aliases', `a: &a [x,x,x,x,x,x,x,x,x,x]\n${bomb((name) => `[${`*${name},`.repeat(10)}]`)}`],
    ['merge keys', `a: &a {x: 1}\n${bomb((name) => `{<<: [${`*${name},`.repeat(10)}]}`)}`],
  ])('a bomb of %s is refused at once', async (_name, text) => {
    const from = performance.now();
    await expectRefused(() => yaml(text));
    expect(performance.now() - from).toBeLessThan(10_000);
  });

  test.each([
    ['an anchor within itself', 'a: &a [*a]'],
    ['an anchor within itself by merging', 'a: &a {<<: *a}'],
    ['an unknown anchor', 'a: *b'],
    ['a custom tag', 'a: !!js/function "x"'],
    ['a local tag', 'a: !secret x'],
    ['a binary', 'a: !!binary aGVsbG8='],
    ['no number', 'a: .nan'],
    ['infinity', 'a: .inf'],
    ['two documents', 'a: 1\n---\nb: 2'],
    ['a map as a key', '? {a: 1}\n: 2'],
    ['a key twice', 'a: 1\na: 2'],
    ['a number and its text as keys', '1: a\n"1": b'],
    ['bad indentation', 'a:\n  - b\n c'],
    ['merging a number', 'a: {<<: 1}'],
  ])('%s is refused', async (_name, text) => {
    await expectRefused(() => yaml(text));
  });

  test('60,000 keys are read in seconds', async () => {
    const value = await yaml(Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join('\n'));
    expect(Object.keys(value as object)).toHaveLength(60_000);
  });

  test.each([
    ['2025-03-01T00:00:00Z', '2025-03-01T00:00:00Z'],
    ['2025-03-01', '2025-03-01T00:00:00Z'],
    ['2026-2-3 4:05:06', '2026-02-03T04:05:06Z'],
    ['2025-03-01 14:05:06.25 +2', '2025-03-01T14:05:06.25+02:00'],
    ['2025-03-01t14:05:06-03:30', '2025-03-01T14:05:06-03:30'],
  ])('the unquoted date %s in created_at is a time', async (text, time) => {
    expect(await yaml(`created_at: ${text}`)).toEqual({ created_at: time });
    expect(await yaml(`other: ${text}`)).toEqual({ other: text });
    expect(await yaml(`created_at: "${text}"`)).toEqual({ created_at: text });
  });
});

/** Eight anchors, each of ten of the one before. */
function bomb(of: (name: string) => string): string {
  const names = 'abcdefghi'.split('');
  return names
    .slice(1)
    .map((name, i) => `${name}: &${name} ${of(names[i] ?? '')}`)
    .join('\n');
}

describe('the file', () => {
  test('of 1 MiB is read, a larger one is not', async () => {
    const spec = JSON.stringify(specOf());
    await loadSpec(await write('full.json', spec.padEnd(TEXT_FILE_BYTES_MAX)), dir);
    await expectRefused(async () =>
      loadSpec(await write('over.json', spec.padEnd(TEXT_FILE_BYTES_MAX + 1)), dir),
    );
    await expectRefused(async () => loadSpec(await write('ten.yaml', 'a: 1\n'.repeat(2_000_000)), dir));
  });

  test.each([
    ['binary.yaml', Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 256)],
    ['latin1.json', Buffer.from('{"name": "Gr\u00f6\u00dfe"}', 'latin1')],
    ['utf16.yaml', Buffer.from('\ufeffname: x', 'utf16le')],
    ['empty.yaml', ''],
    ['control.yaml', '\u0000\u0001\u0002'],
  ])('%s is refused', async (name, content) => {
    await expectRefused(async () => loadSpec(await write(name, content), dir));
  });

  test('may begin with a byte order mark', async () => {
    const { spec } = await loadSpec(await write('bom.json', `\ufeff${JSON.stringify(specOf())}`), dir);
    expect(spec).toEqual(specOf());
  });

  test.each([
    'missing.yaml',
    'sub',
    '../x.yaml',
    'link/job.json',
    'dangling',
    '',
    'a\0b',
    '/dev/null',
    'sub/../../x',
  ])('%j is refused', async (path) => {
    await expectRefused(() => loadSpec(path, dir));
  });

  test('an absolute path may lead anywhere', async () => {
    expect((await loadSpec(join(outside, 'job.json'), dir)).spec.name).toBe('notes_job');
  });

  test('a path that does not exist yet is resolved too', async () => {
    expect(await resolveUserPath('inner/new/deep.yaml', dir, 'path')).toBe(join(dir, 'sub/new/deep.yaml'));
    await expectRefused(() => resolveUserPath('link/new.yaml', dir, 'path'));
  });
});

describe('the workspace', () => {
  test('is the submit directory, or one in it', async () => {
    expect(await resolveWorkspace(undefined, dir)).toBe(dir);
    expect(await resolveWorkspace('.', dir)).toBe(dir);
    expect(await resolveWorkspace('inner', dir)).toBe(join(dir, 'sub'));
    expect(await resolveWorkspace(join(dir, 'sub'), dir)).toBe(join(dir, 'sub'));
  });

  test.each(['..', 'link', 'dangling', 'missing', '/', 'a.json', 'sub/../..'])(
    '%s is refused',
    async (workspace) => {
      await write('a.json', '{}');
      const { details } = await expectRefused(() => resolveWorkspace(workspace, dir));
      expect(details).toMatchObject({ field: '/inputs/workspace' });
    },
  );
});
