// The programs: a coordinator that writes through to a Run Store and an Event Stream, killed while one of them is gone.
import { expect } from 'vitest';
import { ask } from '../server/client.ts';
import { test, until, type Home, type Running } from './rig.ts';

const OPEN = { ARP_AUTH_PROFILE: 'dev-insecure', JARVIS_POLICY_PROFILE: 'dev-allow' };

async function serve(
  home: Home,
  service: string,
  port = '0',
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly running: Running; readonly address: string }> {
  const running = home.start(['serve', service, '--port', port], {
    program: 'reeve',
    env: { ...OPEN, JARVIS_RUN_COORDINATOR_AUTO_DISPATCH: '0', ...env },
  });
  await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
  return { running, address: /listening on (\S+)/.exec(running.stdout)?.[1] ?? '' };
}

test('G30 a coordinator that is killed while the Event Stream is down makes up for it when it is back', async ({
  home,
}) => {
  const runStore = await serve(home, 'run-store');
  const stream = await serve(home, 'event-stream');
  const env = {
    JARVIS_RUN_STORE_URL: `http://${runStore.address}/v1/`,
    JARVIS_EVENT_STREAM_URL: `http://${stream.address}`,
  };
  const first = await serve(home, 'run-coordinator', '0', env);
  const start = (run_id: string): Promise<unknown> =>
    ask(first.address, 'POST', '/v1/runs', {
      body: { run_id, root_node_type_ref: { node_type_id: 'composite.x', version: '1' }, input: {} },
    });
  await start('before');
  stream.running.kill('SIGTERM');
  await stream.running.ended;
  await start('meanwhile');
  await first.running.until('it says so', () =>
    first.running.stderr.includes('runs wait for the event stream'),
  );
  const health = (await ask(first.address, 'GET', '/v1/health')).json;
  expect(health.status).toBe('degraded');
  expect(health.checks.at(-1)).toMatchObject({ name: 'mirror', status: 'degraded' });
  first.running.kill('SIGKILL');
  await first.running.ended;

  await serve(home, 'event-stream', stream.address.split(':')[1]);
  const second = await serve(home, 'run-coordinator', '0', env);
  for (const id of ['before', 'meanwhile']) {
    const ours = await ask(second.address, 'GET', `/v1/runs/${id}/events`);
    const there = async (): Promise<unknown[]> =>
      events((await ask(stream.address, 'GET', `/v1/runs/${id}/events`)).text);
    await until(async () => (await there()).length >= 3, `events of ${id}`);
    expect(await there()).toEqual(events(ours.text));
    const record = (await ask(runStore.address, 'GET', `/v1/runs/${id}`)).json.run;
    expect(record).toEqual((await ask(second.address, 'GET', `/v1/runs/${id}`)).json);
  }
  second.running.kill('SIGTERM');
  expect((await second.running.ended).code).toBe(0);
});

function events(text: string): unknown[] {
  return text.split('\n').flatMap((line): unknown[] => (line === '' ? [] : [JSON.parse(line)]));
}
