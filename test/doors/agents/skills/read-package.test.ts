// Packages of skills: what is read, and what nobody may make us write (contract agents §4).
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { PACKAGE_BYTES_MAX, readPackage } from '../../../../src/doors/agents/skills/read-package.ts';
import { ReeveError } from '../../../../src/model/errors.ts';
import { type TarEntry, tarOf } from '../tar.ts';

const packed = (entries: readonly TarEntry[]): Buffer => gzipSync(tarOf(entries));

function refusal(bytes: Uint8Array): { code: string; message: string } {
  try {
    readPackage(bytes);
  } catch (error) {
    if (error instanceof ReeveError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was read');
}

test('files come with their bytes, in the order of the package', () => {
  const files = readPackage(
    packed([
      { name: './', type: '5' },
      { name: './skill.json', content: '{}' },
      { name: 'lib/', type: '5' },
      { name: 'lib/a.mjs', content: 'x'.repeat(700), mode: 0o755 },
      { name: 'empty' },
    ]),
  );
  expect(files.map(({ path, bytes, isExecutable }) => [path, bytes.length, isExecutable])).toEqual([
    ['skill.json', 2, false],
    ['lib/a.mjs', 700, true],
    ['empty', 0, false],
  ]);
});

test('what tar itself writes is read', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'reeve-package-'));
  try {
    await writeFile(join(dir, 'skill.json'), '{"name":"x"}');
    const bytes = execFileSync('tar', ['-czf', '-', '-C', dir, '.']);
    expect(readPackage(bytes).map(({ path }) => path)).toEqual(['skill.json']);
  } finally {
    await rm(dir, { recursive: true });
  }
});

const UNSAFE: readonly [string, readonly TarEntry[], RegExp][] = [
  ['a path that leaves the package', [{ name: '../x' }], /segment of dots/],
  ['the same further in', [{ name: 'a/../../x' }], /segment of dots/],
  ['an absolute path', [{ name: '/etc/passwd' }], /absolute/],
  ['a backslash', [{ name: 'a\\b' }], /backslash/],
  ['a line end in a name', [{ name: 'a\nb' }], /control character/],
  ['a symbolic link', [{ name: 'a', type: '2', link: '/etc/passwd' }], /symbolic link/],
  ['a link', [{ name: 'a', type: '1', link: 'b' }], /is a link/],
  ['a device', [{ name: 'a', type: '3' }], /device/],
  ['a FIFO', [{ name: 'a', type: '6' }], /FIFO/],
  ['an extended header', [{ name: 'a', type: 'x' }], /of a kind/],
  ['a name twice', [{ name: 'a' }, { name: './a' }], /twice/],
  ['a file that is a folder', [{ name: 'a/b' }, { name: 'a' }], /twice/],
  ['a file below a file', [{ name: 'a' }, { name: 'a/b' }], /below a file/],
];
for (const [name, entries, message] of UNSAFE) {
  test(`${name} is refused`, () => {
    const { code, message: said } = refusal(packed([{ name: 'ok', content: 'x' }, ...entries]));
    expect(code).toBe('E_UNSAFE_OPERATION');
    expect(said).toMatch(message);
  });
}

test('what is damaged is refused', () => {
  const tar = tarOf([{ name: 'a', content: 'content' }]);
  const cases: readonly [Uint8Array, RegExp][] = [
    [Buffer.from('nothing'), /not gzipped/],
    [gzipSync(tar).subarray(0, 40), /damaged/],
    [gzipSync(tar.subarray(0, 700)), /middle of/],
    [gzipSync(tar.subarray(0, 1024)), /middle of an entry/],
    [gzipSync(Buffer.concat([tar, Buffer.from('more')])), /behind its end/],
    [gzipSync(Buffer.from(tar).fill('b', 0, 1)), /checksum/],
    [packed([{ name: 'a', size: 4_000 }]), /middle of a file/],
    [packed([{ name: 'a', size: 8 ** 11 - 1 }]), /middle of a file/],
    [packed([{ name: '', content: 'x' }]), /without a name/],
  ];
  for (const [bytes, message] of cases) {
    const { code, message: said } = refusal(bytes);
    expect([code, said]).toEqual(['E_INVALID_INPUT_SCHEMA', expect.stringMatching(message)]);
  }
});

test('a package has limits, packed and unpacked', () => {
  expect(refusal(Buffer.alloc(PACKAGE_BYTES_MAX + 1)).message).toMatch(/at most/);
  expect(refusal(gzipSync(Buffer.alloc(64 * 1024 * 1024))).message).toMatch(/holds more than/);
  const many = Array.from({ length: 2_001 }, (_, at) => ({ name: `f${at}` }));
  expect(refusal(packed(many)).message).toMatch(/more than 2000 entries/);
});
