// The Atomic Executor on a real socket (contract arp §2, §7.4, G41, H32).
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { atomicClient } from '../../../src/doors/arp/clients/atomic-client.ts';
import { NodeFailure, type AtomicNode, type NodeCall } from '../../../src/doors/arp/atomic/node.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import { ERROR_ENVELOPE } from '../../../src/doors/arp/wire/common.ts';
import { ATOMIC_EXECUTE_REQUEST, ATOMIC_EXECUTE_RESULT } from '../../../src/doors/arp/wire/requests.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import type { Answer } from '../../server/client.ts';
import { fitting, spoiled } from './documents.ts';
import { hasNull, test, type Served } from './support.ts';

const NOW = '2026-01-02T03:04:05.678Z';
const NOBODY = new AbortController().signal;

function asked(type: string, inputs: object = {}, more: object = {}) {
  const node_type_ref = { node_type_id: type, version: '7.7.7' };
  return { node_run_id: 'node_run_1', run_id: 'run_1', node_type_ref, inputs: { ...inputs }, ...more };
}

async function execute(served: Served, request: object): Promise<Answer> {
  const answer = await served.send('POST', '/v1/atomic-node-runs:execute', request);
  if (answer.status === 200) {
    expect(await fieldErrors(ATOMIC_EXECUTE_RESULT, answer.json)).toEqual([]);
    expect(answer.json).toMatchObject({ started_at: NOW, ended_at: NOW });
  } else expect(await fieldErrors(ERROR_ENVELOPE, answer.json)).toEqual([]);
  return answer;
}

const cancel = (served: Served, id: string): Promise<Answer> =>
  served.send('POST', `/v1/atomic-node-runs/${encodeURIComponent(id)}:cancel`);

/** A node that runs until it is let go, and tells how often it was called. */
class Held {
  calls: NodeCall[] = [];
  readonly #open = Promise.withResolvers<void>();
  readonly #called: (() => void)[] = [];
  readonly node: AtomicNode;

  constructor(id = 'test.held', deaf = false) {
    this.node = {
      nodeType: { node_type_id: id, version: '1', kind: 'atomic' },
      execute: async (_inputs, call) => {
        this.calls.push(call);
        for (const tell of this.#called.splice(0)) tell();
        const stopped = new Promise<void>((resolve) => {
          if (!deaf) call.signal.addEventListener('abort', () => resolve());
        });
        await Promise.race([this.#open.promise, stopped]);
        return { outputs: { call: this.calls.length } };
      },
    };
  }

  called(times = 1): Promise<void> {
    if (this.calls.length >= times) return Promise.resolve();
    return new Promise<void>((resolve) => this.#called.push(resolve)).then(() => this.called(times));
  }

  letGo(): void {
    this.#open.resolve();
  }
}

function failing(fail: (call: NodeCall) => unknown): AtomicNode {
  const nodeType: NodeType = { node_type_id: 'test.bad', version: '1', kind: 'atomic' };
  return { nodeType, execute: async (_inputs, call) => fail(call) as never };
}

describe('built-in nodes', () => {
  test('G41 echo gives the text back, or the inputs as JSON with sorted keys, whatever the version', async ({
    stack,
  }) => {
    const served = await stack.atomic();
    const echo = async (id: string, inputs: object): Promise<unknown> =>
      (await execute(served, { ...asked('jarvis.core.echo', inputs), node_run_id: id })).json;
    expect(await echo('a', { echo: 'hello' })).toEqual({
      node_run_id: 'a',
      state: 'succeeded',
      outputs: { echo: 'hello' },
      started_at: NOW,
      ended_at: NOW,
    });
    expect(await echo('b', { b: [1, { d: 1, c: 2 }], a: 'ü' })).toMatchObject({
      outputs: { echo: '{"a":"ü","b":[1,{"c":2,"d":1}]}' },
    });
    expect(await echo('c', { echo: 7 })).toMatchObject({ outputs: { echo: '{"echo":7}' } });
    expect(await echo('d', {})).toMatchObject({ outputs: { echo: '{}' } });
  });

  test('sleep, uuid4, time.now and hash.sha256 do what their types say', async ({ stack }) => {
    const served = await stack.atomic();
    const run = async (name: string, inputs: object): Promise<Record<string, unknown>> =>
      (await execute(served, { ...asked(`jarvis.core.${name}`, inputs), node_run_id: name })).json.outputs;
    expect(await run('sleep', { seconds: 0.001 })).toEqual({ slept_seconds: 0.001 });
    expect((await run('uuid4', {}))['uuid']).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(await run('time.now', {})).toEqual({ time: NOW });
    const sha256 = createHash('sha256').update('grüße').digest('hex');
    expect(await run('hash.sha256', { text: 'grüße' })).toEqual({ sha256 });
  });

  test('holds inputs to the input schema, and says field by field what is wrong', async ({ stack }) => {
    const served = await stack.atomic();
    const { json } = await execute(served, asked('jarvis.core.sleep', { seconds: -1, more: 1 }));
    expect(json).toMatchObject({
      state: 'failed',
      error: { code: 'invalid_inputs', retryable: false },
    });
    expect(json.error.details.errors).toMatchObject([
      { type: 'extra_forbidden', loc: ['inputs', 'more'] },
      { type: 'minimum', loc: ['inputs', 'seconds'] },
    ]);
  });
});

describe('failures are answers', () => {
  test('G41 an unknown type', async ({ stack }) => {
    const { json } = await execute(await stack.atomic(), asked('no.such'));
    expect(json).toMatchObject({ state: 'failed', error: { code: 'unknown_node_type' } });
  });

  test('G41 a handler that takes too long is stopped, and its end is told once it has stopped', async ({
    stack,
  }) => {
    const held = new Held();
    const served = await stack.atomic([held.node], { timeoutMs: 20 });
    const { json } = await execute(served, asked('test.held'));
    expect(json).toMatchObject({ state: 'failed', error: { code: 'timeout', details: { timeout_ms: 20 } } });
    expect(held.calls[0]?.signal.aborted).toBe(true);
  });

  test('a handler that does not listen is not waited for for ever', async ({ stack }) => {
    const deaf = new Held('test.held', true);
    const served = await stack.atomic([deaf.node], { timeoutMs: 5, stopGraceMs: 5 });
    expect((await execute(served, asked('test.held'))).json.error.code).toBe('timeout');
    deaf.letGo();
  });

  test('G41 handler_error tells nothing of the inside; the log does', async ({ stack }) => {
    const notes: string[] = [];
    const note = (text: string): void => void notes.push(text);
    const bad = failing(() => {
      throw new Error('password is hunter2');
    });
    const { json, text } = await execute(await stack.atomic([bad], { note }), asked('test.bad'));
    expect(json).toMatchObject({ state: 'failed', error: { code: 'handler_error' } });
    expect(text).not.toContain('hunter2');
    expect(notes.join('')).toMatch(/test\.bad failed in node_run_1: Error: password is hunter2/);
  });

  test('a failure that a handler means to tell is told word by word', async ({ stack }) => {
    const told = failing((call) => {
      throw call.failure('rate_limited', 'Later.', { retryable: true, details: { after: 7 } });
    });
    const { json } = await execute(await stack.atomic([told]), asked('test.bad'));
    expect(json.error).toEqual({
      code: 'rate_limited',
      message: 'Later.',
      details: { after: 7 },
      retryable: true,
    });
    expect(() => new NodeFailure('Not A Code', '')).toThrow(TypeError);
  });

  test.for([
    ['too much', { outputs: { text: 'x'.repeat(2000) } }, 'output_too_large'],
    ['a list', { outputs: [] }, 'invalid_output'],
    ['nothing', undefined, 'invalid_output'],
    ['a BigInt', { outputs: { n: 1n } }, 'invalid_output'],
    ['a null', { outputs: null }, 'invalid_output'],
    ['something beside', { outputs: {}, more: 1 }, 'invalid_output'],
    ['artifacts that are none', { output_artifacts: [{ id: 'x' }] }, 'invalid_output'],
  ] as const)('a handler that returns %s', async ([, output, code], { stack }) => {
    const served = await stack.atomic([failing(() => output)], { outputBytesMax: 1000 });
    const { json } = await execute(served, asked('test.bad'));
    expect(json).toMatchObject({ state: 'failed', error: { code } });
  });

  test('artifacts are passed on, and no outputs are no outputs', async ({ stack }) => {
    const output_artifacts = [{ type: 'artifact', id: 'a', uri: 'http://127.0.0.1/a' }];
    const served = await stack.atomic([failing(() => ({ output_artifacts }))]);
    const { json } = await execute(served, asked('test.bad'));
    expect(json).toMatchObject({ state: 'succeeded', output_artifacts });
    expect(json.outputs).toBeUndefined();
  });
});

describe('cancel', () => {
  test('G41 stops what runs; again and afterwards it changes nothing', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    const running = execute(served, asked('test.held', {}, { node_run_id: 'a/b:cancel' }));
    await held.called();
    expect(await cancel(served, 'a/b:cancel')).toMatchObject({ status: 204, text: '' });
    const first = (await running).json;
    expect(first).toMatchObject({ state: 'canceled', error: { code: 'canceled' } });
    expect((await cancel(served, 'a/b:cancel')).status).toBe(204);
    const again = await execute(served, asked('test.held', {}, { node_run_id: 'a/b:cancel' }));
    expect(again.json).toEqual(first);
    expect(held.calls).toHaveLength(1);
  });

  test('holds when it arrives before its execute, for every attempt', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node]);
    expect((await cancel(served, 'node_run_1')).status).toBe(204);
    expect((await execute(served, asked('test.held'))).json).toMatchObject({ state: 'canceled' });
    const later = asked('test.held', {}, { extensions: { 'reeve.attempt': 2 } });
    expect((await execute(served, later)).json).toMatchObject({ state: 'canceled' });
    expect(held.calls).toEqual([]);
  });

  test('of what ended keeps its result', async ({ stack }) => {
    const served = await stack.atomic();
    const done = await execute(served, asked('jarvis.core.uuid4'));
    await cancel(served, 'node_run_1');
    expect((await execute(served, asked('jarvis.core.uuid4'))).json).toEqual(done.json);
  });

  test('takes what waits out of the queue', async ({ stack }) => {
    const held = new Held();
    const served = await stack.atomic([held.node], { concurrency: 1 });
    const first = execute(served, asked('test.held'));
    await held.called();
    const waiting = execute(served, asked('test.held', {}, { node_run_id: 'b' }));
    await cancel(served, 'b');
    expect((await waiting).json).toMatchObject({ state: 'canceled' });
    held.letGo();
    expect((await first).json.state).toBe('succeeded');
    expect(held.calls).toHaveLength(1);
  });
});

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
