/** Folders with those above them; a place that takes none is an error, not a hang. In a child: what hangs cannot be stopped. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { makeFolder, makeFolderSync } from '../../src/store/make-folder.ts';

const folders: string[] = [];
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'reeve-folders-'));
  folders.push(path);
  return path;
}
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

test('makes what is missing, with the mode, and names the topmost folder that it made', async () => {
  const root = folder();
  expect(await makeFolder(join(root, 'a/b/c'), 0o700)).toBe(join(root, 'a'));
  for (const made of ['a', 'a/b', 'a/b/c']) expect(statSync(join(root, made)).mode & 0o777).toBe(0o700);
  expect(await makeFolder(join(root, 'a/b/d'))).toBe(join(root, 'a/b/d'));
  expect(await makeFolder(join(root, 'a/b'))).toBeUndefined();
  makeFolderSync(join(root, 'x/y'));
  makeFolderSync(join(root, 'x/y'));
  expect(statSync(join(root, 'x/y')).isDirectory()).toBe(true);
});

test('a file in the way is an error', async () => {
  const file = join(folder(), 'file');
  writeFileSync(file, '');
  await expect(makeFolder(file)).rejects.toThrow('EEXIST');
  await expect(makeFolder(join(file, 'a'))).rejects.toThrow('ENOTDIR');
  expect(() => makeFolderSync(file)).toThrow('EEXIST');
});

test.skipIf(!existsSync('/proc/self'))('a place like /proc, where nothing can be made, is an error', () => {
  const module = JSON.stringify(new URL('../../src/store/make-folder.ts', import.meta.url).href);
  const program = `const { makeFolder, makeFolderSync } = await import(${module});
    const codes = [await makeFolder('/proc/none/a').catch((e) => e.code)];
    try { makeFolderSync('/proc/none/a'); } catch (e) { codes.push(e.code); }
    console.log(codes.join());`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  expect(child.stdout).toBe('ENOENT,ENOENT\n');
});
