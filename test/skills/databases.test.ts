// J21, with a real PostgreSQL: what the skills say of a server as it is, and of one whose files are damaged.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificate } from '../../skills/ssl_expiry_check/tests/certificates.mjs';
import { PASSWORD, PostgresServer, whyNoPostgres } from '../support/postgres.ts';
import { perform, type Outcome } from './rig.ts';

const PAGE = 8192;
const whyNot = await whyNoPostgres();

async function outcomeOf(skill: string, args: readonly string[], env = {}): Promise<Outcome> {
  let outcome: Outcome | undefined;
  await perform(
    skill,
    { name: '', kind: 'pass', args, env, expect: { exit: 0 } },
    (seen) => (outcome = seen),
  );
  return outcome!;
}

describe.skipIf(whyNot !== undefined)('a real PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start({
      logging_collector: 'on',
      log_destination: `'stderr,csvlog,jsonlog'`,
      log_min_duration_statement: '20',
    });
  });
  afterAll(() => server.close());

  test('J21 db_connectivity_test: it asks who connects, and has no TLS', async () => {
    const args = ['127.0.0.1', String(server.port), '--protocol', 'postgresql'];
    expect(await outcomeOf('db_connectivity_test', args)).toMatchObject({
      exit: 0,
      stdout: `OK: 127.0.0.1:${server.port}: PostgreSQL asks who connects\n`,
      report: { metrics: { tls: false } },
    });
    expect(await outcomeOf('db_connectivity_test', [...args, '--require-tls'])).toMatchObject({ exit: 1 });
  });

  test.each(['log', 'csv', 'json'])('J21 slow_query_log_audit reads its %s', async (form) => {
    const [row] = await server.query<{ folder: string }>(`select current_setting('data_directory') folder`);
    await server.query(`select pg_sleep(0.05) as ${form}, 17,\n  'Jane Roe'`);
    const folder = join(row!.folder, 'log');
    const log = (): string => join(folder, readdirSync(folder).find((name) => name.endsWith(form)) ?? '');
    await expect.poll(() => readFileSync(log(), 'utf8')).toContain(`as ${form}`);
    const args = ['--log', log(), '--threshold-ms', '50', '--since', '10m'];
    const { exit, stdout, stderr } = await outcomeOf('slow_query_log_audit', args);
    expect(exit).toBe(1);
    expect(`${stdout}${stderr}`).toContain(` ms: select pg_sleep(?) as ${form}, ?\n`);
    expect(`${stdout}${stderr}`).not.toContain('Jane');
  });

  describe.skipIf(!hasPsql())('table_corruption_check, by psql', () => {
    const check = (...more: string[]) => {
      const env = { PATH: process.env['PATH']!, PGPASSWORD: PASSWORD, PGUSER: 'tester' };
      return outcomeOf('table_corruption_check', ['127.0.0.1', String(server.port), ...more], env);
    };

    test('J21 amcheck is missing, then finds nothing, then finds the damage', {
      timeout: 90_000,
    }, async () => {
      await server.query('create table orders (id int primary key, name text)');
      await server.query(`insert into orders select n, 'name ' || n from generate_series(1, 5000) n`);
      expect(await check()).toMatchObject({ exit: 4, report: { outcome: 'error' } });

      await server.query('create extension amcheck');
      const whole = await check('postgres', '--thorough');
      expect(whole, whole.stderr).toMatchObject({ exit: 0, report: { metrics: { checksum_failures: 0 } } });
      expect(whole.report?.metrics['tables']).toBeGreaterThan(10);
      expect(whole.report?.metrics['indexes']).toBeGreaterThan(10);

      const [files] = await server.query<{ heap: string; index: string; folder: string }>(
        `select pg_relation_filepath('orders') heap, pg_relation_filepath('orders_pkey') index,
          current_setting('data_directory') folder`,
      );
      await server.down('SIGINT');
      damage(`${files!.folder}/${files!.heap}`, PAGE + 24); // the second page's line pointers
      damage(`${files!.folder}/${files!.index}`, 2 * PAGE + 24);
      await server.up();

      const damaged = await check();
      expect(damaged).toMatchObject({ exit: 1, report: { outcome: 'violation' } });
      const where = damaged.report?.findings.map((finding) => `${finding.id} ${finding.where}`);
      expect(where).toContain('corruption public.orders');
      expect(where).toContain('corruption public.orders_pkey');
    });

    test('J21 a login that is refused was no check, and nobody is asked for a password', async () => {
      const env = { PATH: process.env['PATH']!, PGUSER: 'tester' };
      const { exit, stderr } = await outcomeOf(
        'table_corruption_check',
        ['127.0.0.1', `${server.port}`],
        env,
      );
      expect({ exit, stderr }).toMatchObject({
        exit: 4,
        stderr: expect.stringContaining('no password supplied'),
      });
    });
  });
});

test('J21 db_connectivity_test: TLS is used where PostgreSQL offers it', async () => {
  const { keyPem: key, pem: cert } = certificate({ name: 'db', names: ['localhost'], untilDays: 9 });
  const login = Buffer.from('R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0', 'latin1');
  const speak = (socket: Socket): void => {
    socket.once('data', () => {
      socket.write('S');
      const secured = new TLSSocket(socket, { isServer: true, key, cert });
      secured.on('error', () => undefined).once('data', () => secured.write(login));
    });
  };
  const server = createServer(speak).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const args = ['127.0.0.1', String(port), '--protocol', 'postgresql', '--require-tls'];
    expect(await outcomeOf('db_connectivity_test', args)).toMatchObject({
      exit: 0,
      report: { metrics: { tls: true } },
    });
  } finally {
    server.close();
  }
});

/** Overwrites line pointers with what none can be. */
function damage(path: string, at: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(64, 0xee), 0, 64, at);
  closeSync(file);
}

function hasPsql(): boolean {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
