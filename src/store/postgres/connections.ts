/**
 * The connections of one process to one store: settings that matter are set on each, and what fails for a reason that
 * passes (server restarted, deadlock, lock held too long) is tried again for a while.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { ReeveError } from '../../model/errors.ts';
import { statement, TEXTS, type Statement, type StatementName } from '../sql/statements.ts';
import type { PostgresAddress } from '../store-address.ts';
import { failureOf } from './postgres-errors.ts';

export type Values = Readonly<Record<string, string | number | Uint8Array | null>>;

export interface ConnectionsOptions {
  /** How long something is tried again before E_STORE_BUSY or E_STORE_UNAVAILABLE, milliseconds. */
  readonly busyMs?: number;
  /** Most that the server works on one statement, milliseconds. */
  readonly statementMs?: number;
  /** After which the server ends a transaction whose process is silent, milliseconds: it may be stopped. */
  readonly idleInTransactionMs?: number;
}

/** How something is tried again. */
export interface Patience {
  /** How long, milliseconds. */
  readonly busyMs?: number;
  /** Told before each wait what went wrong. */
  readonly onWait?: ((why: Error) => void) | undefined;
  /** Aborted: not once more. */
  readonly signal?: AbortSignal | undefined;
}

const LOCK_MS = 5000;
const CONNECT_MS = 5000;
/** An unused connection is given back, milliseconds. */
const IDLE_MS = 30_000;
/** How much longer than the server itself we wait for its answer: then the network or the machine is gone. */
const SILENCE_MS = 5000;
/** Pauses between tries, milliseconds: doubled from the first up to the last, each at random within its upper half. */
const PAUSE_MS = { first: 20, last: 1000 } as const;

export class Connections {
  readonly address: PostgresAddress;
  readonly #busyMs: number;
  readonly #pool: pg.Pool;
  readonly #config: pg.ClientConfig;
  #closed = false;
  #ended: Promise<void> | undefined;

  constructor(address: PostgresAddress, options: ConnectionsOptions = {}) {
    const { busyMs = 15_000, statementMs = 30_000, idleInTransactionMs = 10_000 } = options;
    this.address = address;
    this.#busyMs = busyMs;
    this.#config = {
      connectionString: address.connectionString,
      application_name: 'reeve',
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      query_timeout: statementMs + SILENCE_MS,
      options: settings({
        search_path: `"${address.schema}"`,
        timezone: 'UTC',
        standard_conforming_strings: 'on',
        default_transaction_isolation: 'read committed',
        client_min_messages: 'warning',
        jit: 'off',
        statement_timeout: String(statementMs),
        lock_timeout: String(Math.min(LOCK_MS, statementMs)),
        idle_in_transaction_session_timeout: String(idleInTransactionMs),
      }),
      types: { getTypeParser },
    };
    this.#pool = new pg.Pool({ ...this.#config, max: address.pool, idleTimeoutMillis: IDLE_MS });
    // A connection that breaks tells whoever uses it; one that nobody uses is simply dropped.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
  }

  /** A connection outside of the pool, not yet open, for whoever keeps one. */
  single(): pg.Client {
    const client = new pg.Client({ ...this.#config, query_timeout: 0 });
    client.on('error', () => undefined);
    return client;
  }

  /**
   * Does something with a connection, and again when that fails for a reason that passes. What is done must therefore
   * bear repetition; `again` says that an earlier try may have taken effect.
   * @throws ReeveError E_STORE_*; anything else is a defect.
   */
  async use<T>(
    work: (session: Session, again: boolean) => Promise<T>,
    { busyMs = this.#busyMs, onWait, signal }: Patience = {},
  ): Promise<T> {
    const giveUpAtMs = performance.now() + busyMs;
    let again = false;
    for (let pauseMs: number = PAUSE_MS.first; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS.last)) {
      if (this.#closed) throw this.#closedError();
      let client: pg.PoolClient | undefined;
      try {
        client = await this.#pool.connect();
        const result = await work(new Session(client), again);
        client.release();
        return result;
      } catch (cause) {
        // Whatever state it is in: a transaction may be open, an answer on its way.
        client?.release(true);
        if (this.#closed) throw this.#closedError();
        const { kind, error } = failureOf(cause, this.address.shown);
        if (kind === 'gone' && client !== undefined) again = true;
        const isOver = signal?.aborted === true || performance.now() + pauseMs > giveUpAtMs;
        if (kind === 'final' || isOver) throw error;
        onWait?.(error as Error);
        await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** For what reads everything, once, and takes as long as it takes. @throws ReeveError E_STORE_*. */
  async patiently<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const client = this.single();
    try {
      await client.connect();
      await client.query('set statement_timeout = 0');
      return await work(new Session(client));
    } catch (cause) {
      throw failureOf(cause, this.address.shown).error;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Nothing is begun any more; what runs may end. */
  close(): Promise<void> {
    this.#closed = true;
    this.#ended ??= this.#pool.end();
    return this.#ended;
  }

  #closedError(): ReeveError {
    return new ReeveError('E_STORE_UNAVAILABLE', 'the store was closed', { store: this.address.shown });
  }
}

/** Statements on one connection. Those of the store are prepared once for each connection. */
export class Session {
  readonly #client: pg.ClientBase;

  constructor(client: pg.ClientBase) {
    this.#client = client;
  }

  /** Rows of one of the store's statements. */
  async all<Row extends object>(name: StatementName, values: Values): Promise<Row[]> {
    return (await this.#named(name, values)).rows as Row[];
  }

  /** How many rows one of the store's statements changed. */
  async run(name: StatementName, values: Values): Promise<number> {
    return (await this.#named(name, values)).rowCount ?? 0;
  }

  /** A text with `:names`, not worth preparing. */
  async query<Row extends object>(text: string, values: Values = {}): Promise<Row[]> {
    const { sql, order } = numbered(text);
    return (await this.#client.query(sql, valuesOf(order, values))).rows as Row[];
  }

  /** A text with `$1`, prepared under a name. */
  async prepared<Row extends object>(name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
    return (await this.#client.query({ name, text, values: [...values] })).rows as Row[];
  }

  /** All or nothing. When it throws, the connection is of no use any more. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.#client.query('begin');
    const result = await work();
    await this.#client.query('commit');
    return result;
  }

  #named(name: StatementName, values: Values): Promise<pg.QueryResult> {
    const { sql, order } = PREPARED[name];
    return this.#client.query({ name, text: sql, values: valuesOf(order, values) });
  }
}

const numbered = (text: string): Statement => statement(text, (n) => `$${n}`);
const valuesOf = (order: readonly string[], values: Values): unknown[] =>
  order.map((key) => values[key] ?? null);
const PREPARED = Object.fromEntries(
  Object.entries(TEXTS).map(([name, text]) => [name, numbered(text)]),
) as Record<StatementName, Statement>;

/** As the server takes them when a session starts: a blank or a backslash in a value is escaped. */
function settings(values: Readonly<Record<string, string>>): string {
  const escape = (value: string): string => value.replaceAll(/[\\ ]/g, '\\$&');
  return Object.entries(values)
    .map(([name, value]) => `-c ${name}=${escape(value)}`)
    .join(' ');
}

const INT8: number = pg.types.builtins.INT8;

/** Whole numbers of eight bytes come as texts otherwise. Ours are counts and milliseconds, far below 2^53. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === INT8 && format !== 'binary' ? Number : pg.types.getTypeParser(oid, format);
}
