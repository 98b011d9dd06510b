/** What systems need beside themselves, and a loud word about what is not there. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PostgresServer, whyNoPostgres } from '../test/support/postgres.ts';
import type { Entry } from './systems/catalog.ts';

export const PEERS = fileURLToPath(new URL('peers', import.meta.url));

export interface Database {
  readonly url: string;
  bytes(): Promise<number>;
  drop(): Promise<void>;
}

export class Servers {
  readonly missing = new Map<string, string>();
  readonly versions: string[] = [];
  #postgres: PostgresServer | undefined;
  #databases = 0;

  /** Starts PostgreSQL and looks for the rest, as far as one of the entries needs it. */
  static async start(entries: readonly Entry[]): Promise<Servers> {
    const servers = new Servers();
    const needs = new Set(entries.flatMap((entry) => entry.needs));
    if (needs.has('peers')) await installPeers();
    if (needs.has('redis-server')) servers.#findRedis();
    if (needs.has('postgres')) await servers.#startPostgres();
    for (const { title, needs: own } of entries) {
      for (const need of own) {
        const why = servers.missing.get(need);
        if (why !== undefined) process.stderr.write(`\n*** SKIPPED: ${title} (${need}: ${why})\n\n`);
      }
    }
    if (needs.has('peers')) servers.versions.push(...peerVersions());
    return servers;
  }

  has({ needs }: Entry): boolean {
    return needs.every((need) => !this.missing.has(need));
  }

  /** A new database on the shared server; without one, a place that nobody asks for. */
  async database(): Promise<Database> {
    const server = this.#postgres;
    if (server === undefined)
      return { url: '', bytes: () => Promise.resolve(0), drop: () => Promise.resolve() };
    this.#databases += 1;
    const name = `bench_${this.#databases}`;
    await server.query(`create database ${name}`);
    const url = new URL(server.url('public'));
    url.pathname = `/${name}`;
    url.search = '';
    return {
      url: url.href,
      async bytes() {
        const [row] = await server.query<{ bytes: string }>(`select pg_database_size('${name}') as bytes`);
        return Number(row?.bytes);
      },
      // With a checkpoint, so that the next system does not pay for writing what this one left.
      drop: async () => {
        await server.query(`drop database ${name} with (force)`);
        await server.query('checkpoint');
      },
    };
  }

  async close(): Promise<void> {
    await this.#postgres?.close();
  }

  #findRedis(): void {
    try {
      const said = execFileSync('redis-server', ['--version'], { encoding: 'utf8' });
      this.versions.push(`Redis ${/v=(\S+)/.exec(said)?.[1] ?? 'unknown'}`);
    } catch {
      this.missing.set('redis-server', 'there is no such program; on Debian: apt-get install redis-server');
    }
  }

  async #startPostgres(): Promise<void> {
    const why = await whyNoPostgres();
    if (why !== undefined) {
      this.missing.set('postgres', why);
      return;
    }
    try {
      this.#postgres = await PostgresServer.start({ max_connections: '300' });
    } catch (error) {
      this.missing.set('postgres', (error as Error).message);
      return;
    }
    const [row] = await this.#postgres.query<{ server_version: string }>('show server_version');
    this.versions.push(`PostgreSQL ${row?.server_version ?? 'unknown'}`);
  }
}

/** Installs bench/peers as its lock file says, unless that is what is there. */
async function installPeers(): Promise<void> {
  const installed = join(PEERS, 'node_modules', '.package-lock.json');
  const lock = join(PEERS, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write('installing what is compared with into bench/peers\n');
  // Scripts stay off (.npmrc there), and with them the analytics of one of the packages; the variable says it again.
  const npm = spawn('npm', ['ci', '--ignore-scripts'], {
    cwd: PEERS,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, SCARF_ANALYTICS: 'false', DO_NOT_TRACK: '1' },
  });
  const [status] = (await once(npm, 'exit')) as [number | null];
  if (status !== 0) throw new Error(`npm ci in bench/peers: exit ${status}`);
}

function peerVersions(): string[] {
  const { dependencies } = JSON.parse(readFileSync(join(PEERS, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);
}
