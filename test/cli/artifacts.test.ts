// Where `serve control-plane` keeps the files of runs (docs/agents-artifacts.md).
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { allowList, COMMAND, KEY } from '../doors/agents/control-rig.ts';
import { sha256 } from '../doors/agents/files/rig.ts';
import { ACCOUNT, BUCKET, S3Server } from '../s3/s3-server.ts';
import { ask } from '../server/client.ts';
import { test, type Home } from './rig.ts';

const TOKENS = {
  JARVAS_OPERATOR_TOKEN: 'operator-of-this-test',
  JARVAS_ENROL_TOKEN: 'enrolment-of-this-test',
};
const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: ACCOUNT.accessKeyId,
  AWS_SECRET_ACCESS_KEY: ACCOUNT.secretAccessKey,
};

/** Serves, uploads one file as an agent with a task, and reads it as an operator. @returns what was read */
async function roundTrip(
  home: Home,
  flags: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  await home.write('key.pem', KEY.publicKey.pem);
  const argv = [
    'serve',
    'control-plane',
    '--store',
    home.store,
    '--port',
    '0',
    '--trust-keys',
    'key.pem',
    ...flags,
  ];
  const running = home.start(argv, { program: 'reeve', env: { ...TOKENS, ...env } });
  await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
  const token = TOKENS.JARVAS_OPERATOR_TOKEN;
  await ask(address, 'PUT', '/allowlist', { token, body: JSON.parse(allowList('default')) });
  const registered = await ask(address, 'POST', '/register', {
    token: TOKENS.JARVAS_ENROL_TOKEN,
    body: { agent_id: `agent-${randomUUID()}` },
  });
  await ask(address, 'POST', '/tasks', { token, body: { action: 'check', command: COMMAND } });
  const agent = registered.json.agent_token;
  const { task } = (await ask(address, 'GET', '/task', { token: agent })).json;
  const url = `/runs/${task.run_id}/files/artifacts/output.raw`;
  const put = await ask(address, 'PUT', url, {
    token: agent,
    raw: 'hello',
    headers: { 'x-lease-id': task.lease_id, digest: `sha-256=${sha256('hello')}` },
  });
  expect(put.status).toBe(201);
  const { text } = await ask(address, 'GET', url, { token });
  running.kill('SIGTERM');
  await running.ended;
  return text;
}

const NAME = sha256('hello');

describe.concurrent('serve control-plane --artifacts', () => {
  test('files are kept below the store unless told otherwise, by flag or environment', async ({ home }) => {
    expect(await roundTrip(home, [])).toBe('hello');
    expect(await readdir(join(home.store, 'agents', 'files', NAME.slice(0, 2)))).toEqual([NAME]);
    const flagged = join(home.dir, 'flagged');
    const place = join(home.dir, 'set');
    expect(await roundTrip(home, ['--artifacts', flagged], { REEVE_BLOBS_URL: place })).toBe('hello');
    expect(await readdir(join(flagged, NAME.slice(0, 2)))).toEqual([NAME]);
    expect(await roundTrip(home, [], { REEVE_BLOBS_URL: place })).toBe('hello');
    expect(await readdir(join(place, NAME.slice(0, 2)))).toEqual([NAME]);
  });

  test('files are kept in a bucket', async ({ home }) => {
    const server = await S3Server.start();
    try {
      const place = `s3://${BUCKET}/of/runs?endpoint=${server.endpoint}`;
      expect(await roundTrip(home, ['--artifacts', place], CREDENTIALS)).toBe('hello');
      expect([...server.objects.keys()]).toEqual([`of/runs/${NAME.slice(0, 2)}/${NAME}`]);
    } finally {
      await server.close();
    }
  });

  test('a bucket that refuses is told of at the start; one that does not answer may come back', async ({
    home,
  }) => {
    const server = await S3Server.start();
    const { endpoint } = server;
    const argv = ['serve', 'control-plane', '--port', '0', '--artifacts'];
    try {
      for (const [bucket, env, says] of [
        ['nobodys', CREDENTIALS, 'no such bucket'],
        [BUCKET, { ...CREDENTIALS, AWS_SECRET_ACCESS_KEY: 'of-somebody-else' }, '403'],
      ] as const) {
        const place = `s3://${bucket}/runs?endpoint=${endpoint}`;
        const error = await home.fails([...argv, place], { program: 'reeve', env: { ...TOKENS, ...env } });
        expect(error.code).toBe('E_STORE_UNAVAILABLE');
        expect(error.message).toContain(place.replace('?', '/?'));
        expect(error.message).toContain(says);
      }
    } finally {
      await server.close();
    }
    const place = `s3://${BUCKET}?endpoint=${endpoint}`;
    const env = { ...TOKENS, ...CREDENTIALS };
    const away = home.start([...argv, place], { program: 'reeve', env });
    await away.until('it listens', () => away.stdout.includes('listening on'));
  });

  test('a place that is none, or without credentials, is a mistake of the user', async ({ home }) => {
    const argv = (place: string): string[] => ['serve', 'control-plane', '--port', '0', '--artifacts', place];
    for (const place of [
      'gs://bucket',
      's3://b',
      's3://bucket?nonsense=1',
      's3://key:hush@bucket',
      `s3://${BUCKET}`,
    ]) {
      const error = await home.fails(argv(place), { program: 'reeve' });
      expect([place, error.code]).toEqual([place, 'E_INVALID_INPUT_SCHEMA']);
      expect(JSON.stringify(error)).not.toContain('hush');
    }
  });
});
