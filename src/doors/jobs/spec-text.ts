/**
 * Text of a JobSpec → JSON value (contract wrkr §e, W41). JSON and YAML are held to the same: no key twice, no value
 * that JSON cannot say, no more than 64 levels. A YAML file cannot grow without bound (aliases, merge keys).
 */
import type * as YamlModule from 'yaml';
import type { Document, Pair, ParsedNode, Scalar, YAMLMap } from 'yaml';
import { ReeveError } from '../../model/errors.ts';
import type { Json, JsonObject } from '../../model/json.ts';

const DEPTH_MAX = 64;
/** Values of a document once its aliases are written out; a plain file of 1 MiB stays below. */
const VALUES_MAX = 600_000;

type Yaml = typeof YamlModule;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function parseSpecText(text: string, format: 'json' | 'yaml'): Promise<Json> {
  if (format === 'json') return parseJson(text);
  const yaml = await import('yaml');
  const doc = parseYaml(yaml, text);
  return new YamlReader(yaml).read(doc);
}

function refusal(problem: string, details: Readonly<Record<string, unknown>> = {}): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the spec ${problem}`, { problem, ...details });
}

function parseJson(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw refusal(
      error instanceof RangeError ? 'is nested too deep' : `is no JSON: ${(error as Error).message}`,
    );
  }
  checkJsonText(text);
  checkValues(value, '');
  return value;
}

const JSON_TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]/gs;

/** What JSON.parse lets pass: a key twice in one object, and any depth. The text is known to be JSON. */
function checkJsonText(text: string): void {
  const open: (Set<string> | undefined)[] = [];
  let lastString = '';
  for (const [token] of text.matchAll(JSON_TOKEN)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : undefined);
      if (open.length > DEPTH_MAX) throw refusal(`is nested deeper than ${DEPTH_MAX} levels`);
    } else if (token === '}' || token === ']') {
      open.pop();
    } else if (token === ':') {
      const key = lastString.includes('\\') ? JSON.stringify(JSON.parse(lastString)) : lastString;
      if (open.at(-1)?.has(key) === true) throw refusal(`has the key ${key} twice in one object`);
      open.at(-1)?.add(key);
    } else if (token !== ',') {
      lastString = token;
    }
  }
}

function checkValues(value: Json, field: string): void {
  if (typeof value === 'string') checkString(value, field);
  else if (typeof value === 'number' && !Number.isFinite(value))
    throw refusal('has a number out of range', { field });
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      checkString(key, field);
      checkValues(item, `${field}/${key}`);
    }
  }
}

function checkString(text: string, field: string): void {
  if (!text.isWellFormed()) throw refusal('has a string that is no Unicode text', { field });
}

function parseYaml(yaml: Yaml, text: string): Document.Parsed {
  let doc: Document.Parsed;
  try {
    doc = yaml.parseDocument(text, {
      version: '1.2',
      schema: 'core',
      // Looked for in #map: their search takes a minute for a file of nothing but keys.
      uniqueKeys: false,
      prettyErrors: true,
    });
  } catch (error) {
    // The parser calls itself for every level.
    throw refusal(
      error instanceof RangeError ? 'is nested too deep' : `is no YAML: ${(error as Error).message}`,
    );
  }
  const problem = doc.errors[0] ?? doc.warnings[0];
  if (problem !== undefined) {
    const [at] = problem.linePos ?? [];
    throw refusal(
      `is no plain YAML: ${problem.message.split('\n')[0]}`,
      at === undefined ? {} : { line: at.line },
    );
  }
  return doc;
}

const YAML_DATE =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|[ \t]+)(\d{1,2}):(\d{2}):(\d{2}(?:\.\d*)?)(?:[ \t]*(Z|[-+]\d{1,2}(?::?\d{2})?))?)?$/;

/** Writes a parsed document out as JSON values; every alias costs what it stands for. */
class YamlReader {
  readonly #yaml: Yaml;
  /** Anchor → the node that bore it last. */
  readonly #anchors = new Map<string, ParsedNode>();
  /** Nodes being read: an alias to one of them would be endless. */
  readonly #open = new Set<ParsedNode>();
  #values = 0;

  constructor(yaml: Yaml) {
    this.#yaml = yaml;
  }

  read(doc: Document.Parsed): Json {
    const { contents } = doc;
    if (this.#yaml.isMap(contents)) dateAsTime(contents);
    return this.#value(contents, 0);
  }

  #value(node: ParsedNode | null, depth: number): Json {
    if (node === null) return null;
    this.#values += 1;
    if (this.#values > VALUES_MAX) throw refusal(`grows beyond ${VALUES_MAX} values through its aliases`);

    const { isAlias, isMap, isScalar } = this.#yaml;
    if (isAlias(node)) return this.#aliased(node.source, (source) => this.#value(source, depth));
    if ('anchor' in node && node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (isScalar(node)) return scalar(node);
    if (depth >= DEPTH_MAX) throw refusal(`is nested deeper than ${DEPTH_MAX} levels`);
    this.#open.add(node);
    const value = isMap(node)
      ? this.#map(node, depth)
      : node.items.map((item) => this.#value(item, depth + 1));
    this.#open.delete(node);
    return value;
  }

  #aliased<T>(anchor: string, use: (source: ParsedNode) => T): T {
    const source = this.#anchors.get(anchor);
    if (source === undefined)
      throw refusal(`uses the anchor ${JSON.stringify(anchor)}, which is not above it`);
    if (this.#open.has(source)) throw refusal(`contains itself through the anchor ${JSON.stringify(anchor)}`);
    return use(source);
  }

  #map(map: YAMLMap, depth: number): Json {
    const entries = new Map<string, Json>();
    const merged: [string, Json][] = [];
    for (const pair of map.items as Pair<ParsedNode, ParsedNode | null>[]) {
      if (isMerge(pair)) {
        const values = this.#value(pair.value, depth + 1);
        for (const value of Array.isArray(values) ? values : [values]) {
          if (typeof value !== 'object' || value === null || Array.isArray(value))
            throw refusal('merges what is no map');
          merged.push(...Object.entries(value as JsonObject));
        }
        continue;
      }
      const key = this.#key(pair.key);
      if (entries.has(key)) throw refusal(`has the key ${JSON.stringify(key)} twice in one map`);
      entries.set(key, this.#value(pair.value, depth + 1));
    }
    for (const [key, value] of merged) if (!entries.has(key)) entries.set(key, value);
    return Object.fromEntries(entries); // defines keys such as __proto__ instead of assigning them
  }

  #key(node: ParsedNode): string {
    const value = this.#value(node, 0);
    if (typeof value === 'object' && value !== null) throw refusal('has a key that is no plain value');
    return String(value);
  }
}

function isMerge(pair: Pair<ParsedNode, ParsedNode | null>): boolean {
  return 'value' in pair.key && (pair.key as Scalar).type === 'PLAIN' && (pair.key as Scalar).source === '<<';
}

function scalar(node: Scalar.Parsed): Json {
  const { value } = node;
  if (typeof value === 'string') {
    checkString(value, '');
    return value;
  }
  if (typeof value === 'number' && !Number.isFinite(value))
    throw refusal(`has the number ${node.source}, which JSON cannot say`);
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  throw refusal(`has a value that JSON cannot say: ${node.source}`);
}

/** An unquoted YAML date or time in `created_at` is a time (contract wrkr §e); a quoted one is left alone. */
function dateAsTime(spec: YAMLMap): void {
  const node = spec.get('created_at', true);
  if (node?.type !== 'PLAIN' || typeof node.value !== 'string') return;
  const parts = YAML_DATE.exec(node.value);
  if (parts === null) return;
  const two = (digits = '0'): string => digits.padStart(2, '0');
  const [, year, month, day, hour, minute, second = '00', zone = 'Z'] = parts;
  const [, sign, zoneHour, zoneMinute] = /^([-+])(\d{1,2}):?(\d{2})?$/.exec(zone) ?? [];
  const offset = sign === undefined ? 'Z' : `${sign}${two(zoneHour)}:${two(zoneMinute)}`;
  const time = `${two(hour)}:${two(minute)}:${second.replace(/\.$/, '')}`;
  node.value = `${year}-${two(month)}-${two(day)}T${time}${offset}`;
}
