// Answers of services of others, which write null for whatever is unset (contract arp D3), on real sockets.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test as base } from 'vitest';
import { atomicClient } from '../../../src/doors/arp/clients/atomic-client.ts';
import { coordinatorClient } from '../../../src/doors/arp/clients/coordinator-client.ts';
import { healthOf } from '../../../src/doors/arp/clients/health-client.ts';
import { pdpClient } from '../../../src/doors/arp/clients/pdp-client.ts';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { runsClient } from '../../../src/doors/arp/clients/runs-client.ts';
import { selectionClient } from '../../../src/doors/arp/clients/selection-client.ts';

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('answering', async ({}, { onCleanup }) => {
  const servers: ReturnType<typeof createServer>[] = [];
  onCleanup(() => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });
  return async (json: unknown, status = 200): Promise<{ readonly baseUrl: string }> => {
    const server = createServer((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
    servers.push(server);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  };
});

const REF = { node_type_id: 'a', version: '1', extensions: null };

test('D3 a null in place of an optional field is no field, however deep it stands', async ({ answering }) => {
  const nodeType = {
    ...REF,
    kind: 'atomic',
    description: null,
    input_schema: { type: 'object', default: null },
    constraints: { structural: null, gates: { require_approval: null } },
    metadata: { labels: null },
    extensions: { 'jarvis.role': null },
  };
  const plain = {
    node_type_id: 'a',
    version: '1',
    kind: 'atomic',
    // What may hold anything may hold a null: that is somebody's value.
    input_schema: { type: 'object', default: null },
    constraints: { gates: {} },
    metadata: {},
    extensions: { 'jarvis.role': null },
  };
  const registry = registryClient(await answering(nodeType));
  expect(await registry.get('a', '1')).toEqual(plain);
  expect(await registryClient(await answering([nodeType])).list({})).toEqual([plain]);

  const candidates = [{ node_type_ref: REF, score: null, rationale: null, constraints: null }];
  const set = { candidate_set_id: 'c', subtask_id: 's', candidates, top_k: null, generated_at: null };
  expect(
    await selectionClient(await answering(set)).candidates({ subtask_spec: { subtask_id: 's', goal: 'g' } }),
  ).toEqual({
    candidate_set_id: 'c',
    subtask_id: 's',
    candidates: [{ node_type_ref: { node_type_id: 'a', version: '1' } }],
  });

  const decision = { decision: 'deny', reason_code: 'no', message: null, approval_ref: null, metadata: null };
  expect(await pdpClient(await answering(decision)).decide({ action: 'run.start' })).toEqual({
    decision: 'deny',
    reason_code: 'no',
  });

  const nodeRun = { node_run_id: 'n', run_id: 'r', node_type_ref: REF, state: 'queued', outputs: null };
  expect(await coordinatorClient(await answering(nodeRun)).nodeRun('n')).toEqual({
    node_run_id: 'n',
    run_id: 'r',
    node_type_ref: { node_type_id: 'a', version: '1' },
    state: 'queued',
  });

  const check = { name: 'database', status: 'ok', message: null, details: null };
  const health = { status: 'ok', time: '2026-01-02T03:04:05Z', checks: [check], extensions: null };
  const { baseUrl } = await answering(health);
  expect(await healthOf({ name: 'pdp', baseUrl })).toMatchObject({ status: 'ok' });
});

test('D3 a failure with nulls in it passes through with its code', async ({ answering }) => {
  const error = { code: 'node_type_not_found', message: 'no', details: null, retryable: null, cause: null };
  const registry = registryClient(await answering({ error, extensions: null }, 404));
  await expect(registry.get('a')).rejects.toMatchObject({ status: 404, wireCode: 'node_type_not_found' });
});

test('D3 an event with nulls in it is one without these fields', async ({ answering }) => {
  const event = { run_id: 'r', seq: 1, type: 'run_started', time: '2026-01-02T03:04:05Z', node_run_id: null };
  const client = runsClient(await answering(event));
  const events = client.events('r', { after: 0, follow: false }, new AbortController().signal);
  expect((await events.next()).value).toEqual({ ...event, node_run_id: undefined });
  await events.return(undefined);
});

test('a null in place of what must be there is still a wrong answer', async ({ answering }) => {
  const execution = atomicClient(await answering({ node_run_id: 'n', state: null, outputs: null }));
  const request = { node_run_id: 'n', run_id: 'r', node_type_ref: { node_type_id: 'a', version: '1' } };
  await expect(
    execution.execute({ ...request, inputs: {} }, new AbortController().signal),
  ).rejects.toMatchObject({
    wireCode: 'atomic_executor_unavailable',
    retryable: false,
    message: expect.stringContaining('state'),
  });
});
