// The control plane of polling agents as a real process (contract agents §2, §8; J12, J29).
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { ask, type Answer } from '../server/client.ts';
import { allowList, COMMAND, KEY } from '../doors/agents/control-rig.ts';
import { test, type Any, type Home, type Result, type Running } from './rig.ts';

const OPERATOR = 'operator-of-this-test';
const ENROL = 'enrolment-of-this-test';
const TOKENS = { JARVAS_OPERATOR_TOKEN: OPERATOR, JARVAS_ENROL_TOKEN: ENROL };

interface Plane {
  readonly running: Running;
  readonly address: string;
  send(method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
}

async function serve(
  home: Home,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Plane> {
  await home.write('key.pem', KEY.publicKey.pem);
  const argv = ['serve', 'control-plane', '--port', '0', '--trust-keys', 'key.pem', ...flags];
  const running = home.start(argv, { program: 'reeve', env: { ...TOKENS, ...env } });
  await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
  return {
    running,
    address,
    send: (method, path, body, token = OPERATOR) =>
      ask(address, method, path, {
        ...(body === undefined ? {} : { body }),
        headers: { authorization: `Bearer ${token}` },
      }),
  };
}

async function registered(plane: Plane, agent_id: string): Promise<string> {
  return (await plane.send('POST', '/register', { agent_id, max_parallel: 100 }, ENROL)).json.agent_token;
}

describe.concurrent('serve control-plane', () => {
  test('J12 kill -9 under load: what was acknowledged is there, and no live lease is given out anew', async ({
    home,
  }) => {
    const plane = await serve(home);
    expect((await plane.send('PUT', '/allowlist', JSON.parse(allowList('default')))).status).toBe(200);
    const [a, b] = [await registered(plane, 'a'), await registered(plane, 'b')];
    const task = { action: 'check', command: COMMAND };
    const held: Any[] = [];
    for (let at = 0; at < 5; at += 1) {
      await plane.send('POST', '/tasks', task);
      held.push((await plane.send('GET', '/task', undefined, a)).json.task);
    }
    const [first] = held;
    await plane.send('POST', `/tasks/${first.task_id}/start`, { lease_id: first.lease_id }, a);
    const known: string[] = [];
    const load = Array.from({ length: 8 }, async () => {
      for (;;) {
        const made = await plane.send('POST', '/tasks', { ...task, target: { agent_ids: ['b'] } });
        known.push(made.json.task_id);
        if (known.length === 40) plane.running.kill('SIGKILL');
      }
    });
    await Promise.allSettled(load);
    await plane.running.ended;

    const next = await serve(home);
    const { tasks } = (await next.send('GET', '/tasks?limit=500')).json;
    const ids = new Set(tasks.map(({ task_id }: Any) => task_id));
    expect([...held.map(({ task_id }) => task_id), ...known].filter((id) => !ids.has(id))).toEqual([]);
    // The agent has lost nothing: its leases are its own still, and nobody else has any of them.
    expect((await next.send('GET', '/task', undefined, a)).json).toEqual({ task: null });
    for (const { task_id, lease_id } of held) {
      expect((await next.send('POST', `/tasks/${task_id}/lease`, { lease_id }, a)).status).toBe(200);
      const result = { lease_id, outcome: 'succeeded', exit_code: 0, summary: {} };
      expect((await next.send('POST', `/tasks/${task_id}/result`, result, a)).json).toEqual({
        status: 'succeeded',
      });
    }
    for (let at = 0; at < ids.size - held.length; at += 1)
      expect((await next.send('GET', '/task', undefined, b)).json.task.attempt).toBe(1);
    expect((await next.send('GET', '/task', undefined, b)).json).toEqual({ task: null });

    const audit = await ask(next.address, 'GET', '/audit', {
      headers: { authorization: `Bearer ${OPERATOR}`, accept: 'application/x-ndjson' },
    });
    const entries = audit.text
      .trimEnd()
      .split('\n')
      .map((line): Any => JSON.parse(line));
    const created = entries.filter(({ action }) => action === 'task.create').map(({ object }) => object);
    expect(created).toHaveLength(ids.size);
    expect(new Set(created)).toEqual(new Set([...ids].map((id) => `task/${String(id)}`)));
    await home.write('audit.jsonl', audit.text);
    const verify = ['audit', 'verify', 'audit.jsonl'];
    const verified = await home.json(verify, { program: 'reeve' });
    expect(verified).toEqual({ ok: true, entries: entries.length, head: expect.any(Object) as object });
    await home.write('cut.jsonl', audit.text.split('\n').slice(0, -2).join('\n'));
    const cut = ['audit', 'verify', 'cut.jsonl', '--head', verified.head.hash];
    expect((await home.fails(cut, { program: 'reeve' })).code).toBe('E_VERIFY_HASH_MISMATCH');
    await home.write('edited.jsonl', audit.text.replace('"a"', '"x"'));
    const edited = await home.run(['audit', 'verify', 'edited.jsonl'], { program: 'reeve' });
    expect([edited.code, edited.stderr]).toEqual([2, expect.stringContaining('line ') as string]);
    next.running.kill('SIGTERM');
    expect(await next.running.ended).toMatchObject({ code: 0, stderr: '' });
  });

  test('makes tokens of its own on loopback, for this user alone, and one process has a store', async ({
    home,
  }) => {
    const empty = { JARVAS_OPERATOR_TOKEN: '', JARVAS_ENROL_TOKEN: '' };
    const plane = await serve(home, [], empty);
    const token = (await readFile(join(home.dir, '.reeve/agents/operator.token'), 'utf8')).trim();
    expect((await plane.send('GET', '/agents', undefined, token)).json).toEqual({ agents: [] });
    expect((await plane.send('GET', '/agents', undefined, OPERATOR)).status).toBe(401);
    const second = await home.fails(['serve', 'control-plane', '--port', '0'], {
      program: 'reeve',
      env: TOKENS,
    });
    expect(second.code).toBe('E_STORE_BUSY');
  });

  test.for([
    [['--host', '0.0.0.0'], TOKENS, '--allow-non-loopback'],
    [['--host', '0.0.0.0', '--allow-non-loopback'], {}, '--tokens'],
    [['--host', '0.0.0.0', '--allow-non-loopback'], { ...TOKENS, JARVAS_AUTH: 'off' }, 'JARVAS_AUTH=off'],
    [[], { JARVAS_AUTH: 'maybe' }, 'JARVAS_AUTH'],
    [['--tls-cert', 'key.pem'], TOKENS, '--tls-key'],
    [['--tls-cert', 'key.pem', '--tls-key', 'key.pem'], TOKENS, 'must be PEM'],
    [['--tokens', 'key.pem'], {}, 'no JSON'],
    [['--trust-keys', 'none.pem'], TOKENS, 'none.pem'],
    [['--trust-keys', 'key.pem'], { ...TOKENS, JARVAS_TRUST_THRESHOLD: '2' }, 'JARVAS_TRUST_THRESHOLD'],
  ] as const)('refuses to start with %j', async ([flags, env, says], { home }) => {
    await home.write('key.pem', KEY.publicKey.pem);
    const failed = await home.fails(['serve', 'control-plane', '--port', '0', ...flags], {
      program: 'reeve',
      env,
    });
    expect(failed.message).toContain(says);
  });

  test('is part of up, below a path of its own', async ({ home }) => {
    const running = home.start(['up', '--dev-allow', '--port', '0'], { program: 'reeve', env: TOKENS });
    await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
    const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
    const at = (path: string, token?: string): Promise<Answer> =>
      ask(address, 'GET', `/control-plane${path}`, token === undefined ? {} : { token });
    expect((await at('/agents', OPERATOR)).json).toEqual({ agents: [] });
    expect((await at('/agents')).json.error.code).toBe('unauthorized');
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });

  test.skipIf(!hasOpenssl())(
    'serves HTTPS, and lets in only clients with a certificate',
    async ({ home }) => {
      const make = (...args: string[]): void =>
        void execFileSync('openssl', args, { cwd: home.cwd, stdio: 'ignore' });
      const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
      make('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca');
      const san = ['-addext', 'subjectAltName=IP:127.0.0.1'];
      make('req', '-x509', ...ec, '-keyout', 's.key', '-out', 's.pem', '-subj', '/CN=s', ...san);
      const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
      make('req', '-x509', ...ec, ...signed, '-keyout', 'c.key', '-out', 'c.pem', '-subj', '/CN=c');
      const plane = await serve(home, ['--tls-cert', 's.pem', '--tls-key', 's.key', '--client-ca', 'ca.pem']);
      const ca = await home.read('s.pem');
      const client = { cert: await home.read('c.pem'), key: await home.read('c.key') };
      expect(await statusOf(plane.address, { ca, ...client })).toBe(200);
      await expect(statusOf(plane.address, { ca })).rejects.toThrow();

      const show = (env: Readonly<Record<string, string>>): Promise<Result> =>
        home.run(['rollout', 'list', '--url', `https://${plane.address}`], {
          program: 'reeve',
          env: { ...TOKENS, ...env },
        });
      const trust = { JARVAS_TLS_CA: 's.pem' };
      expect((await show({ ...trust, JARVAS_TLS_CERT: 'c.pem', JARVAS_TLS_KEY: 'c.key' })).code).toBe(0);
      expect((await show({})).stderr).toContain('see JARVAS_TLS_CA');
      expect((await show(trust)).stderr).toContain('see JARVAS_TLS_CERT and JARVAS_TLS_KEY');
      expect((await show({ ...trust, JARVAS_TLS_CERT: 'c.pem' })).stderr).toContain('belong together');
      expect((await show({ ...trust, JARVAS_TLS_CERT: 's.pem', JARVAS_TLS_KEY: 's.key' })).stderr).toContain(
        'wants another certificate',
      );
    },
  );
});

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function statusOf(
  address: string,
  tls: { ca: string; cert?: string; key?: string },
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(
      `https://${address}/agents`,
      { ...tls, agent: false, headers: { authorization: `Bearer ${OPERATOR}` } },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      },
    );
    call.on('error', reject);
    call.end();
  });
}
