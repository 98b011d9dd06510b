// The compose file of control plane and agent: what it says fits together, and the two, started here as processes with its
// arguments and variables, carry a skill out. Containers (limits, users, mounts) are not seen here.
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import { test, until, type Any } from '../cli/rig.ts';
import { listOf, packageOf, skillEntry } from '../doors/agents/agent/fleet-rig.ts';
import { KEY } from '../doors/agents/control-rig.ts';
import { ask } from '../server/client.ts';
import { freePort } from '../support/free-ports.ts';
import { AGENTS_TEXT, composeFile, variablesOf } from './compose-file.ts';
import { imageEnvironment } from './container-file.ts';

const { services, volumes, secrets } = composeFile(AGENTS_TEXT);

test('both are nobody in particular, on a file system that they cannot write, with limits for the agent', () => {
  expect(Object.keys(services)).toEqual(['control-plane', 'agent']);
  for (const [name, service] of Object.entries(services)) {
    expect(service, name).toMatchObject({
      user: '1000:1000',
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    for (const secret of service.secrets ?? []) expect(secrets).toHaveProperty(secret);
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':');
      if (!source.startsWith('.')) expect(volumes).toHaveProperty(source);
    }
    const { command = [] } = service;
    const fits = COMMANDS.filter(({ path }) => path.every((word, at) => command[at] === word));
    const spec = fits.toSorted((a, b) => b.path.length - a.path.length)[0];
    const flags = command.filter((word) => word.startsWith('--')).map((word) => word.slice(2));
    expect(Object.keys(spec?.flags ?? {}), name).toEqual(expect.arrayContaining(flags));
  }
  expect(services['agent']).toMatchObject({ mem_limit: '512m', pids_limit: 256 });
  expect(services['agent']?.secrets, 'what operators may do is not for agents').toEqual(['enrol-token']);
  const docs = readFileSync(new URL('../../docs/deploy.md', import.meta.url), 'utf8');
  for (const name of variablesOf(AGENTS_TEXT).keys()) expect(docs).toContain(`\`${name}\``);
});

test('started as the file says, an agent registers and carries a signed skill out', async ({ home }) => {
  const port = await freePort();
  await home.write('secrets/operator-token', 'operator-of-this-test\n');
  await home.write('secrets/enrol-token', 'enrolment-of-this-test\n');
  await home.write('secrets/trust.pub', KEY.publicKey.pem);
  const here = (name: string, word: string): string =>
    word
      .replace(/^0\.0\.0\.0$/, '127.0.0.1')
      .replace('/run/secrets/', `${home.path('secrets')}/`)
      .replace('/etc/jarvas/', `${home.path('secrets')}/`)
      .replace(/^\/data(?=\/|$)/, join(home.dir, 'data', name))
      .replace(/^http:\/\/[^:/]+:5000/, `http://127.0.0.1:${port}`)
      .replace(/^5000$/, String(port));
  const start = async (name: string) => {
    await mkdir(join(home.dir, 'data', name), { recursive: true });
    const { command = [], environment = {} } = services[name] ?? {};
    const env = Object.entries({ ...imageEnvironment(), ...environment });
    return home.start(
      command.map((word) => here(name, word)),
      {
        program: 'reeve',
        cwd: join(home.dir, 'data', name),
        env: {
          ...Object.fromEntries(env.map(([key, value]) => [key, here(name, value)])),
          JARVAS_ALLOW_ROOT: '1', // tests may run as root; the container does not
        },
      },
    );
  };
  const address = `127.0.0.1:${port}`;
  const send = (method: string, path: string, body?: unknown): Promise<Any> =>
    ask(address, method, path, { ...(body === undefined ? {} : { body }), token: 'operator-of-this-test' });
  const plane = await start('control-plane');
  await plane.until('it listens', () => /listening on \S+\n/.test(plane.stdout));
  const { pathname } = new URL(services['control-plane']?.environment?.['REEVE_HEALTH_URL'] ?? '');
  expect((await ask(address, 'GET', pathname)).json.status).toBe('ok');

  const skill = packageOf('greet', "console.log('hello')");
  const put = await fetch(`http://${address}/skills/greet/1.0.0`, {
    method: 'PUT',
    headers: { authorization: 'Bearer operator-of-this-test', 'content-type': 'application/octet-stream' },
    body: new Uint8Array(skill),
  });
  expect(put.status).toBe(200);
  expect((await send('PUT', '/allowlist', JSON.parse(listOf([skillEntry('greet', skill)])))).status).toBe(
    200,
  );
  const agent = await start('agent');
  const task = { action: 'greet', skill: { name: 'greet', version: '1.0.0' } };
  const { json } = await send('POST', '/tasks', task);
  await agent.until('its task is done', async () => {
    const { json: view } = await send('GET', `/tasks/${json.task_id}`);
    return view.status === 'succeeded' && view.agent_id === 'agent-1';
  });
  agent.kill('SIGTERM');
  expect((await agent.ended).code).toBe(0);
  await until(async () => (await send('GET', '/healthz')).status === 200, 'the control plane');
});
