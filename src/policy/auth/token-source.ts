/**
 * Tokens for other services: client credentials, and the exchange of RFC 8693 (contract arp §5.2). A token is kept until
 * shortly before it expires, and who needs one that is on its way waits for it, so a busy service asks once (H25).
 */
import { createHash } from 'node:crypto';
import { ReeveError } from '../../model/errors.ts';
import type { ClientSettings } from './client-settings.ts';
import { NoAnswer, requestJson } from './json-request.ts';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
/** A token is no longer given out this long before it expires, or in the last half of a shorter life, milliseconds. */
const MARGIN_MS = 30_000;
const TOKENS_MAX = 1000;

export interface TokenRequest {
  /** Of the service that is called. Default: our own. */
  readonly audience?: string;
  readonly scope?: string;
}

export interface ExchangeRequest extends TokenRequest {
  /** On whose behalf: the token that came in. */
  readonly subjectToken: string;
  /** Who acts, when that is somebody else. */
  readonly actorToken?: string;
}

export type TokenFailureReason = 'token_exchange_failed' | 'token_request_failed';

/** No token could be had. The code of the contract is `reason`; nothing that was sent is in it (I9). */
export class TokenFailure extends ReeveError {
  readonly reason: TokenFailureReason;
  /** HTTP status to answer with: the token endpoint's, 400 to 599, or 502. */
  readonly status: number;

  constructor(reason: TokenFailureReason, status: number, problem: string) {
    const what = reason === 'token_request_failed' ? 'a token' : 'the exchange of a token';
    super('E_TOKEN_UNAVAILABLE', `the token endpoint refused ${what}, or failed: ${problem}`, {
      reason,
      status,
    });
    this.reason = reason;
    this.status = status;
  }
}

interface Token {
  readonly text: string;
  readonly untilMs: number;
}

export class TokenSource {
  readonly #settings: ClientSettings | undefined;
  readonly #nowMs: () => number;
  /** By a hash of what was asked, so that no token is a key. Least recently used first. */
  readonly #kept = new Map<string, Token>();
  readonly #underway = new Map<string, Promise<string>>();

  /** @param settings undefined: there are no tokens, and nobody is asked for one. */
  constructor(settings: ClientSettings | undefined, nowMs: () => number) {
    this.#settings = settings;
    this.#nowMs = nowMs;
  }

  /** A token of our own. @returns undefined: call without one. @throws TokenFailure */
  async own({ audience, scope }: TokenRequest): Promise<string | undefined> {
    return this.#get('token_request_failed', {
      grant_type: 'client_credentials',
      ...this.#target(audience, scope),
    });
  }

  /** A token for somebody else's request. @returns undefined: call without one. @throws TokenFailure */
  async exchanged({
    audience,
    scope,
    subjectToken,
    actorToken,
  }: ExchangeRequest): Promise<string | undefined> {
    return this.#get('token_exchange_failed', {
      grant_type: EXCHANGE,
      subject_token: subjectToken,
      subject_token_type: ACCESS_TOKEN,
      requested_token_type: ACCESS_TOKEN,
      ...(actorToken === undefined ? {} : { actor_token: actorToken, actor_token_type: ACCESS_TOKEN }),
      ...this.#target(audience, scope),
    });
  }

  #target(audience = this.#settings?.ownAudience, scope?: string): Record<string, string> {
    return { ...(audience === undefined ? {} : { audience }), ...(scope === undefined ? {} : { scope }) };
  }

  #get(reason: TokenFailureReason, form: Readonly<Record<string, string>>): Promise<string | undefined> {
    const settings = this.#settings;
    if (settings === undefined) return Promise.resolve(undefined);
    // The whole subject token, not its subject: another token of the same person may allow less.
    const key = createHash('sha256').update(JSON.stringify(form)).digest('base64');
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    if (kept !== undefined && this.#nowMs() < kept.untilMs) {
      this.#kept.set(key, kept);
      return Promise.resolve(kept.text);
    }
    const running = this.#underway.get(key);
    if (running !== undefined) return running;
    const asked = this.#ask(settings, reason, form, key).finally(() => this.#underway.delete(key));
    this.#underway.set(key, asked);
    return asked;
  }

  async #ask(
    { endpoint, clientId, clientSecret, timeoutMs }: ClientSettings,
    reason: TokenFailureReason,
    form: Readonly<Record<string, string>>,
    key: string,
  ): Promise<string> {
    const sentMs = this.#nowMs();
    const body = new URLSearchParams({ ...form, client_id: clientId, client_secret: clientSecret });
    const { status, json } = await requestJson({ url: endpoint, timeoutMs, form: body }).catch(
      (error: unknown) => {
        throw error instanceof NoAnswer ? new TokenFailure(reason, 502, error.message) : error;
      },
    );
    const answer = (json ?? {}) as { access_token?: unknown; expires_in?: unknown; error?: unknown };
    if (status < 200 || status > 299)
      throw new TokenFailure(
        reason,
        status >= 400 ? status : 502,
        `it answered ${status}${codeOf(answer.error)}`,
      );
    const { access_token: text, expires_in: seconds } = answer;
    if (typeof text !== 'string' || !/^[\x21-\x7e]+$/.test(text))
      throw new TokenFailure(reason, 502, 'its answer holds no access_token');
    const lifeMs = Number(seconds) * 1000; // some send it as text
    if (lifeMs > 0) this.#keep(key, { text, untilMs: sentMs + lifeMs - Math.min(MARGIN_MS, lifeMs / 2) });
    return text;
  }

  #keep(key: string, token: Token): void {
    this.#kept.set(key, token);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= TOKENS_MAX) return;
      this.#kept.delete(oldest);
    }
  }
}

/** The error's name by RFC 6749 §5.2; its description may repeat what was sent. */
function codeOf(error: unknown): string {
  return typeof error === 'string' && /^[\w.-]{1,64}$/.test(error) ? ` (${error})` : '';
}
