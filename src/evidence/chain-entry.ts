/**
 * The run's own history in a pack, for whoever wants to check more than wrkr's words for it. Three declared entries,
 * which the reference passes over:
 *
 * - `reeve/events.jsonl`: every event exactly as it was hashed, one a line: `{"body":<body>,"hash":"<64 hex>"}`. The body
 *   is `{"at":<ms>,"event":{…},"seq":<n>}`; the hash is SHA-256 of the hash before it, a newline, and the body's text as
 *   it stands in the line (I2). The first one follows SHA-256 of `reeve.run:<job id>`. A payload that was too big for the
 *   store's row stands behind the hash as `"spill":{…}`; the body then has its type and `"spilled":"<SHA-256 of the
 *   spill's canonical text>"`.
 * - `reeve/nodes.jsonl`: the tree of the run: id, parent, kind, name, executor, final state, attempts, usage; one node a
 *   line, in the order in which they were added.
 * - `reeve/run.json`: format version, head of the chain and number of events, standing, limits, usage, environment.
 */
import { canonicalJson } from '../model/canonical.ts';
import { chainHash } from '../model/chain.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { isTooDeep } from '../model/strict-json.ts';
import { sha256 } from './hash.ts';

export const CHAIN_EVENTS = 'reeve/events.jsonl';
export const CHAIN_NODES = 'reeve/nodes.jsonl';
export const CHAIN_RUN = 'reeve/run.json';
/** Raised when a reader of the version before would misread an entry. */
export const CHAIN_FORMAT = 1;

const BEFORE_BODY = '{"body":';
const BEFORE_HASH = ',"hash":"';
const AFTER_HASH = '"}';
/** Length of what stands behind a body. */
const TAIL = BEFORE_HASH.length + 64 + AFTER_HASH.length;

export interface ChainEvent {
  readonly seq: number;
  readonly at: number;
  readonly event: JsonObject;
}

/** One line, with its newline. @param body text as it was hashed. @param spill the payload that it only names. */
export function chainLine(body: string, hash: string, spill?: unknown): string {
  const behind = spill === undefined ? AFTER_HASH : `","spill":${canonicalJson(spill)}}`;
  return `${BEFORE_BODY}${body}${BEFORE_HASH}${hash}${behind}\n`;
}

/**
 * Reads a line and checks that it follows the hash before it.
 * @returns why it does not, or the event.
 */
export function readChainLine(
  line: string,
  previous: string,
): { readonly problem: string } | { readonly hash: string; readonly event: ChainEvent } {
  if (isTooDeep(line)) return { problem: 'is nested too deeply' };
  const isPlain = line.startsWith(BEFORE_BODY) && line.startsWith(BEFORE_HASH, line.length - TAIL);
  let body = isPlain ? line.slice(BEFORE_BODY.length, -TAIL) : '';
  let hash = isPlain ? line.slice(-AFTER_HASH.length - 64, -AFTER_HASH.length) : '';
  let spill: Json | undefined;
  let parsed: unknown;
  try {
    if (isPlain) {
      parsed = JSON.parse(body); // of the very text that is hashed
      if (canonicalJson(parsed) !== body) return { problem: 'is no event' };
    } else {
      const whole = JSON.parse(line) as { body?: Json; hash?: unknown; spill?: Json };
      spill = whole.spill;
      hash = String(whole.hash);
      body = canonicalJson(whole.body);
      parsed = whole.body;
      if (chainLine(body, hash, spill) !== `${line}\n`) return { problem: 'is no event' };
    }
  } catch {
    return { problem: 'is no event' };
  }
  if (chainHash(previous, body, sha256) !== hash) return { problem: 'breaks the hash chain' };
  const { seq, at, event, spilled, ...more } = (parsed ?? {}) as Record<string, Json>;
  if (typeof seq !== 'number' || typeof at !== 'number' || !isTime(at)) return { problem: 'is no event' };
  if (!isObject(event) || typeof event['type'] !== 'string' || Object.keys(more).length > 0)
    return { problem: 'is no event' };
  if (spilled === undefined && spill === undefined) return { hash, event: { seq, at, event } };
  if (!isObject(spill) || spill['type'] !== event['type'] || Object.keys(event).length > 1)
    return { problem: 'has not the payload that was hashed' };
  if (sha256(canonicalJson(spill)) !== spilled) return { problem: 'has not the payload that was hashed' };
  return { hash, event: { seq, at, event: spill } };
}

/** A moment that a time of RFC 3339 can say. */
function isTime(ms: number): boolean {
  return Number.isInteger(ms) && ms >= -62_167_219_200_000 && ms < 253_402_300_800_000;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
