// Streams of events of the coordinator, over real sockets.
import { describe, expect } from 'vitest';
import { OURSELVES } from '../../../src/doors/arp/coordinator/access.ts';
import { cursorText } from '../../../src/doors/arp/wire/cursor.ts';
import { eventsIn, openCoordinator, PLANNER, type Opened } from './coordinator-rig.ts';
import { test } from './support.ts';

async function tree(
  c: Opened,
): Promise<{ runId: string; rootId: string; inner: string; leaf: string; side: string }> {
  const { runId, rootId } = await c.composite();
  const made = await c.create(runId, rootId, { node_type_ref: PLANNER }, {});
  const [inner, side] = made.json.node_runs.map(({ node_run_id: id }: { node_run_id: string }) => id);
  const leaf = (await c.create(runId, inner, {})).json.node_runs[0].node_run_id;
  return { runId, rootId, inner, leaf, side };
}

/** Reads a stream piece by piece. */
async function open(url: string, headers: Record<string, string> = {}) {
  const over = new AbortController();
  const answer = await fetch(url, { headers, signal: over.signal });
  const reader = (answer.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    answer,
    async until(fits: (text: string) => boolean): Promise<string> {
      while (!fits(text)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`the stream ended with ${text}`);
        text += value;
      }
      return text;
    },
    async rest(): Promise<string> {
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
      return text;
    },
    close: () => over.abort(),
  };
}

describe('reading', () => {
  test('G28 all of a run as NDJSON; of a NodeRun its own and those below, with the same numbers', async ({
    stack,
  }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId, inner, leaf } = await tree(c);
    await c.complete(leaf, { state: 'succeeded' });
    await c.complete(rootId, { state: 'succeeded' });
    const answer = await c.get(`/v1/runs/${runId}/events`);
    expect(answer.headers['content-type']).toBe('application/x-ndjson');
    expect(answer.text.endsWith('}\n')).toBe(true);
    const all = eventsIn(answer.text);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1));
    const below = await c.events(`/v1/node-runs/${inner}/events`);
    expect(below).toEqual(all.filter(({ node_run_id: id }) => id === inner || id === leaf));
    expect(below.map(({ type }) => type)).toEqual([
      'node_run_assigned',
      'composite_decomposed',
      'node_run_assigned',
      'atomic_executed',
    ]);
    const ofRoot = await c.events(`/v1/node-runs/${rootId}/events`);
    expect(ofRoot).toEqual(all.slice(1)); // run_started has no NodeRun
  });

  test('G29 cursor and limit cut anywhere, without gap or repeat, also in the middle of one request', async ({
    stack,
  }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId, inner } = await tree(c);
    await c.create(
      runId,
      inner,
      ...Array.from({ length: 300 }, (_, n) => ({ inputs: { n, pad: 'x'.repeat(300) } })),
    );
    const all = await c.events(`/v1/runs/${runId}/events`);
    expect(all).toHaveLength(309);
    for (const limit of [1, 7, 100, 10_000]) {
      const read = [];
      for (let at = ''; ; ) {
        const page = await c.events(`/v1/runs/${runId}/events?limit=${limit}${at}`);
        if (page.length === 0) break;
        expect(page.length).toBeLessThanOrEqual(limit);
        read.push(...page);
        at = `&cursor=${cursorText(read.at(-1)?.seq ?? 0)}`;
        if (limit === 1 && read.length > 20) break;
      }
      expect(read).toEqual(limit === 1 ? all.slice(0, 21) : all);
    }
    const below = await c.events(`/v1/node-runs/${inner}/events`);
    expect(
      await c.events(`/v1/node-runs/${inner}/events?cursor=${cursorText(below[4]?.seq ?? 0)}&limit=3`),
    ).toEqual(below.slice(5, 8));
    expect(await c.events(`/v1/node-runs/${rootId}/events?cursor=${cursorText(1000)}`)).toEqual([]);
  });

  test('what is no cursor, limit or follow is 422', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    for (const path of [`/v1/runs/${runId}/events`, `/v1/node-runs/${rootId}/events`])
      for (const query of [
        'cursor=%21',
        'cursor=YQ%3D%3D',
        'limit=0',
        'limit=10001',
        'limit=x',
        'follow=2',
        'follow=yes',
      ]) {
        const answer = await c.get(`${path}?${query}`);
        expect([query, answer.status, answer.json.error.code]).toEqual([query, 422, 'invalid_request']);
      }
  });

  test('events are made anew after a restart, the same ones', async ({ stack }) => {
    const store = await stack.store('store');
    const c = await openCoordinator(stack, { store });
    const { runId, rootId, leaf } = await tree(c);
    await c.complete(leaf, { state: 'failed', error: { code: 'x', message: 'y' } });
    await c.complete(rootId, { state: 'canceled' });
    await c.send('POST', `/v1/node-runs/${leaf}:evaluation`, { evaluation_result: { status: 'fail' } });
    const again = await openCoordinator(stack, { store });
    expect((await again.get(`/v1/runs/${runId}/events`)).text).toBe(
      (await c.get(`/v1/runs/${runId}/events`)).text,
    );
    for (const path of [`/v1/runs/${runId}`, `/v1/node-runs/${leaf}`, `/v1/node-runs/${rootId}`])
      expect((await again.get(path)).json).toEqual((await c.get(path)).json);
  });

  test('two coordinators of one store see what the other does', async ({ stack }) => {
    const store = await stack.store('store');
    const [a, b] = [await openCoordinator(stack, { store }), await openCoordinator(stack, { store })];
    const { runId, rootId } = await a.composite({
      constraints: { structural: { max_children_per_composite: 3 } },
    });
    expect((await b.create(runId, rootId, {})).status).toBe(200);
    expect((await a.create(runId, rootId, {}, {})).status).toBe(200);
    expect((await b.create(runId, rootId, {})).status).toBe(409);
    await b.complete(rootId, { state: 'succeeded' });
    expect((await a.get(`/v1/runs/${runId}`)).json.state).toBe('succeeded');
    expect((await a.get(`/v1/runs/${runId}/events`)).text).toBe(
      (await b.get(`/v1/runs/${runId}/events`)).text,
    );
  });
});

describe('following', () => {
  test('G29 H20 later events arrive as they happen, and the stream ends with its run', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const all = await open(`${c.url}/v1/runs/${runId}/events?follow=1`);
    const late = await open(`${c.url}/v1/runs/${runId}/events?follow=1&cursor=${cursorText(3)}`);
    await all.until((text) => eventsIn(text).length === 3);
    const { json } = await c.create(runId, rootId, {});
    const [{ node_run_id: child }] = json.node_runs;
    const ofChild = await open(`${c.url}/v1/node-runs/${child}/events?follow=1`);
    await all.until((text) => text.includes(child));
    await c.complete(child, { state: 'succeeded' });
    await c.complete(rootId, { state: 'succeeded' });
    const expected = await c.events(`/v1/runs/${runId}/events`);
    expect(eventsIn(await all.rest())).toEqual(expected);
    expect(eventsIn(await late.rest())).toEqual(expected.slice(3));
    expect(eventsIn(await ofChild.rest()).map(({ type }) => type)).toEqual([
      'node_run_assigned',
      'atomic_executed',
    ]);
    const again = await open(`${c.url}/v1/runs/${runId}/events?follow=1&limit=2`);
    expect(eventsIn(await again.rest())).toEqual(expected.slice(0, 2));
  });

  test('H21 a quiet stream has a heartbeat that readers pass by', async ({ stack }) => {
    const c = await openCoordinator(stack, { heartbeatMs: 20 });
    const { runId, rootId } = await c.composite();
    const stream = await open(`${c.url}/v1/runs/${runId}/events?follow=1`);
    await stream.until((text) => text.endsWith('\n\n\n'));
    const sent = await open(`${c.url}/v1/runs/${runId}/events?follow=1`, { accept: 'text/event-stream' });
    await sent.until((text) => text.includes('\n: \n\n'));
    await c.complete(rootId, { state: 'succeeded' });
    expect(eventsIn(await stream.rest())).toHaveLength(4);
    expect(await sent.rest()).toContain('"run_completed"');
  });

  test('server-sent events carry cursors, and go on after the last one that a browser has', async ({
    stack,
  }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    await c.complete(rootId, { state: 'succeeded' });
    const url = `${c.url}/v1/runs/${runId}/events?follow=1`;
    const accept = 'text/event-stream';
    const stream = await open(url, { accept });
    expect(stream.answer.headers.get('content-type')).toBe(accept);
    const all = await stream.rest();
    const [first, ...others] = all.split('\n\n');
    expect(first).toMatch(/^id: MQ==\ndata: \{"run_id":.*"type":"run_started".*\}$/);
    const again = await open(url, { accept, 'last-event-id': 'MQ==' });
    expect(await again.rest()).toBe(others.join('\n\n'));
  });

  test('a reader holds one page at a time, however much there is', async ({ stack }) => {
    const c = await openCoordinator(stack);
    const { runId, rootId } = await c.composite();
    const message = 'x'.repeat(20_000);
    const report = { evaluation_result: { status: 'unknown', message } };
    const reports = Array.from({ length: 20 }, () =>
      c.send('POST', `/v1/node-runs/${rootId}:evaluation`, report),
    );
    await Promise.all(reports);
    const feed = await c.coordinator.runFeed(runId, OURSELVES);
    for (let [after, isMore] = [0, true]; isMore; ) {
      const { entries, last, next } = await feed.page(after, Number.POSITIVE_INFINITY);
      expect(entries.map(({ text }) => text).join('').length).toBeLessThan(65_536 + 21_000);
      expect(last).toBe(after + entries.length);
      [after, isMore] = [last, next === 'more'];
      if (!isMore) expect([after, next]).toEqual([23, 'tail']);
    }
    feed.close();
  });
});
