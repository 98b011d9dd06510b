// Who may import whom: the table of ARCHITECTURE.md, checked against every file of src/. Sources are parsed, not matched
// by patterns, and finding nothing to check is itself a failure.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';

/** Folder of src/ -> the folders it may import besides itself. */
const MAY_IMPORT = {
  telemetry: [],
  model: [],
  policy: ['telemetry', 'model'],
  store: ['telemetry', 'model'],
  engine: ['telemetry', 'model', 'policy', 'store'],
  executors: ['telemetry', 'model', 'policy', 'engine'],
  evidence: ['telemetry', 'model', 'policy', 'store'],
  doors: ['telemetry', 'model', 'policy', 'store', 'engine', 'executors', 'evidence'],
  server: ['telemetry', 'model', 'policy', 'store', 'engine', 'executors', 'evidence', 'doors'],
  cli: ['telemetry', 'model', 'policy', 'store', 'engine', 'executors', 'evidence', 'doors', 'server'],
} as const satisfies Record<string, readonly string[]>;

type Folder = keyof typeof MAY_IMPORT;

/**
 * Folders whose subfolders are strangers to each other. A file directly in such a folder is common ground: every
 * subfolder may import it, and it imports none of them, or it would be a bridge between two.
 */
const STRANGERS: ReadonlySet<string> = new Set(['doors', 'executors']);

/** The model is pure: no Node modules, and of the packages only the one that writes canonical JSON. */
const MODEL_PACKAGES: ReadonlySet<string> = new Set(['canonicalize']);

/** Loads modules that a user names: the only computed imports. */
const PLUGIN_LOADER = 'doors/arp/atomic/plugins.ts';

export interface Source {
  /** Path below src/, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  readonly line: number;
  /** Undefined where the code computes it. */
  readonly specifier: string | undefined;
}

export interface Report {
  readonly files: number;
  readonly imports: number;
  readonly problems: readonly string[];
}

/** Every import of a file: static, `export … from`, `import type`, `import()`, `typeof import()`, `require()`. */
export function importsOf(source: Source): readonly Import[] {
  const { program, errors } = parseSync(source.path, source.text);
  const [error] = errors;
  if (error !== undefined) throw new SyntaxError(`src/${source.path}: ${error.message}`);

  const found: Import[] = [];
  const add = (node: { start: number }, literal: unknown): void => {
    const line = source.text.slice(0, node.start).split('\n').length;
    found.push({ line, specifier: textOf(literal) });
  };
  new Visitor({
    ImportDeclaration: (node) => add(node, node.source),
    ExportAllDeclaration: (node) => add(node, node.source),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node, node.source);
    },
    ImportExpression: (node) => add(node, node.source),
    TSImportType: (node) => add(node, node.source),
    TSImportEqualsDeclaration: (node) => {
      if (node.moduleReference.type === 'TSExternalModuleReference')
        add(node, node.moduleReference.expression);
    },
    CallExpression: (node) => {
      if (node.callee.type === 'Identifier' && node.callee.name === 'require') add(node, node.arguments[0]);
    },
  }).visit(program);
  return found;
}

function textOf(node: unknown): string | undefined {
  if (typeof node !== 'object' || node === null) return undefined;
  if ('value' in node && typeof node.value === 'string') return node.value;
  return undefined;
}

export function checkImports(sources: readonly Source[]): Report {
  const problems: string[] = [];
  const known = new Set(sources.map((source) => source.path));
  const edges = new Map<string, string[]>();
  let imports = 0;
  for (const source of sources) {
    const targets: string[] = [];
    edges.set(source.path, targets);
    if (folderOf(source.path) === 'unknown') {
      problems.push(
        `src/${source.path}: the folder ${top(source.path)}/ is not in the table of scripts/check-imports.ts`,
      );
    }
    for (const { line, specifier } of importsOf(source)) {
      imports += 1;
      const why = refuse(source.path, specifier);
      if (why !== undefined) problems.push(`src/${source.path}:${line}: ${why}`);
      const target = specifier === undefined ? undefined : targetOf(source.path, specifier);
      if (target !== undefined && known.has(target)) targets.push(target);
    }
  }
  for (const cycle of cyclesOf(edges))
    problems.push(`cycle: ${cycle.map((path) => `src/${path}`).join(' -> ')}`);
  if (sources.length === 0) problems.push('no source file was found: nothing was checked');
  else if (imports === 0) problems.push('no import was found: nothing was checked');
  return { files: sources.length, imports, problems };
}

/** Why a file may not import this, or undefined when it may. */
function refuse(from: string, specifier: string | undefined): string | undefined {
  if (specifier === undefined && from === PLUGIN_LOADER) return undefined;
  if (specifier === undefined)
    return 'imports a computed path; write it as a plain string, so that it can be checked';
  const folder = folderOf(from);
  if (!specifier.startsWith('.')) {
    if (/^(reeve(\/|$)|[#/]|file:)/.test(specifier)) return `imports ${specifier}; write a relative path`;
    if (folder !== 'model' || MODEL_PACKAGES.has(specifier)) return undefined;
    return `model/ is pure and imports ${specifier}; allowed: ${[...MODEL_PACKAGES].join(', ')}`;
  }
  const target = targetOf(from, specifier);
  if (target === undefined) return `imports ${specifier}, which is outside src/`;
  if (folder === 'entry' || folder === 'unknown') return undefined;
  const to = folderOf(target);
  if (to !== folder) {
    const allowed: readonly string[] = MAY_IMPORT[folder];
    if (allowed.includes(to)) return undefined;
    return `${folder}/ may not import src/${target}; allowed: ${allowed.join(', ') || 'nothing of ours'}`;
  }
  const room = roomOf(target);
  if (!STRANGERS.has(folder) || room === undefined || room === roomOf(from)) return undefined;
  return `${folder}/${roomOf(from) ?? ''} may not import src/${target}: the folders of ${folder}/ never import each other`;
}

/** The file below src/ that a relative specifier names; undefined when it leaves src/. */
function targetOf(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = posix.join(posix.dirname(from), specifier);
  if (target === '..' || target.startsWith('../')) return undefined;
  return target.replace(/\.js$/, '.ts');
}

const top = (path: string): string => path.split('/')[0] ?? '';

/** `entry` is a file directly in src/: it may import everything, and nothing may import it. */
function folderOf(path: string): Folder | 'entry' | 'unknown' {
  if (!path.includes('/')) return 'entry';
  const name = top(path);
  return Object.hasOwn(MAY_IMPORT, name) ? (name as Folder) : 'unknown';
}

/** The subfolder (`doors/jobs/map.ts` -> `jobs`); undefined for a file directly in the folder. */
function roomOf(path: string): string | undefined {
  const parts = path.split('/');
  return parts.length > 2 ? parts[1] : undefined;
}

/** One cycle for each edge that closes one, in the order the files were given. Types count: a cycle of types is a knot too. */
function cyclesOf(edges: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const open = path.indexOf(file);
    if (open >= 0) {
      cycles.push([...path.slice(open), file]);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const target of edges.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) visit(file);
  return cycles;
}

/** All TypeScript files below a folder, sorted. */
export function readSources(src: string): readonly Source[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /\.[cm]?tsx?$/.test(path))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(src, path), 'utf8') }));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { files, imports, problems } = checkImports(
    readSources(fileURLToPath(new URL('../src', import.meta.url))),
  );
  for (const problem of problems) console.error(problem);
  console.log(`imports: ${files} files, ${imports} imports, ${problems.length} problems`);
  if (problems.length > 0) process.exitCode = 1;
}
