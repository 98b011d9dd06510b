// How the project runs its tests. Nothing is run unless AUDIT_RUN_TESTS=1.
import { spawnSync } from 'node:child_process';
import { named, root, step, textOf, trackedFiles } from './audit.mjs';

const TEST_FILES = [
  ['JavaScript, TypeScript', /\.(?:test|spec)\.[cm]?[jt]sx?$/],
  ['Go', /_test\.go$/],
  ['Python', /(?:^|\/)(?:test_[^/]*|[^/]*_test)\.py$/],
  ['Rust', /(?:^|\/)tests\/[^/]*\.rs$/],
  ['Java, Kotlin', /(?:^|\/)src\/test\/.*\.(?:java|kt)$/],
  ['Ruby', /_(?:spec|test)\.rb$/],
];

await step('tests', () => {
  const files = trackedFiles();
  const counts = TEST_FILES.map(([language, pattern]) => ({
    language,
    files: files.filter(({ path }) => pattern.test(path)).length,
  })).filter((count) => count.files > 0);
  const commands = commandsOf(files);
  const [first] = commands;
  const isWanted = process.env.AUDIT_RUN_TESTS === '1' && first !== undefined;
  return { commands, files: counts, ...(isWanted ? { run: run(first.command) } : {}) };
});

/** Commands that the root of the repository speaks for, the most telling first. */
function commandsOf(files) {
  const found = [];
  const atRoot = (name) => files.find(({ path }) => path === name);
  const manifest = atRoot('package.json');
  if (manifest !== undefined) {
    const script = scriptOf(textOf(manifest) ?? '');
    if (script !== undefined && !script.includes('no test specified'))
      found.push({ command: 'npm test', from: `package.json: ${script}` });
  }
  if (atRoot('go.mod')) found.push({ command: 'go test ./...', from: 'go.mod' });
  if (atRoot('Cargo.toml')) found.push({ command: 'cargo test', from: 'Cargo.toml' });
  if (atRoot('tox.ini')) found.push({ command: 'tox', from: 'tox.ini' });
  const isPython =
    atRoot('pytest.ini') ?? atRoot('pyproject.toml') ?? atRoot('setup.cfg') ?? named(files, 'conftest.py')[0];
  if (isPython) found.push({ command: 'python -m pytest', from: isPython.path });
  const makefile = atRoot('Makefile');
  if (makefile !== undefined && /^test\s*:/m.test(textOf(makefile) ?? ''))
    found.push({ command: 'make test', from: 'Makefile' });
  return found;
}

function scriptOf(text) {
  try {
    return JSON.parse(text).scripts?.test;
  } catch {
    return undefined;
  }
}

/** Its output goes to the step's own, which reeve keeps the end of; the report holds only how it ended. */
function run(command) {
  const from = Date.now();
  const { status, signal } = spawnSync('sh', ['-c', command], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return {
    command,
    exitCode: status,
    ...(signal === null ? {} : { signal }),
    seconds: Math.round((Date.now() - from) / 1000),
  };
}
