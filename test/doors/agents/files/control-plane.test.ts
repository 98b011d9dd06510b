// Files of runs in the whole control plane, on its real board, audit, settings and engine (J11, J14, J19, J26, J27, J28).
import { join } from 'node:path';
import { expect } from 'vitest';
import { runFilesPart } from '../../../../src/doors/agents/control/files/part.ts';
import { DirectoryBlobStreams } from '../../../../src/store/blobs/directory-blob-streams.ts';
import { PolledAgent, test, type HandedOut } from '../control-rig.ts';
import { sha256 } from './rig.ts';

const KEY = 'AKIAABCDEFGHIJKLMNOP';

function files(dir: string): ReturnType<typeof runFilesPart> {
  const blobs = new DirectoryBlobStreams(join(dir, 'files'));
  return runFilesPart({ blobs, note: (text) => expect.fail(text) });
}

async function put(
  agent: PolledAgent,
  { run_id, lease_id }: HandedOut,
  path: string,
  text: string,
): Promise<{ readonly status: number; readonly code: string | undefined }> {
  const answer = await fetch(`${agent.plane.url}/runs/${run_id}/files/${path}`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${agent.token}`,
      'x-lease-id': lease_id,
      digest: `sha-256=${sha256(text)}`,
    },
    body: text,
  });
  const body = await answer.text();
  return { status: answer.status, code: body === '' ? undefined : JSON.parse(body).error.code };
}

test('J14 J28 an agent uploads, ends its run, and operators read manifest, bytes, metrics and audit', async ({
  open,
  dir,
}) => {
  const plane = await open({ parts: [files(dir)] });
  const agent = await plane.register('a1');
  const patterns = [{ type: 'TICKET', pattern: 'T-[0-9]{6}' }];
  expect((await plane.ask('PUT', '/settings', { redaction: { patterns } })).status).toBe(200);
  await plane.task();
  const task = await agent.take();
  expect((await put(agent, task, 'artifacts/output.raw', `key ${KEY} T-123456\n`)).status).toBe(201);
  expect((await put(agent, task, 'logs/step_check.log', 'fine\n')).status).toBe(201);
  expect((await agent.result(task)).status).toBe(200);
  expect((await put(agent, task, 'artifacts/late', 'x')).code).toBe('lease_lost');

  const { json: list } = await plane.ask('GET', '/runs');
  expect(list.runs).toMatchObject([
    { run_id: task.run_id, status: 'succeeded', exit_code: 0, files: 2, removed: 0 },
  ]);
  expect((await plane.ask('GET', '/runs?status=failed')).json.runs).toEqual([]);
  const { json: manifest } = await plane.ask('GET', `/runs/${task.run_id}`);
  const sent = { sent_sha256: sha256(`key ${KEY} T-123456\n`), counts: { AWS_KEY: 1, TICKET: 1 } };
  expect(manifest.files).toMatchObject([
    { path: 'artifacts/output.raw', kind: 'raw', redacted: sent },
    { path: 'logs/step_check.log', kind: 'log', sha256: sha256('fine\n') },
  ]);
  const output = await plane.ask('GET', `/runs/${task.run_id}/files/artifacts/output.raw`);
  expect(output.text).toBe('key [REDACTED:AWS_KEY] [REDACTED:TICKET]\n');
  const { text: metrics } = await plane.ask('GET', '/metrics');
  expect(metrics).toMatch(/^jarvas_artifact_bytes_count\{kind="log"\} 1$/m);
  expect(metrics).toMatch(/^jarvas_redactions_total\{type="AWS_KEY"\} 1$/m);
  const { text: audit } = await plane.ask('GET', '/audit');
  expect(audit).toContain(`run/${task.run_id}/logs/step_check.log`);
  expect(audit).toContain(sha256('fine\n'));
  expect(audit).not.toContain(KEY);

  const other = plane.tokens('acme').operator;
  for (const path of ['', '/files/logs/step_check.log'])
    expect((await plane.send('GET', `/runs/${task.run_id}${path}`, { token: other })).status).toBe(404);
});

test('J11 the agent whose lease ran out leaves its files below its attempt, also after a restart', async ({
  open,
  dir,
}) => {
  const plane = await open({ parts: [files(dir)], leaseS: 1 });
  const [lost, won] = [await plane.register('a1'), await plane.register('a2')];
  await plane.task();
  const first = await lost.take();
  const second = await won.take(20);
  expect([second.run_id, second.attempt]).toEqual([first.run_id, 2]);
  expect((await put(lost, first, 'artifacts/output.raw', 'late')).code).toBe('lease_lost');
  expect((await put(lost, first, 'attempts/1/artifacts/output.raw', 'late')).status).toBe(201);
  expect((await put(lost, first, 'attempts/2/artifacts/output.raw', 'late')).code).toBe('lease_lost');
  expect((await put(won, first, 'attempts/1/artifacts/more', 'not mine')).code).toBe('lease_lost');
  await plane.close();

  const next = await open({ parts: [files(dir)] });
  expect(
    (await put(new PolledAgent(next, lost.id, lost.token), first, 'attempts/1/artifacts/more', 'late'))
      .status,
  ).toBe(201);
  const { json } = await next.ask('GET', `/runs/${first.run_id}`);
  expect(json.files.map(({ path }: { readonly path: string }) => path)).toEqual([
    'attempts/1/artifacts/more',
    'attempts/1/artifacts/output.raw',
  ]);
});

test('J26 retention follows the settings of the tenant, and is in its audit', async ({ open, dir }) => {
  const part = files(dir);
  const plane = await open({ parts: [part] });
  const agent = await plane.register('a1');
  await plane.task();
  const task = await agent.take();
  await put(agent, task, 'artifacts/output.raw', 'gone at once');
  await put(agent, task, 'artifacts/summary.json', '{}');
  await agent.result(task);
  expect((await plane.ask('PUT', '/settings', { retention: { artifact_days: 0 } })).status).toBe(200);
  await plane.close();
  // The sweeper of the next process begins at once.
  const next = await open({ parts: [files(dir)] });
  const path = `/runs/${task.run_id}/files/artifacts/output.raw`;
  await expect
    .poll(async () => (await next.ask('GET', path)).json?.error.code, { timeout: 10_000 })
    .toBe('removed');
  expect((await next.ask('GET', `/runs/${task.run_id}/files/artifacts/summary.json`)).text).toBe('{}');
  expect((await next.ask('GET', '/audit')).text).toContain('"action":"files.remove"');
});
