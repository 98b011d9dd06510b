/**
 * `Idempotency-Key` on every POST (contract agents §2): the same call again within 24 h gets the same answer and does
 * nothing, also while the first is being answered, and after a restart. Answers are kept encrypted with what only the
 * caller has, since one of them holds a token.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { HttpReply, HttpRequest, Route } from '../../http.ts';
import { canonicalJson } from '../../../model/canonical.ts';
import { ReeveError } from '../../../model/errors.ts';
import type { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { AgentsFailure } from '../wire/errors.ts';
import { derivedId, newId } from '../ids.ts';
import type { Ledger } from './ports.ts';

export const IDEMPOTENCY_SCHEMA = `create table idempotency (
  scope text primary key,
  body_hash text not null,
  seed text not null,
  answer blob,
  expires_ms integer not null
) without rowid;
create index idempotency_expires on idempotency (expires_ms)`;

const KEPT_MS = 86_400_000;
const KEY = /^[\x21-\x7e]{1,255}$/;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What ids of a call under way are made of, kept with its key until it is answered. */
const SEEDS = new WeakMap<HttpRequest, string>();

interface Kept {
  readonly body_hash: string;
  readonly seed: string;
  /** Null: it was begun, and nobody lived to see its answer. */
  readonly answer: Buffer | null;
}

interface InFlight {
  readonly bodyHash: string;
  readonly answer: Promise<HttpReply>;
}

interface Call {
  readonly scope: string;
  readonly bodyHash: string;
  readonly secret: Buffer;
}

export class Idempotency {
  readonly #ledger: Ledger;
  readonly #nowMs: () => number;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #find;
  readonly #begin;
  readonly #answer;
  readonly #forget;
  readonly #sweep;

  constructor(rows: ServiceDatabase, ledger: Ledger, nowMs: () => number) {
    this.#ledger = ledger;
    this.#nowMs = nowMs;
    this.#find = rows.prepare<[string, number], Kept>(
      'select body_hash, seed, answer from idempotency where scope = ? and expires_ms > ?',
    );
    this.#begin = rows.prepare<[string, string, string, number]>(
      'insert or replace into idempotency (scope, body_hash, seed, answer, expires_ms) values (?, ?, ?, null, ?)',
    );
    this.#answer = rows.prepare<[Buffer, string]>('update idempotency set answer = ? where scope = ?');
    this.#forget = rows.prepare<[string]>('delete from idempotency where scope = ?');
    this.#sweep = rows.prepare<[number]>('delete from idempotency where expires_ms <= ?');
  }

  /** A POST with a key is carried out once; others as they come. */
  wrap(route: Route): Route {
    if (route.method !== 'POST') return route;
    return { ...route, handle: (request) => this.#handle(route, request) };
  }

  async #handle(route: Route, request: HttpRequest): Promise<HttpReply> {
    const key = keyOf(request);
    if (key === undefined) return route.handle(request);
    const call = callOf(route, request, key);
    const running = this.#inFlight.get(call.scope);
    if (running !== undefined) {
      requireSame(running.bodyHash, call);
      return running.answer;
    }
    const answer = this.#carryOut(call, route, request);
    this.#inFlight.set(call.scope, { bodyHash: call.bodyHash, answer });
    try {
      return await answer;
    } finally {
      this.#inFlight.delete(call.scope);
    }
  }

  async #carryOut(call: Call, route: Route, request: HttpRequest): Promise<HttpReply> {
    const { scope, bodyHash, secret } = call;
    const nowMs = this.#nowMs();
    const kept = this.#find.get(scope, nowMs);
    if (kept !== undefined) requireSame(kept.body_hash, call);
    if (kept?.answer != null) return replayed(kept.answer, secret);
    const seed = kept?.seed ?? newId();
    await this.#ledger.write(() => {
      this.#sweep.run(nowMs);
      this.#begin.run(scope, bodyHash, seed, nowMs + KEPT_MS);
    });
    SEEDS.set(request, seed);
    let reply: HttpReply;
    try {
      reply = await route.handle(request);
    } catch (error) {
      // What was refused changed nothing, and may be asked for otherwise. What failed may have, and is only ever repeated.
      if (isRefusal(error)) await this.#ledger.write(() => this.#forget.run(scope));
      throw error;
    }
    await this.#ledger.write(() => this.#answer.run(sealed(reply, secret), scope));
    return reply;
  }
}

/**
 * An id that follows from a call with a key, so that what a crash cut off is not made twice; undefined without one. A key
 * that is used again after its time gives another one.
 */
export function idsFrom(request: HttpRequest, purpose: string): string | undefined {
  const seed = SEEDS.get(request);
  return seed === undefined ? undefined : derivedId(purpose, seed);
}

function isRefusal(error: unknown): boolean {
  return error instanceof ReeveError && !error.code.startsWith('E_STORE_');
}

function keyOf({ headers }: Pick<HttpRequest, 'headers'>): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw new AgentsFailure(
    422,
    'invalid_field',
    'Idempotency-Key must be one text of 1 to 255 visible ASCII characters',
    { field: 'idempotency-key' },
  );
}

function callOf(route: Route, request: HttpRequest, key: string): Call {
  const { tenant = '', subject = '', claims = {} } = request.principal ?? {};
  const who = [tenant, claims['role'] ?? null, subject];
  const secret = hash(canonicalJson(['idempotency', String(request.headers['authorization'] ?? ''), key]));
  const scope = [...who, route.method, route.path, request.params, secret.toString('hex')];
  return {
    scope: hash(canonicalJson(scope)).toString('hex'),
    bodyHash: hash(canonicalJson(request.body ?? null)).toString('hex'),
    secret,
  };
}

function requireSame(bodyHash: string, call: Call): void {
  if (bodyHash === call.bodyHash) return;
  throw new AgentsFailure(
    422,
    'idempotency_mismatch',
    'this Idempotency-Key was used with another body within the last 24 hours',
    { field: 'idempotency-key' },
  );
}

function sealed(reply: HttpReply, secret: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', secret, nonce);
  const text = cipher.update(JSON.stringify(reply), 'utf8');
  return Buffer.concat([nonce, text, cipher.final(), cipher.getAuthTag()]);
}

function replayed(bytes: Buffer, secret: Buffer): HttpReply {
  const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  const reply = JSON.parse(text.toString('utf8')) as HttpReply;
  return { ...reply, headers: { ...reply.headers, 'idempotency-replayed': 'true' } };
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
