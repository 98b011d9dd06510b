/**
 * The keys of an issuer: fetched when the first token comes, kept, and fetched again for a key that is not known yet, so
 * that keys rotate, and move, without a restart (H26). Whoever makes up key ids causes one fetch per `COOL_DOWN_MS` at most.
 */
import {
  createLocalJWKSet,
  errors,
  type CryptoKey,
  type JSONWebKeySet,
  type JWSHeaderParameters,
} from 'jose';
import { NoAnswer, requestJson, urlProblem } from './json-request.ts';
import type { KeyLocation } from './settings.ts';

const TIMEOUT_MS = 5000;
/** Between fetches that unknown key ids cause, milliseconds. */
const COOL_DOWN_MS = 10_000;
/** After a fetch that failed, while there are no keys that may be used, milliseconds. */
const PAUSE_MS = 1000;
const FRESH_MS = 600_000;
/** While the issuer cannot be asked, its keys hold this long, milliseconds. */
const USABLE_MS = 3_600_000;

/** The keys cannot be had now. */
export class NoKeys extends Error {
  override readonly name = 'NoKeys';
}

type Keys = ReturnType<typeof createLocalJWKSet>;

export class KeySet {
  readonly #location: KeyLocation;
  readonly #nowMs: () => number;
  readonly #note: (text: string) => void;
  #keys: { readonly find: Keys; readonly atMs: number } | undefined;
  #lastTry: { readonly atMs: number; readonly failure?: NoKeys } | undefined;
  #loading: Promise<Keys> | undefined;

  /** @param note told why the keys cannot be had: whoever sent the token only learns that it is so. */
  constructor(location: KeyLocation, nowMs: () => number, note: (text: string) => void) {
    this.#location = location;
    this.#nowMs = nowMs;
    this.#note = note;
  }

  /** @throws NoKeys; JOSEError when no key, or more than one, fits. */
  async find(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (typeof header.kid !== 'string') throw new errors.JWKSNoMatchingKey();
    const keys = await this.#current();
    try {
      return await keys(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#triedWithin(COOL_DOWN_MS)) throw error;
      return (await this.#load())(header);
    }
  }

  async #current(): Promise<Keys> {
    const keys = this.#keys;
    const ageMs = keys === undefined ? Infinity : Math.abs(this.#nowMs() - keys.atMs);
    if (keys !== undefined && (ageMs <= FRESH_MS || (ageMs <= USABLE_MS && this.#triedWithin(COOL_DOWN_MS))))
      return keys.find;
    const failure = this.#triedWithin(PAUSE_MS) ? this.#lastTry?.failure : undefined;
    if (failure !== undefined) throw failure;
    try {
      return await this.#load();
    } catch (error) {
      if (keys !== undefined && ageMs <= USABLE_MS) return keys.find;
      throw error;
    }
  }

  #triedWithin(ms: number): boolean {
    return this.#lastTry !== undefined && Math.abs(this.#nowMs() - this.#lastTry.atMs) < ms;
  }

  /** Everybody who needs them waits for the same fetch. */
  #load(): Promise<Keys> {
    this.#loading ??= this.#fetch().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #fetch(): Promise<Keys> {
    try {
      const find = createLocalJWKSet((await documentAt(await this.#locate())) as unknown as JSONWebKeySet);
      const atMs = this.#nowMs();
      this.#keys = { find, atMs };
      this.#lastTry = { atMs };
      return find;
    } catch (error) {
      const { url } = this.#location;
      const reason = error instanceof NoAnswer ? error.message : `${url.href} leads to no set of keys`;
      const failure = new NoKeys(`the keys of the issuer cannot be had: ${reason}`);
      this.#lastTry = { atMs: this.#nowMs(), failure };
      this.#note(failure.message);
      throw failure;
    }
  }

  async #locate(): Promise<URL> {
    const { kind, url } = this.#location;
    return kind === 'jwks' ? url : keysUrl(url, (await documentAt(url))['jwks_uri']);
  }
}

/** Where the document of discovery says that the keys are: it must not lead to what is not safe to ask. @throws NoAnswer */
export function keysUrl(from: URL, text: unknown): URL {
  if (typeof text !== 'string') throw new NoAnswer(`${from.href} names no jwks_uri`);
  const problem = urlProblem(text);
  if (problem !== undefined) throw new NoAnswer(`the jwks_uri of ${from.href} is refused: ${problem}`);
  const keys = new URL(text);
  if (from.protocol === 'https:' && keys.protocol !== 'https:')
    throw new NoAnswer(`the jwks_uri of ${from.href} is refused: it leads from https to http`);
  return keys;
}

async function documentAt(url: URL): Promise<Readonly<Record<string, unknown>>> {
  const { status, json } = await requestJson({ url, timeoutMs: TIMEOUT_MS });
  if (status !== 200) throw new NoAnswer(`${url.href} answered ${status}`);
  if (typeof json !== 'object' || json === null)
    throw new NoAnswer(`${url.href} answered without a JSON object`);
  return json as Readonly<Record<string, unknown>>;
}
