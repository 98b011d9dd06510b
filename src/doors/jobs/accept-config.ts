/** Finds and reads the acceptance configuration of a job (contract wrkr §g). */
import { extname } from 'node:path';
import { ACCEPT_CONFIG_SCHEMA, acceptConfigOf, type AcceptConfig } from '../../evidence/accept/config.ts';
import { ReeveError } from '../../model/errors.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { resolveUserPath } from './paths.ts';
import { readTextFile } from './read-text.ts';
import { parseSpecText } from './spec-text.ts';
import { problemsOf, refuseProblems, type Problem } from '../validate.ts';

export const ACCEPT_CONFIG_FILE = 'accept.yaml';

export interface LoadedConfig {
  readonly config: AcceptConfig;
  /** Absolute. */
  readonly path: string;
  /** Whether there was such a file; without one all values are the defaults. */
  readonly isThere: boolean;
}

/** What a job's spec names as its configuration. */
export function configPathOf({ document }: RunSpec): string | undefined {
  const { acceptance } = (document ?? {}) as { acceptance?: { config_path?: unknown } };
  const path = acceptance?.config_path;
  return typeof path === 'string' && path.trim() !== '' ? path : undefined;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, with the line of what is wrong. */
export async function loadAcceptConfig(path: string, cwd: string): Promise<LoadedConfig> {
  const resolved = await resolveUserPath(path, cwd, 'config');
  const text = await readTextFile({ path: resolved, what: 'the acceptance configuration', field: 'config' });
  if (text === undefined) return { config: acceptConfigOf({}), path: resolved, isThere: false };
  return { config: await parseAcceptConfig(text, resolved), path: resolved, isThere: true };
}

async function parseAcceptConfig(text: string, path: string): Promise<AcceptConfig> {
  const format = extname(path).toLowerCase() === '.json' ? 'json' : 'yaml';
  const document = withoutNulls((await parsed(text, format, path)) ?? {});
  const problems = await problemsOf(ACCEPT_CONFIG_SCHEMA, document);
  if (problems.length > 0) {
    const located = await withLines(problems, text);
    const line = located[0]?.line;
    refuseProblems(`${path}${line === undefined ? '' : `, line ${line}`}`, located);
  }
  return acceptConfigOf(document as JsonObject);
}

/** The same rules as for a spec; only the message names another file. */
async function parsed(text: string, format: 'json' | 'yaml', path: string): Promise<Json> {
  try {
    return await parseSpecText(text, format);
  } catch (error) {
    if (!(error instanceof ReeveError)) throw error;
    const { problem, line } = (error.details ?? {}) as { problem?: string; line?: number };
    const where = line === undefined ? path : `${path}, line ${line}`;
    throw new ReeveError(
      error.code,
      `${where}: the configuration ${problem}`,
      { field: 'config', value: path, ...error.details },
      { cause: error },
    );
  }
}

/** A key with nothing behind it is what YAML calls null: it has its default. */
function withoutNulls(value: Json): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== null);
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutNulls(item)]));
}

type LocatedProblem = Problem & { readonly line?: number };

/** Adds the line at which each problem stands. YAML reads JSON too. */
async function withLines(problems: readonly Problem[], text: string): Promise<readonly LocatedProblem[]> {
  const { isMap, isScalar, isSeq, LineCounter, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const { contents } = parseDocument(text, { lineCounter: lines, uniqueKeys: false });
  return problems.map((problem) => {
    let node: unknown = contents;
    let offset = (contents?.range ?? [0])[0];
    for (const part of problem.field.split('/').slice(1)) {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === name);
        if (!isScalar(pair?.key)) break;
        offset = (pair.key.range ?? [offset])[0];
        node = pair.value;
      } else if (isSeq(node)) {
        const item = node.items[Number(name)] as { range?: readonly number[] } | undefined;
        offset = item?.range?.[0] ?? offset;
        node = item;
      } else break;
    }
    return { ...problem, line: lines.linePos(offset).line };
  });
}
