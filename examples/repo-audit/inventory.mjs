// Files by type and size, the largest ones, and where the history stands.
import { lstatSync } from 'node:fs';
import { extname, join } from 'node:path';
import { byText, git, root, step, trackedFiles, tryGit } from './audit.mjs';

await step('inventory', () => {
  const files = trackedFiles().map(({ path }) => ({ path, bytes: sizeOf(path) }));
  const present = files.filter(({ bytes }) => bytes !== undefined);
  const types = new Map();
  for (const { path, bytes } of present) {
    const type = extname(path).toLowerCase() || '(none)';
    const known = types.get(type) ?? { type, files: 0, bytes: 0 };
    types.set(type, { type, files: known.files + 1, bytes: known.bytes + bytes });
  }
  return {
    files: files.length,
    bytes: present.reduce((sum, { bytes }) => sum + bytes, 0),
    missing: files.length - present.length,
    types: [...types.values()].toSorted((a, b) => b.bytes - a.bytes || byText(a.type, b.type)),
    largest: present.toSorted((a, b) => b.bytes - a.bytes).slice(0, 10),
    history: history(),
    uncommitted: git('-C', root, 'status', '--porcelain', '-z')
      .split('\0')
      .filter((line) => line !== '').length,
  };
});

function sizeOf(path) {
  try {
    return lstatSync(join(root, path)).size;
  } catch {
    return undefined; // deleted and not committed
  }
}

function history() {
  const last = tryGit('log', '-1', '--format=%H%x00%cI%x00%an%x00%s');
  if (last === undefined) return { commits: 0 };
  const [commit, at, author, subject] = last.split('\0');
  return {
    commits: Number(git('rev-list', '--count', 'HEAD')),
    branch: tryGit('symbolic-ref', '--short', '-q', 'HEAD') ?? '(detached)',
    last: { commit, at, author, subject },
  };
}
