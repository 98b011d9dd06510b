/**
 * `Idempotency-Key` on every POST (contract agents §2): the same call again within 24 h gets the same answer and does
 * nothing, also while the first is being answered, and after a restart. Answers are kept encrypted with what only the
 * caller has, since one of them holds a token.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { HttpReply, HttpRequest, Route } from '../../http.ts';
import { canonicalJson } from '../../../model/canonical.ts';
import type { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { AgentsFailure } from '../wire/errors.ts';
import { derivedId } from '../ids.ts';
import type { Ledger } from './ports.ts';

export const IDEMPOTENCY_SCHEMA = `create table idempotency (
  scope text primary key,
  body_hash text not null,
  answer blob,
  expires_ms integer not null
) without rowid;
create index idempotency_expires on idempotency (expires_ms)`;

const KEPT_MS = 86_400_000;
const KEY = /^[\x21-\x7e]{1,255}$/;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface Kept {
  readonly body_hash: string;
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
      'select body_hash, answer from idempotency where scope = ? and expires_ms > ?',
    );
    this.#begin = rows.prepare<[string, string, number]>(
      'insert or replace into idempotency (scope, body_hash, answer, expires_ms) values (?, ?, null, ?)',
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
    const answer = this.#carryOut(call, () => route.handle(request));
    this.#inFlight.set(call.scope, { bodyHash: call.bodyHash, answer });
    try {
      return await answer;
    } finally {
      this.#inFlight.delete(call.scope);
    }
  }

  async #carryOut(call: Call, handle: () => Promise<HttpReply>): Promise<HttpReply> {
    const { scope, bodyHash, secret } = call;
    const nowMs = this.#nowMs();
    const kept = this.#find.get(scope, nowMs);
    if (kept !== undefined) requireSame(kept.body_hash, call);
    if (kept?.answer != null) return replayed(kept.answer, secret);
    await this.#ledger.write(() => {
      this.#sweep.run(nowMs);
      this.#begin.run(scope, bodyHash, nowMs + KEPT_MS);
    });
    let reply: HttpReply;
    try {
      reply = await handle();
    } catch (error) {
      // What failed changed nothing, and may be tried again.
      await this.#ledger.write(() => this.#forget.run(scope));
      throw error;
    }
    await this.#ledger.write(() => this.#answer.run(sealed(reply, secret), scope));
    return reply;
  }
}

/** Ids that follow from the key of a call, so that what a crash cut off is not made twice; undefined without a key. */
export function idsFrom(
  request: Pick<HttpRequest, 'headers' | 'principal'>,
  purpose: string,
): string | undefined {
  const key = keyOf(request);
  if (key === undefined) return undefined;
  const { tenant = '', subject = '' } = request.principal ?? {};
  return derivedId(purpose, tenant, subject, key);
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
