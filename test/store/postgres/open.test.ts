import { describe, expect, test } from 'vitest';
import { LATEST, LATEST_BREAKING } from '../../../src/store/sql/migrations.ts';
import { openPostgres } from '../../../src/store/postgres/open-postgres.ts';
import { parseStoreUrl } from '../../../src/store/store-address.ts';
import { commitOf, put } from '../../contracts/run-store.ts';
import { PASSWORD, type PostgresServer } from '../../support/postgres.ts';
import { describePostgres, PostgresRig } from './rig.ts';

/** A database whose server or role has these settings. */
async function database(server: PostgresServer, name: string, ...settings: string[]): Promise<string> {
  await server.query(`create database ${name}`);
  for (const setting of settings) await server.query(`alter database ${name} set ${setting}`);
  return server.url('reeve').replace('/postgres?', `/${name}?`);
}

describePostgres('opening a store in PostgreSQL', (server) => {
  test('twenty at once make one schema, and each finds it whole', async () => {
    const rig = new PostgresRig(server().address('&pool=2'));
    const stores = await Promise.all(Array.from({ length: 20 }, () => rig.open()));
    await Promise.all(stores.map(({ runs }, at) => put(runs, `r${at}`)));
    expect((await stores[0]!.runs.list({ limit: 100 })).runs).toHaveLength(20);
    const { schema } = rig.address;
    const versions = await server().query(`select needs, applied from ${schema}.store`);
    expect(versions).toEqual([{ needs: LATEST_BREAKING, applied: LATEST }]);
    await rig.close();
  });

  test('a server that does not answer is waited for as long as told, and that is told', async () => {
    const rig = new PostgresRig(parseStoreUrl('postgres://nobody@127.0.0.1:1/nothing'));
    const said: string[] = [];
    const patience = { busyMs: 300, onWait: (why: Error) => said.push(why.message) };
    const refused = { code: 'E_STORE_UNAVAILABLE' };
    await expect(rig.open({ patience })).rejects.toMatchObject(refused);
    expect(said[0]).toMatch(/cannot be reached/);
    const stop = new AbortController();
    const opening = rig.open({
      patience: { busyMs: 1e6, signal: stop.signal, onWait: () => stop.abort() },
    });
    await expect(opening, 'whoever is told to stop waits no longer').rejects.toMatchObject(refused);
  });

  test('schemas of one database are stores of their own', async () => {
    const [one, two] = [new PostgresRig(server().address()), new PostgresRig(server().address())];
    await put((await one.open()).runs, 'r');
    expect(await (await two.open()).runs.head('r')).toBeUndefined();
    await one.close();
    await two.close();
  });

  test('a store that a newer program changed is refused and left as it is', async () => {
    const rig = new PostgresRig(server().address());
    await rig.open();
    const { schema } = rig.address;
    await server().query(`update ${schema}.store set needs = $1, applied = $1`, [LATEST + 1]);
    await server().query(`create table ${schema}.of_the_future (a int)`);
    await expect(rig.open()).rejects.toMatchObject({
      code: 'E_STORE_NEWER',
      details: { needs: LATEST + 1, knows: LATEST },
    });
    expect(await server().query(`select applied from ${schema}.store`)).toEqual([{ applied: LATEST + 1 }]);
    await rig.close();
  });

  test('a newer store that older programs may use is used', async () => {
    const rig = new PostgresRig(server().address());
    await rig.open();
    await server().query(`update ${rig.address.schema}.store set applied = $1`, [LATEST + 1]);
    expect(await put((await rig.open()).runs, 'r')).toMatchObject({ version: 1 });
    await rig.close();
  });

  test('without `create` nothing is made', async () => {
    const rig = new PostgresRig(server().address());
    await expect(rig.open({ create: false })).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    expect(
      await server().query(`select 1 from pg_namespace where nspname = $1`, [rig.address.schema]),
    ).toEqual([]);
  });

  test('a schema that holds something else is refused, and nothing is added to it', async () => {
    const rig = new PostgresRig(server().address());
    const { schema } = rig.address;
    await server().query(`create schema ${schema}`);
    await server().query(`create table ${schema}.runs (a int)`);
    await expect(rig.open()).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    const tables = await server().query(`select tablename from pg_tables where schemaname = $1`, [schema]);
    expect(tables).toEqual([{ tablename: 'runs' }]);
  });

  test('what the database sets for its sessions changes nothing', async () => {
    const url = await database(
      server(),
      'odd',
      `timezone = 'Asia/Kathmandu'`,
      'search_path = pg_catalog',
      'standard_conforming_strings = off',
      `default_transaction_isolation = 'serializable'`,
      'statement_timeout = 1',
      `bytea_output = 'escape'`,
    );
    const { runs, blobs, close } = await openPostgres(parseStoreUrl(url));
    const head = await put(runs, `it's a \\ run`, { bodies: [String.raw`{"text":"\\n'"}`] });
    expect(await runs.load(head.id)).toMatchObject({ head, tail: [{ body: String.raw`{"text":"\\n'"}` }] });
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    expect(Buffer.compare(await blobs.get(await blobs.put(bytes)), bytes)).toBe(0);
    await close();
  });

  test('I1: a database that acknowledges what it could lose is refused', async () => {
    const url = await database(server(), 'forgetful', 'synchronous_commit = off');
    await expect(openPostgres(parseStoreUrl(url))).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      details: { synchronous_commit: 'off' },
    });
  });

  test('a database that is not in UTF-8 is refused', async () => {
    await server().query(`create database latin encoding 'LATIN1' template template0`);
    const url = server().url('reeve').replace('/postgres?', '/latin?');
    await expect(openPostgres(parseStoreUrl(url))).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      details: { encoding: 'LATIN1' },
    });
  });

  test('a user who may only read can read, and is told so when it writes', async () => {
    const rig = new PostgresRig(server().address());
    await put((await rig.open()).runs, 'r');
    const { schema } = rig.address;
    await server().query(`create role reader_${schema} login password '${PASSWORD}'`);
    await server().query(`grant usage on schema ${schema} to reader_${schema}`);
    await server().query(`grant select on all tables in schema ${schema} to reader_${schema}`);
    const url = server().url(schema).replace('tester:', `reader_${schema}:`);
    const { runs, close } = await openPostgres(parseStoreUrl(url));
    expect(await runs.head('r')).toMatchObject({ id: 'r' });
    await expect(runs.commit([commitOf('r2')])).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    await close();
    await rig.close();
  });

  test('a password is in no message, whatever is wrong', async () => {
    const secret = 'hunter2-hunter2';
    const urls = [
      server().url('s').replace(PASSWORD, secret),
      `postgres://u:${secret}@127.0.0.1:1/db`,
      `postgres://u:${secret}@host.invalid/db`,
      server().url('s').replace('/postgres?', '/absent?').replace(PASSWORD, PASSWORD),
    ];
    for (const url of urls) {
      const error = await openPostgres(parseStoreUrl(url)).then(
        () => expect.unreachable(),
        (caught: unknown) => caught as Error & { details: object },
      );
      expect(error).toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
      const said = `${error.message} ${JSON.stringify(error.details)}`;
      expect(said).not.toContain(secret);
      expect(said).not.toContain(PASSWORD);
    }
  }, 60_000);
});

describePostgres(
  'a server that does not sync',
  (server) => {
    test('I1: is refused', async () => {
      await expect(openPostgres(server().address())).rejects.toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
        details: { fsync: 'off' },
      });
    });
  },
  { fsync: 'off' },
);

describe('the URL of a store', () => {
  test('what is left out has a default, and the password is in nothing that is shown', () => {
    expect(parseStoreUrl('postgres://ann:s%40crt@db.example.com/jobs')).toEqual({
      url: 'postgres://ann:s%40crt@db.example.com/jobs',
      connectionString: 'postgres://ann:s%40crt@db.example.com/jobs',
      schema: 'reeve',
      pool: 8,
      shown: 'postgres://ann@db.example.com:5432/jobs?schema=reeve',
      key: 'db.example.com-5432-jobs-reeve',
    });
    expect(parseStoreUrl('postgresql:///jobs?host=/run/pg&schema=a_1&pool=20&sslmode=require')).toMatchObject(
      {
        schema: 'a_1',
        pool: 20,
        shown: 'postgres:///run/pg:5432/jobs?schema=a_1',
        key: '_run_pg-5432-jobs-a_1',
        connectionString: 'postgresql:///jobs?host=%2Frun%2Fpg&sslmode=verify-full',
      },
    );
  });

  test.each([
    ['mysql://h/db', 'scheme'],
    ['postgres://h', 'database'],
    ['postgres://h/a/b', 'database'],
    ['postgres://h/db?schma=x', 'schma'],
    ['postgres://h/db?schema=A', 'schema'],
    ['postgres://h/db?schema=a"b', 'schema'],
    ['postgres://h/db?schema=pg_x', 'schema'],
    ['postgres://h/db?schema=', 'schema'],
    ['postgres://h/db?pool=1', 'pool'],
    ['postgres://h/db?pool=x', 'pool'],
    ['postgres://h/db?sslmode=prefer', 'sslmode'],
    ['postgres://h:port/db', 'cannot be read'],
    ['postgres://h/d\0b', 'NUL'],
  ])('%j is refused', (url, why) => {
    expect(() => parseStoreUrl(url)).toThrow(
      expect.objectContaining({
        code: 'E_INVALID_INPUT_SCHEMA',
        message: expect.stringContaining(why),
      }) as Error,
    );
  });
});
