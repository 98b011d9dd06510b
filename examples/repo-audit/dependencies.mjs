// What the repository depends on, as its manifests and lock files say. Nothing is resolved and no network is used.
import { byText, named, step, textOf, trackedFiles } from './audit.mjs';

/** Seen and said, but not read. */
const OTHERS = [
  'yarn.lock',
  'pnpm-lock.yaml',
  'bun.lock',
  'Cargo.toml',
  'Gemfile',
  'pom.xml',
  'build.gradle',
  'composer.json',
  'uv.lock',
  'poetry.lock',
];

await step('dependencies', () => {
  const files = trackedFiles();
  const read = (name, parse) => named(files, name).map((file) => parsed(file, parse));
  const manifests = [
    ...read('package.json', packageJson),
    ...read('go.mod', goMod),
    ...read('pyproject.toml', pyproject),
    ...files
      .filter(({ path }) => /(^|\/)requirements[^/]*\.txt$/.test(path))
      .map((file) => parsed(file, requirements)),
  ];
  const locks = read('package-lock.json', packageLock);
  const others = OTHERS.flatMap((name) => named(files, name).map(({ path }) => path)).toSorted(byText);
  const folders = new Set([...locks, ...others.map((file) => ({ file }))].map(({ file }) => folderOf(file)));
  const problems = [
    ...[...manifests, ...locks].filter(({ error }) => error).map(({ file, error }) => `${file}: ${error}`),
    ...manifests
      .filter(
        ({ kind, dependencies = [], file }) =>
          kind === 'npm' && dependencies.length > 0 && !folders.has(folderOf(file)) && !folders.has(''),
      )
      .map(({ file }) => `${file}: no lock file beside it or at the root`),
    ...manifests.flatMap(({ file, kind, dependencies = [] }) => {
      const open = dependencies.filter(({ version }) => kind === 'requirements' && !version.startsWith('=='));
      return open.length > 0 ? [`${file}: ${open.length} not pinned with ==`] : [];
    }),
  ];
  return { manifests, locks, others, problems };
});

function folderOf(path) {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function parsed(file, parse) {
  const text = textOf(file, 64 << 20);
  if (text === undefined) return { file: file.path, error: 'cannot be read' };
  try {
    return { file: file.path, ...parse(text) };
  } catch (error) {
    return { file: file.path, error: `cannot be parsed: ${error.message}` };
  }
}

function packageJson(text) {
  const manifest = JSON.parse(text);
  const groups = ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies'];
  const dependencies = groups.flatMap((group) =>
    Object.entries(manifest[group] ?? {}).map(([name, version]) => ({
      name,
      version: String(version),
      group,
    })),
  );
  return { kind: 'npm', name: manifest.name, dependencies };
}

/** Lock file versions 2 and 3 list `packages` by path, version 1 nests `dependencies`. */
function packageLock(text) {
  const lock = JSON.parse(text);
  const versions = new Map();
  const add = (name, version) => versions.set(name, (versions.get(name) ?? new Set()).add(version));
  const nested = (dependencies = {}) => {
    for (const [name, entry] of Object.entries(dependencies)) {
      add(name, entry.version);
      nested(entry.dependencies);
    }
  };
  if (lock.packages === undefined) nested(lock.dependencies);
  for (const [path, entry] of Object.entries(lock.packages ?? {})) {
    const at = path.lastIndexOf('node_modules/');
    if (at >= 0 && entry.link !== true)
      add(entry.name ?? path.slice(at + 'node_modules/'.length), entry.version);
  }
  const duplicates = [...versions]
    .filter(([, found]) => found.size > 1)
    .map(([name, found]) => ({ name, versions: [...found].toSorted(byText) }))
    .toSorted((a, b) => byText(a.name, b.name));
  return { kind: 'npm', lockfileVersion: lock.lockfileVersion, packages: versions.size, duplicates };
}

function goMod(text) {
  const dependencies = [];
  let isBlock = false;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (/^require\s*\($/.test(line)) isBlock = true;
    else if (line === ')') isBlock = false;
    else {
      const [, name, version] = /^(?:require\s+)?(\S+)\s+(v\S+)/.exec(line) ?? [];
      const isRequired = isBlock || line.startsWith('require ');
      if (isRequired && name)
        dependencies.push({ name, version, group: line.endsWith('// indirect') ? 'indirect' : 'direct' });
    }
  }
  return { kind: 'go', name: /^module\s+(\S+)/m.exec(text)?.[1], dependencies };
}

function requirements(text) {
  const lines = text.split('\n').map((line) => line.replace(/(^|\s)#.*/, '').trim());
  return {
    kind: 'requirements',
    dependencies: lines.filter((line) => line !== '' && !line.startsWith('-')).map(requirement),
  };
}

/** `name[extra] >= 1, < 2 ; marker` */
function requirement(line) {
  const [, name, version] = /^([A-Za-z0-9._-]+)(?:\s*\[[^\]]*\])?\s*([^;]*)/.exec(line) ?? [
    undefined,
    line,
    '',
  ];
  return { name, version: version.replace(/\s+/g, ''), group: 'direct' };
}

/** Enough of TOML for `[project] dependencies`, its optional ones, and Poetry's tables. */
function pyproject(text) {
  const dependencies = [];
  let table = '';
  let list;
  let name;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    const [, header] = /^\[+([^\]]+)\]+\s*(?:#.*)?$/.exec(line) ?? [];
    if (header !== undefined && list === undefined) {
      table = header.trim();
      continue;
    }
    const [, key = '', value = ''] = /^([A-Za-z0-9_."-]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (table === 'project' && key === 'name') name = value.replaceAll(/["']/g, '');
    if (list === undefined && isList(table, key))
      list = { group: table === 'project' ? 'direct' : key, text: '' };
    else if (
      list === undefined &&
      /^tool\.poetry\..*dependencies$/.test(table) &&
      key !== '' &&
      key !== 'python'
    ) {
      const [, version = value] = /version\s*=\s*["']([^"']*)/.exec(value) ?? [];
      dependencies.push({
        name: key.replaceAll('"', ''),
        version: version.replaceAll(/["']/g, ''),
        group: table.slice('tool.poetry.'.length),
      });
    }
    if (list === undefined) continue;
    list.text += `${raw}\n`;
    const quoted = [...list.text.matchAll(/"([^"\n]*)"|'([^'\n]*)'/g)];
    if (!list.text.replaceAll(/"[^"\n]*"|'[^'\n]*'|#.*/g, '').includes(']')) continue;
    for (const [, double, single] of quoted)
      dependencies.push({ ...requirement(double ?? single ?? ''), group: list.group });
    list = undefined;
  }
  return { kind: 'python', name, dependencies };
}

function isList(table, key) {
  return (
    (table === 'project' && key === 'dependencies') ||
    ((table === 'project.optional-dependencies' || table === 'dependency-groups') && key !== '')
  );
}
