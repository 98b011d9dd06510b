/** Nodes of modules that a user names: a folder of them, or an npm package (docs/arp-nodes.md). */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ReeveError } from '../../../model/errors.ts';
import { NODE_TYPE, type NodeType } from '../wire/core.ts';
import { fieldErrors } from '../wire/validate.ts';
import type { AtomicNode } from './node.ts';
import type { SourcedNode } from './node-table.ts';

const MODULE = /^[^._].*(?<!\.d)\.(?:js|mjs|ts|mts)$/;

/**
 * @param place a folder, of which every module is loaded in the order of names, or a package below the folders
 * `node_modules` of `cwd` and above.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA naming the file
 */
export async function loadNodes(place: string, cwd: string): Promise<readonly SourcedNode[]> {
  const files = modulesOf(place, cwd);
  if (files.length === 0) throw refusal(place, 'holds no module: .js, .mjs, .ts or .mts');
  const loaded: SourcedNode[] = [];
  for (const file of files) loaded.push(...(await nodesIn(file)));
  return loaded;
}

function modulesOf(place: string, cwd: string): readonly string[] {
  const path = resolve(cwd, place);
  if (isFolder(path)) {
    if (existsSync(join(path, 'package.json'))) return [entryOf(path)];
    const names = readdirSync(path).filter((name) => MODULE.test(name));
    return names.toSorted().map((name) => join(path, name));
  }
  if (existsSync(path)) return [path];
  if (/^(?:@[\w.-]+\/)?[\w-][\w.-]*$/.test(place)) {
    for (let at = resolve(cwd); ; at = dirname(at)) {
      const found = join(at, 'node_modules', place);
      if (isFolder(found)) return [entryOf(found)];
      if (at === dirname(at)) break;
    }
  }
  throw refusal(place, `is no folder and no installed package, seen from ${cwd}`);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The module that `import` of the package gives. @throws ReeveError */
function entryOf(folder: string): string {
  const file = join(folder, 'package.json');
  let manifest: { readonly exports?: unknown; readonly main?: unknown };
  try {
    manifest = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw refusal(file, `cannot be read: ${(error as Error).message}`);
  }
  const main = typeof manifest.main === 'string' ? manifest.main : 'index.js';
  return join(folder, exported(manifest.exports) ?? main);
}

const CONDITIONS = ['.', 'node', 'import', 'module-sync', 'default'];

function exported(exports: unknown): string | undefined {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null) return undefined;
  const [, target] = Object.entries(exports).find(([key]) => CONDITIONS.includes(key)) ?? [];
  return exported(target);
}

async function nodesIn(file: string): Promise<readonly SourcedNode[]> {
  let module: { readonly nodes?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (error) {
    throw refusal(file, `cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { nodes } = module;
  if (!Array.isArray(nodes) || nodes.length === 0)
    throw refusal(file, 'does not export `nodes`, a list of {node_type, execute}');
  return Promise.all(nodes.map((node: unknown, at) => checked(node, { file, at })));
}

async function checked(node: unknown, { file, at }: { file: string; at: number }): Promise<SourcedNode> {
  const { node_type: given, execute } = (node ?? {}) as {
    readonly node_type?: object;
    readonly execute?: unknown;
  };
  const nodeType = { kind: 'atomic', ...given };
  const [wrong] = await fieldErrors(NODE_TYPE, nodeType, [`nodes[${at}]`, 'node_type']);
  if (wrong !== undefined) throw refusal(file, `${wrong.loc.join('.')} ${wrong.msg}`);
  if (nodeType.kind !== 'atomic') throw refusal(file, `nodes[${at}].node_type.kind must be atomic`);
  if (typeof execute !== 'function') throw refusal(file, `nodes[${at}].execute must be a function`);
  return {
    nodeType: nodeType as NodeType,
    source: file,
    execute: (inputs, call) => (execute as AtomicNode['execute']).call(node, inputs, call),
  };
}

function refusal(what: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${what} ${problem}`, { file: what });
}
