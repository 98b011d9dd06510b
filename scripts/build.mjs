// src/ -> dist/: compiles, copies what is not TypeScript (SQL, JSON, templates), then removes what no source makes any
// more. dist/ is never emptied first, so a program that runs from it while we build finds its files.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = new URL('../', import.meta.url);

export function build() {
  const at = fileURLToPath(root);
  const src = join(at, 'src');
  const dist = join(at, 'dist');
  const tsc = join(at, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiled = spawnSync(process.execPath, [tsc, '-p', join(at, 'tsconfig.build.json')], {
    stdio: 'inherit',
  });
  if (compiled.error) throw compiled.error;
  if (compiled.status !== 0) process.exit(compiled.status ?? 1);

  const wanted = new Set();
  for (const file of filesIn(src)) {
    if (file.endsWith('.ts')) {
      const stem = file.slice(0, -'.ts'.length);
      for (const end of ['.js', '.js.map', '.d.ts']) wanted.add(stem + end);
    } else {
      wanted.add(file);
      mkdirSync(dirname(join(dist, file)), { recursive: true });
      copyFileSync(join(src, file), join(dist, file));
    }
  }
  for (const file of filesIn(dist)) if (!wanted.has(file)) rmSync(join(dist, file));
}

/** @param {string} folder */
function filesIn(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  build();
