/** What a campaign is fought over: a store, the machines that share it, a ledger, and the programs that run there. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { storePlaceOf } from '../../../src/cli/jobs/store-place.ts';
import { openStore, type Store } from '../../../src/store/open-store.ts';
import { PostgresServer } from '../../support/postgres.ts';
import { Ledger } from './ledger.ts';
import { carrying, signal } from './processes.ts';

export type StoreKind = 'sqlite' | 'postgres';

const PROGRAM = fileURLToPath(new URL('../../../bin/reeve.js', import.meta.url));
/** Names every process of a campaign. */
const MARK = 'REEVE_CRASH_ESTATE';

export interface EstateOptions {
  readonly kind: StoreKind;
  readonly leaseMs: number;
  readonly program?: string;
}

export class Estate {
  readonly dir = mkdtempSync(join(tmpdir(), 'reeve-fire-'));
  readonly cwd = join(this.dir, 'work');
  readonly ledger = new Ledger(this.dir);
  readonly kind: StoreKind;
  readonly leaseMs: number;
  readonly database: PostgresServer | undefined;
  readonly #program: string;

  static async open(options: EstateOptions): Promise<Estate> {
    const database = options.kind === 'postgres' ? await PostgresServer.start() : undefined;
    return new Estate(options, database);
  }

  private constructor({ kind, leaseMs, program = PROGRAM }: EstateOptions, database?: PostgresServer) {
    this.kind = kind;
    this.leaseMs = leaseMs;
    this.#program = program;
    this.database = database;
    mkdirSync(this.cwd);
  }

  /** @param machine only a store in PostgreSQL has several: each has its own records of commands in flight */
  env(machine = 0): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.dir,
      USER: 'tester',
      [MARK]: this.dir,
      REEVE_HOME: this.#home(machine),
      REEVE_LEASE_TTL_MS: String(this.leaseMs),
      ...(this.database === undefined ? {} : { REEVE_STORE_URL: this.database.url('fire') }),
    };
  }

  start(args: readonly string[], machine = 0): ChildProcess {
    return spawn(process.execPath, [this.#program, ...args], {
      cwd: this.cwd,
      env: this.env(machine),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Writes a spec where a server finds it; returns its path below the working directory. */
  writeSpec(id: string, spec: object): string {
    writeFileSync(join(this.cwd, `${id}.json`), JSON.stringify(spec));
    return `${id}.json`;
  }

  openStore(): Promise<Store> {
    const env = this.env();
    const { storeRoot, postgres } = storePlaceOf('reeve', undefined, env, this.cwd);
    return openStore(storeRoot, { create: false, postgres });
  }

  /** Processes of this campaign that are there, commands and supervisors included. */
  processes(): number[] {
    return carrying(`${MARK}=${this.dir}\0`);
  }

  async close(): Promise<void> {
    for (const pid of this.processes()) signal(pid, 'SIGKILL');
    await this.database?.close();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10 });
  }

  #home(machine: number): string {
    return join(this.dir, `machine${this.kind === 'postgres' ? machine : 0}`);
  }
}

/** Stops the database as told and starts it again, also where its files say that it was not stopped. */
export async function restart(
  database: PostgresServer,
  how: 'SIGINT' | 'SIGQUIT' | 'SIGKILL',
): Promise<void> {
  await database.down(how);
  for (let tries = 0; ; tries += 1) {
    try {
      return await database.up();
    } catch (error) {
      if (tries === 50) throw error; // processes of a killed server need a moment to notice
      await delay(100);
    }
  }
}
