// The Atomic Executor on a real socket: a NodeRun is run once (H32), limits, its client, and whatever else is sent.
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { atomicClient } from '../../../src/doors/arp/clients/atomic-client.ts';
import { ERROR_ENVELOPE } from '../../../src/doors/arp/wire/common.ts';
import { ATOMIC_EXECUTE_REQUEST, ATOMIC_EXECUTE_RESULT } from '../../../src/doors/arp/wire/requests.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import type { Answer } from '../../server/client.ts';
import { fitting, spoiled } from './documents.ts';
import { asked, execute, Held, NOBODY } from './executions.ts';
import { hasNull, test } from './support.ts';

describe('H32 a NodeRun is run once', () => {
  test('the same request joins while it runs, and gets the same result afterwards', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const first = execute(served, asked('test.held', { b: 1, a: 2 }));
    await held.called();
    const trace = { run_context: { trace: { trace_id: 'another' } } };
    const second = execute(served, asked('test.held', { a: 2, b: 1 }, trace));
    held.letGo();
    const results = [(await first).json, (await second).json];
    expect(results[1]).toEqual(results[0]);
    expect((await execute(served, asked('test.held', { a: 2, b: 1 }))).json).toEqual(results[0]);
    expect(held.calls).toHaveLength(1);
  });

  test('another request under the same id is refused, while it runs and afterwards', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const first = execute(served, asked('test.held'));
    await held.called();
    const others = [
      asked('test.held', { a: 1 }),
      asked('jarvis.core.echo'),
      { ...asked('test.held'), run_id: 'run_2' },
    ];
    const refused = async (): Promise<void> => {
      for (const other of others) {
        const answer = await execute(served, other);
        expect([answer.status, answer.json.error.code]).toEqual([409, 'idempotency_conflict']);
      }
    };
    await refused();
    held.letGo();
    await first;
    await refused();
  });

  test('a higher attempt runs anew once the one before has ended', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const attempt = (n: unknown) => asked('test.held', {}, { extensions: { 'reeve.attempt': n } });
    const first = execute(served, attempt(1));
    await held.called();
    const early = await execute(served, attempt(2));
    expect([early.status, early.json.error.code]).toEqual([409, 'attempt_conflict']);
    held.letGo();
    expect((await first).json.outputs).toEqual({ call: 1 });
    expect((await execute(served, attempt(2))).json.outputs).toEqual({ call: 2 });
    expect(held.calls.map((call) => call.attempt)).toEqual([1, 2]);
    const late = await execute(served, attempt(1));
    expect([late.status, late.json.error.code]).toEqual([409, 'attempt_conflict']);
    for (const odd of [0, 1.5, '1', null]) {
      const answer = await execute(served, attempt(odd));
      expect([answer.status, answer.json.error.code]).toEqual([400, 'invalid_request']);
    }
  });

  test.for([
    ['entries', { entries: 2, bytes: 1e6 }],
    ['bytes', { entries: 1000, bytes: 1200 }],
  ] as const)(
    'results are forgotten beyond the bound of %s, the one used longest ago first',
    async ([, remembered], { stack }) => {
      const served = await stack.atomic([], { remembered });
      const uuid = async (id: string): Promise<string> =>
        (await execute(served, asked('jarvis.core.uuid4', {}, { node_run_id: id }))).json.outputs.uuid;
      const [a, b] = [await uuid('a'), await uuid('b')];
      expect(await uuid('a')).toBe(a);
      await uuid('c');
      expect(await uuid('a')).toBe(a);
      expect(await uuid('b')).not.toBe(b);
    },
  );

  test('a client that leaves does not end it', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const client = atomicClient({ baseUrl: served.url });
    const gone = new AbortController();
    const left = client.execute(asked('test.held'), gone.signal);
    await held.called();
    gone.abort();
    await expect(left).rejects.toMatchObject({ wireCode: 'atomic_executor_unavailable', retryable: true });
    const back = execute(served, asked('test.held'));
    held.letGo();
    expect((await back).json).toMatchObject({ state: 'succeeded', outputs: { call: 1 } });
  });
});

describe('limits', () => {
  test('more calls than may run wait in order; more than may wait are refused, and may come again', async ({
    stack,
  }) => {
    const held = new Held();
    const served = await stack.atomic([held.node], { concurrency: 1, waitingMax: 2 });
    const run = (id: string): Promise<Answer> => execute(served, asked('test.held', {}, { node_run_id: id }));
    const first = run('a');
    await held.called();
    const { executor } = served;
    const waiting = ['b', 'c'].map((id) =>
      executor.execute({ ...asked('test.held'), node_run_id: id }, NOBODY),
    );
    const full = await run('d');
    expect([full.status, full.json.error.code, full.json.error.retryable]).toEqual([
      503,
      'executor_busy',
      true,
    ]);
    held.letGo();
    await Promise.all([first, ...waiting]);
    expect((await run('d')).json.state).toBe('succeeded');
    expect(held.calls.map(({ request }) => request.node_run_id)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('once told to stop it takes no more, sends away what waits, and stops what does not end', async ({
    stack,
  }) => {
    const held = new Held();
    const served = await stack.atomic([held.node], { concurrency: 1 });
    const running = execute(served, asked('test.held'));
    await held.called();
    const waiting = served.executor.execute({ ...asked('test.held'), node_run_id: 'b' }, NOBODY);
    const stopped = served.executor.stop(1);
    await expect(waiting).rejects.toMatchObject({ status: 503, wireCode: 'executor_stopping' });
    expect((await running).json).toMatchObject({ state: 'failed', error: { code: 'executor_stopped' } });
    await stopped;
    const late = await execute(served, asked('test.held', {}, { node_run_id: 'c' }));
    expect([late.status, late.json.error.code]).toEqual([503, 'executor_stopping']);
    expect((await execute(served, asked('test.held'))).json.error.code).toBe('executor_stopped');
  });

  test('what can finish while it stops does', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const running = execute(served, asked('test.held'));
    await held.called();
    const stopped = served.executor.stop(60_000);
    held.letGo();
    await stopped;
    expect((await running).json.state).toBe('succeeded');
  });
});

describe('the client', () => {
  test('gives what the service answers, and passes its refusals on', async ({ stack }) => {
    const served = await stack.atomic();
    const client = atomicClient({ baseUrl: served.url });
    const request = asked('jarvis.core.echo', { echo: 'x' });
    expect(await client.execute(request, NOBODY)).toMatchObject({
      state: 'succeeded',
      outputs: { echo: 'x' },
    });
    await expect(client.execute(asked('jarvis.core.echo'), NOBODY)).rejects.toMatchObject({
      status: 409,
      wireCode: 'idempotency_conflict',
    });
    await client.cancel('a/ü:cancel');
  });

  test('G19 says that the executor is not there, and when it answers too late', async ({ stack }) => {
    const nowhere = atomicClient({ baseUrl: 'http://127.0.0.1:1' });
    await expect(nowhere.execute(asked('x'), NOBODY)).rejects.toMatchObject({
      status: 502,
      wireCode: 'atomic_executor_unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const hasty = atomicClient({ baseUrl: served.url, timeoutMs: 30 });
    await expect(hasty.execute(asked('test.held'), NOBODY)).rejects.toMatchObject({
      wireCode: 'atomic_executor_unavailable',
      message: expect.stringContaining('did not answer in time'),
    });
    held.letGo();
  });
});

test('G3 whatever is sent, the answer is a result or an envelope, without nulls', async ({ stack }) => {
  const served = await stack.atomic();
  const request = fitting(ATOMIC_EXECUTE_REQUEST).chain((document) =>
    fc.oneof(fc.constant(document), spoiled(document)),
  );
  await fc.assert(
    fc.asyncProperty(request, async (body) => {
      const answer = await served.send('POST', '/v1/atomic-node-runs:execute', body);
      const schema = answer.status === 200 ? ATOMIC_EXECUTE_RESULT : ERROR_ENVELOPE;
      expect([200, 400, 409]).toContain(answer.status);
      expect(await fieldErrors(schema, answer.json)).toEqual([]);
      expect(hasNull({ ...answer.json, error: undefined })).toBe(false);
      expect(answer.status === 200).toBe(
        answer.status !== 409 &&
          (await fieldErrors(ATOMIC_EXECUTE_REQUEST, body)).length === 0 &&
          answer.status !== 400,
      );
    }),
    { numRuns: 150 },
  );
});
