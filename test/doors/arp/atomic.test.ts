// The Atomic Executor on a real socket: nodes, failures, cancel (contract arp §2, §7.4, G41).
import { createHash } from 'node:crypto';
import { describe, expect } from 'vitest';
import { NodeFailure } from '../../../src/doors/arp/atomic/node.ts';
import { asked, cancel, execute, failing, Held, NOW } from './executions.ts';
import { test } from './support.ts';

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
