/**
 * How much a text has in common with a node type, counted in words: the same texts give the same number, everywhere
 * (contract arp §7.3). Meant for English; other languages match by whole words. Pure.
 */
import type { NodeType } from '../wire/core.ts';

const TEXT_CHARS_MAX = 20_000;
const WORDS_MAX = 500;
const SCHEMA_DEPTH_MAX = 8;

const COMMON = new Set(
  'a about after all an and any are as at be by can do does for from get give given has have how i if in into is it its me my no not of on or our so some than that the their them then there these they this to up us use used using want we what when where which who will with you your'.split(
    ' ',
  ),
);

/** Words by their stems, as they stand in the text; common ones and single letters and digits left out, at most 500. */
export function wordsOf(text: string): ReadonlyMap<string, string> {
  const words = new Map<string, string>();
  const apart = text
    .slice(0, TEXT_CHARS_MAX)
    .normalize('NFKC')
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2'); // camelCase
  for (const [word] of apart.toLowerCase().matchAll(/\p{L}+|\p{N}+/gu)) {
    if (words.size >= WORDS_MAX) break;
    const stem = stemOf(word);
    if (word.length > 1 && !COMMON.has(word) && !words.has(stem)) words.set(stem, word);
  }
  return words;
}

/** Without the endings that make "hashes", "hashed" and "hashing" of "hash", and "copies" of "copy". */
function stemOf(word: string): string {
  if (!/^[a-z]{4,}$/.test(word)) return word;
  const stem = word.replace(/ie[sd]$/, 'y').replace(/(?:ing|ed|es|s|e)$/, '');
  return stem.length >= 3 ? stem : word;
}

/** What a word is worth by where it stands. */
const WORTH = { name: 3, description: 2, schema: 1 } as const;
type Worth = ReadonlyMap<string, number>;

const known = new WeakMap<NodeType, Worth>();

/** Of a node type: its id, its description and `jarvis.tags`, the properties of its schemas and what they say. */
function worthOf(type: NodeType): Worth {
  let worth = known.get(type);
  if (worth === undefined) {
    const { node_type_id, description = '', input_schema, output_schema, extensions = {} } = type;
    const tags = extensions['jarvis.tags'];
    const texts = {
      schema: schemaText([input_schema, output_schema]),
      description: `${description} ${Array.isArray(tags) ? tags.join(' ') : ''}`,
      name: node_type_id,
    };
    const found = new Map<string, number>();
    for (const place of ['schema', 'description', 'name'] as const) {
      for (const stem of wordsOf(texts[place]).keys()) found.set(stem, WORTH[place]);
    }
    worth = found;
    known.set(type, worth);
  }
  return worth;
}

/** Names of the properties of a schema, and their descriptions, at any place that is not too deep. */
export function schemaText(schema: unknown, depth = 0): string {
  if (typeof schema !== 'object' || schema === null || depth > SCHEMA_DEPTH_MAX) return '';
  if (Array.isArray(schema)) return schema.map((part) => schemaText(part, depth + 1)).join(' ');
  const { properties, description } = schema as {
    readonly properties?: unknown;
    readonly description?: unknown;
  };
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  const below = Object.values(schema).map((part) => schemaText(part, depth + 1));
  return [...names, typeof description === 'string' ? description : '', ...below].join(' ');
}

export interface Overlap {
  /** 0: nothing in common; 1: every word of the text is in the type's name. Four decimals. */
  readonly score: number;
  /** In the order of the text. */
  readonly shared: readonly string[];
}

export function overlap(words: ReadonlyMap<string, string>, type: NodeType): Overlap {
  const worth = worthOf(type);
  let sum = 0;
  const shared: string[] = [];
  for (const [stem, word] of words) {
    const value = worth.get(stem);
    if (value === undefined) continue;
    sum += value;
    shared.push(word);
  }
  const score = words.size === 0 ? 0 : sum / (WORTH.name * words.size);
  return { score: Math.round(score * 10_000) / 10_000, shared };
}

export interface Ranked extends Overlap {
  readonly type: NodeType;
}

/** Types that share a word with a text: most first, ties by id, then by version, in the order of characters. */
export function rankByWords(
  words: ReadonlyMap<string, string>,
  types: readonly NodeType[],
): readonly Ranked[] {
  return types
    .map((type) => ({ type, ...overlap(words, type) }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score || byIdAndVersion(a.type, b.type));
}

export function byIdAndVersion(a: NodeType, b: NodeType): number {
  return byText(a.node_type_id, b.node_type_id) || byText(a.version, b.version);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
