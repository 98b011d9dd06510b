/**
 * JSON that every reader understands alike (docs/jobpack.md, "What is in it"). A name twice in one object, a lone
 * surrogate and a number beyond a double have no RFC 8785 form, and readers differ in what they make of them.
 */
import type { Json } from './json.ts';

/** Levels of nesting that every reader can follow; what is deeper would depend on its stack. */
export const DEPTH_MAX = 1000;

/** It is JSON, and still refused. */
export class AmbiguousJson extends Error {}

/** @throws SyntaxError for what is no JSON; AmbiguousJson for what readers may understand differently or not at all. */
export function parseStrict(text: string): Json {
  if (isTooDeep(text)) throw new AmbiguousJson(`is nested more than ${DEPTH_MAX} levels deep`);
  const value = JSON.parse(text) as Json;
  // Text that its value gives again has said each name once. All that a writer of RFC 8785 writes goes this way.
  if (!text.includes(String.raw`\ud`) && JSON.stringify(value) === text) return value;
  const problem = oddity(value);
  if (problem !== undefined) throw new AmbiguousJson(problem);
  if (namesIn(value) !== scan(text).names) throw new AmbiguousJson('has an object with a name twice');
  return value;
}

export function isTooDeep(text: string): boolean {
  // That many levels take two characters each.
  return text.length > DEPTH_MAX * 2 && scan(text).depth > DEPTH_MAX;
}

/** How deep brackets are nested, and how many names are said. Strings are passed over. */
function scan(text: string): { readonly depth: number; readonly names: number } {
  let [level, depth, names] = [0, 0, 0];
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case 0x22: // "
        at = endOfString(text, at);
        break;
      case 0x3a: // :
        names += 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        level += 1;
        depth = Math.max(depth, level);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        level -= 1;
        break;
      default:
    }
  }
  return { depth, names };
}

/** Where the string ends that begins here; the end of the text for one that does not. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at;
    if (code === 0x5c) at += 1; // \
  }
  return text.length;
}

function namesIn(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, item: Json) => sum + namesIn(item), 0);
  const members = Object.values(value) as readonly Json[];
  return members.reduce<number>((sum, item) => sum + namesIn(item), members.length);
}

function oddity(value: Json): string | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? undefined : 'holds half a character';
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'holds a number that is too big';
  if (typeof value !== 'object' || value === null) return undefined;
  for (const item of Array.isArray(value) ? value : Object.entries(value).flat()) {
    const problem = oddity(item as Json);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
