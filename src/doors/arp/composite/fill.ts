/**
 * Arguments without a model (contract arp §7.3): each property of a schema takes the first value that fits it, by its name
 * and then by its type, out of goal, context and what earlier steps gave. Pure; equal sources give equal arguments.
 */
import type { Fields } from './assignment.ts';
import type { InputSchema } from './input-schema.ts';
import { isFields, type PriorStep } from './plan.ts';
import { propertyOf, type Property } from './property.ts';
import { withoutEnd } from './split.ts';

export interface Sources {
  readonly goal: string;
  readonly notes?: string;
  readonly context: Fields;
  /** The latest first. */
  readonly earlier: readonly PriorStep[];
  /** What the arguments are for. */
  readonly nodeTypeId: string;
  /** Before all others. */
  readonly given: Fields;
}

const PURPOSES: ReadonlySet<string> = new Set(
  'goal prompt query question task instruction instructions'.split(' '),
);
const BACK = /\b(?:it|its|this|that|these|those|them|results?|outputs?|previous|above)\b/i;
const QUOTED = /"([^"]*)"|“([^“”]*)”|`([^`]*)`|(?<![\p{L}\p{N}])'([^']*)'(?![\p{L}\p{N}])/gu;
const URLS = /\bhttps?:\/\/[^\s"'`<>”]*[^\s"'`<>”.,;:!?)\]]/giu;
const NUMBERS = /(?<![\p{L}\p{N}._-])-?\d+(?:\.\d+)?(?![\p{L}\p{N}_-]|\.\d)/gu;

/** @returns arguments that may still not fit: what nothing was found for is null where that is accepted, or absent. */
export function fill(inputs: InputSchema, sources: Sources): Fields {
  return new Filling(inputs, sources).object(inputs.schema, []);
}

class Filling {
  readonly #inputs: InputSchema;
  readonly #sources: Sources;
  readonly #text: string;
  /** Pieces of the text that no property has taken yet: the first such property takes the first of them. */
  readonly #quotes: string[];
  readonly #urls: string[];
  readonly #numbers: string[];
  /** "hash it": the step means what the one before gave. */
  readonly #refersBack: boolean;

  constructor(inputs: InputSchema, sources: Sources) {
    this.#inputs = inputs;
    this.#sources = sources;
    this.#text = [sources.goal, ...(sources.notes === undefined ? [] : [sources.notes])].join('\n');
    this.#quotes = [...this.#text.matchAll(QUOTED)].map(
      (groups) => groups.slice(1).find((part) => part !== undefined) ?? '',
    );
    this.#refersBack = BACK.test(this.#text.replace(QUOTED, ' '));
    this.#urls = [...this.#text.matchAll(URLS)].map(([url]) => url);
    this.#numbers = [...this.#text.replace(QUOTED, ' ').replace(URLS, ' ').matchAll(NUMBERS)].map(
      ([digits]) => digits,
    );
  }

  object(schema: Fields, path: readonly string[]): Fields {
    const properties = isFields(schema['properties']) ? schema['properties'] : {};
    const entries = Object.keys(properties).map((name): readonly [string, unknown] => [
      name,
      this.#value([...path, name], properties[name], Object.keys(properties).length === 1),
    ]);
    const others =
      path.length > 0
        ? []
        : Object.entries(this.#sources.given).filter(([name]) => !Object.hasOwn(properties, name));
    return Object.fromEntries([...others, ...entries].filter(([, value]) => value !== undefined));
  }

  #value(path: readonly string[], schema: unknown, alone: boolean): unknown {
    const name = path.at(-1) ?? '';
    const { given } = this.#sources;
    if (path.length === 1 && Object.hasOwn(given, name)) return given[name];
    const property = propertyOf(name, schema, this.#inputs.schema);
    for (const candidate of this.#candidates(name, property, alone)) {
      const value = asOneOf(property.types, candidate);
      if (value === undefined || !this.#fits(path, value)) continue;
      this.#take(candidate);
      return value;
    }
    if (property.properties !== undefined && !property.nullable)
      return this.object({ properties: property.properties }, path);
    return property.nullable ? null : undefined;
  }

  /** Best first. What only the type speaks for is not forced on a property that may stay empty, unless it is alone. */
  *#candidates(name: string, property: Property, alone: boolean): Generator {
    const { goal, context } = this.#sources;
    yield* namedInText(name, this.#text);
    if (PURPOSES.has(folded(name))) yield goal;
    const pieces = property.isUrl ? this.#urls : property.types.has('string') ? this.#quotes : [];
    if (alone) yield* pieces;
    for (const fields of [context, ...this.#outputs()]) yield* namedIn(name, fields);
    yield* property.enum.filter((value) => typeof value === 'string' && hasWord(this.#text, value));
    yield* pieces;
    yield* property.stated;
    if (property.nullable && !alone) return;
    yield* this.#numbers;
    const sole = this.#soleOutput(property);
    if (property.isUrl) return yield* sole.filter((value) => URL.canParse(String(value)));
    if (this.#refersBack) yield* sole;
    yield goal;
    yield* sole;
    yield* property.enum.length === 1 ? property.enum : [];
  }

  /** What a step of the same type gave has the same names: it counts only where the goal means it. */
  #outputs(): readonly Fields[] {
    const { earlier, nodeTypeId } = this.#sources;
    return earlier
      .filter(({ action }) => this.#refersBack || action !== nodeTypeId)
      .map(({ outputs }) => outputs);
  }

  /** The only value of the latest step that has the type: two would be a guess. */
  #soleOutput({ types }: Property): readonly unknown[] {
    const [latest] = this.#sources.earlier;
    const fitting = Object.values(latest?.outputs ?? {}).filter((value) => isOneOf(types, value));
    return fitting.length === 1 ? fitting : [];
  }

  /** Whether a value may stand there, whatever stands elsewhere. */
  #fits(path: readonly string[], value: unknown): boolean {
    const document = path.reduceRight<unknown>((below, name) => Object.fromEntries([[name, below]]), value);
    const pointer = path.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
    return !this.#inputs
      .misfits(document)
      .some(({ field }) => field === pointer || field.startsWith(`${pointer}/`));
  }

  #take(candidate: unknown): void {
    for (const pieces of [this.#quotes, this.#urls, this.#numbers]) {
      const at = pieces.indexOf(candidate as string);
      if (at >= 0) pieces.splice(at, 1);
    }
  }
}

/** `name: value`, `name=value`; the value is a word, or in quotes. */
function namedInText(name: string, text: string): readonly string[] {
  const spelt = name
    .split(/[_-]/)
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`))
    .join('[ _-]?');
  const found = new RegExp(
    String.raw`(?<![\p{L}\p{N}_])${spelt}\s*[:=]\s*(?:"([^"]*)"|'([^']*)'|([^\s,;"']+))`,
    'iu',
  ).exec(text);
  const value = found?.slice(1).find((part) => part !== undefined);
  return value === undefined ? [] : [value, withoutEnd(value, '.!?')];
}

function namedIn(name: string, fields: Fields): readonly unknown[] {
  if (Object.hasOwn(fields, name)) return [fields[name]];
  return Object.entries(fields)
    .filter(([key]) => folded(key) === folded(name))
    .map(([, value]) => value);
}

function folded(name: string): string {
  return name.replaceAll(/[_ -]/g, '').toLowerCase();
}

function hasWord(text: string, word: string): boolean {
  const at = text.toLowerCase().indexOf(word.toLowerCase());
  if (at < 0 || word === '') return false;
  return !/[\p{L}\p{N}]/u.test(`${text[at - 1] ?? ''}${text[at + word.length] ?? ''}`);
}

/** The value as one of the types, where a text and a number or truth mean the same. Undefined: it is none. */
function asOneOf(types: ReadonlySet<string>, value: unknown): unknown {
  if (types.size === 0 || isOneOf(types, value)) return value;
  if (typeof value === 'string') {
    const number = /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : Number.NaN;
    if (types.has('number') ? Number.isFinite(number) : types.has('integer') && Number.isSafeInteger(number))
      return number;
    if (types.has('boolean') && /^(true|false|yes|no)$/i.test(value)) return /^[ty]/i.test(value);
  }
  if (types.has('string') && (typeof value === 'number' || typeof value === 'boolean')) return String(value);
  return undefined;
}

function isOneOf(types: ReadonlySet<string>, value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (Array.isArray(value)) return types.has('array');
  if (typeof value === 'number')
    return types.has('number') || (types.has('integer') && Number.isInteger(value));
  return types.has(typeof value);
}
