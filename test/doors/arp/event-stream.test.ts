// The Event Stream on a real socket (contract arp §2, G36).
import { connect, type Socket } from 'node:net';
import { expect } from 'vitest';
import { EventLog } from '../../../src/doors/arp/event-stream/log.ts';
import { RUN_EVENT } from '../../../src/doors/arp/wire/core.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { until, type Any } from '../../cli/rig.ts';
import { test, WORLD, type Served } from './support.ts';

const event = (more: object = {}) => ({ run_id: 'r', type: 'node_evaluated', ...more });
const append = (stream: Served, ...events: object[]) => stream.send('POST', '/v1/run-events', { events });

async function read(stream: Served, path: string): Promise<Any[]> {
  const { status, text } = await stream.get(path);
  expect(status).toBe(200);
  return linesOf(text);
}

function linesOf(text: string): Any[] {
  return text.split('\n').flatMap((line): Any[] => (line === '' ? [] : [JSON.parse(line)]));
}

/** Reads a stream as it comes. */
class Follower {
  text = '';
  isOver = false;
  readonly #abort = new AbortController();
  readonly ended: Promise<void>;
  headers: Headers | undefined;

  constructor(url: string) {
    this.ended = this.#read(url).finally(() => (this.isOver = true));
    this.ended.catch(() => undefined);
  }
  async #read(url: string): Promise<void> {
    const answer = await fetch(url, { signal: this.#abort.signal });
    this.headers = answer.headers;
    const decoder = new TextDecoder();
    for await (const piece of answer.body!) this.text += decoder.decode(piece, { stream: true });
  }
  get seqs(): number[] {
    return linesOf(this.text.slice(0, this.text.lastIndexOf('\n') + 1)).map((line) => line.seq);
  }
  stop(): void {
    this.#abort.abort();
  }
}

test('G36 numbers the events of a run from 1, and gives them as NDJSON', async ({ stack }) => {
  const stream = await stack.eventStream();
  const first = await append(
    stream,
    event({ type: 'run_started', data: { a: null } }),
    event({ run_id: 's' }),
    event(),
  );
  expect([first.status, first.json]).toEqual([
    200,
    {
      items: [
        { run_id: 'r', seq: 1 },
        { run_id: 's', seq: 1 },
        { run_id: 'r', seq: 2 },
      ],
      next_seq_by_run: { r: 3, s: 2 },
    },
  ]);
  const answer = await stream.get('/v1/runs/r/events');
  expect(answer.headers['content-type']).toBe('application/x-ndjson');
  const time = new Date(WORLD.nowMs()).toISOString();
  expect(answer.text).toBe(
    `{"run_id":"r","seq":1,"type":"run_started","time":"${time}","data":{"a":null}}\n` +
      `{"run_id":"r","seq":2,"type":"node_evaluated","time":"${time}"}\n`,
  );
  for (const line of linesOf(answer.text)) expect(await fieldErrors(RUN_EVENT, line)).toEqual([]);
  const none = await stream.get('/v1/runs/unknown/events');
  expect([none.status, none.text]).toEqual([200, '']);
});

test('G36 honours given numbers and times, goes on after them, and refuses taken ones', async ({ stack }) => {
  const stream = await stack.eventStream();
  const time = '2020-01-02T03:04:05+01:00';
  expect((await append(stream, event({ seq: 5, time }), event())).json.items).toEqual([
    { run_id: 'r', seq: 5 },
    { run_id: 'r', seq: 6 },
  ]);
  expect((await append(stream, event({ seq: 0 }), event({ seq: 2 }), event())).json.next_seq_by_run).toEqual({
    r: 8,
  });
  expect((await read(stream, '/v1/runs/r/events')).map(({ seq }) => seq)).toEqual([0, 2, 5, 6, 7]);
  expect((await read(stream, '/v1/runs/r/events'))[2].time).toBe(time);
  for (const events of [
    [event({ seq: 5 })],
    [event(), event({ seq: 6 })],
    [event({ seq: 9 }), event({ seq: 9 })],
  ]) {
    const taken = await append(stream, ...events);
    expect([taken.status, taken.json.error.code]).toEqual([409, 'event_conflict']);
  }
  expect(await read(stream, '/v1/runs/r/events')).toHaveLength(5); // all or nothing
});

test('G36 refuses events that are none with 422, and stores none of them', async ({ stack }) => {
  const stream = await stack.eventStream();
  for (const events of [
    [],
    [{ type: 'x' }],
    [event({ seq: 1.5 })],
    [event({ seq: '1' })],
    [event({ seq: -1 })],
    [event(), event({ node_run_id: null })],
    [event(), event({ data: [] })],
    [event(), event({ extensions: { bare: 1 } })],
    [event(), event({ seq: Number.MAX_SAFE_INTEGER * 4 })],
  ]) {
    const { status, json } = await append(stream, ...events);
    expect([events, status, json.error?.code]).toEqual([events, 422, 'invalid_request']);
  }
  expect(await read(stream, '/v1/runs/r/events')).toEqual([]);
});

test('G36 resumes after a cursor, and gives at most so many', async ({ stack }) => {
  const stream = await stack.eventStream();
  await append(stream, ...Array.from({ length: 5 }, () => event({ node_run_id: 'n' })), event());
  const seqs = async (query: string): Promise<number[]> =>
    (await read(stream, `/v1/runs/r/events?${query}`)).map(({ seq }) => seq);
  expect(await seqs('cursor=MQ==')).toEqual([2, 3, 4, 5, 6]);
  expect(await seqs('cursor=MQ%3D%3D&limit=2')).toEqual([2, 3]);
  expect(await seqs('limit=1')).toEqual([1]);
  expect(await seqs('cursor=OTk=')).toEqual([]);
  expect(await seqs('follow=0')).toHaveLength(6);
  expect(await seqs('follow=1&limit=3')).toEqual([1, 2, 3]); // it ends with the last one
  expect((await read(stream, '/v1/node-runs/n/events?cursor=NA==')).map(({ seq }) => seq)).toEqual([5]);
  for (const query of [
    'cursor=x',
    'cursor=',
    'limit=0',
    'limit=10001',
    'follow=2',
    'follow=true',
    'follow=',
  ]) {
    const bad = await stream.get(`/v1/runs/r/events?${query}`);
    expect([query, bad.status, bad.json.error?.code]).toEqual([query, 422, 'invalid_request']);
  }
});

test('G36 a NodeRun has its own events only', async ({ stack }) => {
  const stream = await stack.eventStream();
  await append(
    stream,
    event(),
    event({ node_run_id: 'n' }),
    event({ node_run_id: 'child' }),
    event({ node_run_id: 'n' }),
  );
  expect((await read(stream, '/v1/node-runs/n/events')).map(({ seq }) => seq)).toEqual([2, 4]);
});

test('H20 H21 a follower gets events as they come, hears that it is quiet, and ends with the run', async ({
  stack,
}) => {
  const opened = stack.eventStream(20);
  const stream = await opened;
  await append(stream, event({ node_run_id: 'n' }));
  const run = new Follower(`${stream.url}/v1/runs/r/events?follow=1`);
  const node = new Follower(`${stream.url}/v1/node-runs/n/events?follow=1`);
  const early = new Follower(`${stream.url}/v1/node-runs/later/events?follow=1`);
  await until(() => early.headers !== undefined, 'the headers of a stream without events');
  await until(() => run.seqs.length === 1 && node.seqs.length === 1, 'the first event');
  await until(() => run.text.endsWith('\n\n') && early.text.startsWith('\n'), 'a heartbeat');
  await append(stream, event(), event({ node_run_id: 'n' }), event({ node_run_id: 'later' }));
  await until(
    () => run.seqs.length === 4 && node.seqs.length === 2 && early.seqs.length === 1,
    'what came later',
  );
  expect([run.isOver, node.isOver, early.isOver]).toEqual([false, false, false]);
  await append(stream, event({ type: 'run_completed' }));
  await Promise.all([run.ended, node.ended, early.ended]);
  expect(run.seqs).toEqual([1, 2, 3, 4, 5]);
  expect(node.seqs).toEqual([1, 3]);
  const late = new Follower(`${stream.url}/v1/runs/r/events?follow=1&cursor=NQ==`);
  await late.ended; // the run is over: there is nothing to wait for
  expect(late.text).toBe('');
});

test('H21 followers are woken: they do not wait for their next look', async ({ stack }) => {
  const stream = await stack.eventStream(600_000);
  const run = new Follower(`${stream.url}/v1/runs/r/events?follow=1`);
  const early = new Follower(`${stream.url}/v1/node-runs/n/events?follow=1`);
  await until(() => run.headers !== undefined && early.headers !== undefined, 'both streams');
  await append(stream, event({ node_run_id: 'n' }));
  await until(() => run.seqs.length === 1 && early.seqs.length === 1, 'the event');
  await append(stream, event({ type: 'run_completed' }));
  await Promise.all([run.ended, early.ended]);
});

test('H23 writers at the same time get numbers of their own, without gaps', async ({ stack }) => {
  const stream = await stack.eventStream();
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) => append(stream, event({ data: { at } }), event({ data: { at } }))),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  const given = answers.flatMap(({ json }) => json.items.map(({ seq }: { seq: number }) => seq));
  expect(given.toSorted((a: number, b: number) => a - b)).toEqual(
    Array.from({ length: 80 }, (_, at) => at + 1),
  );
});

test('H22 numbers go on where they were, whatever retention removed', ({ stack }) => {
  const file = stack.path('events.sqlite');
  const first = new EventLog(file);
  first.append([event(), event(), event()], 1000);
  expect(first.removeBefore(2000)).toBe(3);
  expect(first.feed({ kind: 'run', id: 'r' }).page(-1, 10)).toMatchObject({ entries: [] });
  first.close();
  const second = stack.opened(new EventLog(file));
  expect(second.append([event()], 3000).items).toEqual([{ run_id: 'r', seq: 4 }]);
  expect(() => second.append([event({ seq: 2 })], 3000)).toThrow(/2 of run r is there already/);
  expect(second.removeBefore(2000)).toBe(0);
});

test('one process has the file: nobody else can append past the followers', ({ stack }) => {
  const file = stack.path('events.sqlite');
  const first = stack.opened(new EventLog(file));
  first.append([event()], 1);
  expect(() => new EventLog(file)).toThrow(expect.objectContaining({ code: 'E_STORE_BUSY' }));
}, 20_000);

/** Asks for a stream and then reads nothing: what the service holds for it can only grow. */
function deafReader(stream: Served, path: string): Promise<Socket> {
  const [host = '', port = ''] = stream.address.split(':');
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(port),
      onread: { buffer: Buffer.alloc(1), callback: () => false },
    });
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${stream.address}\r\n\r\n`, () => resolve(socket));
  });
}

test('H20 a hundred followers that do not read cost little memory and delay nobody', async ({ stack }) => {
  const opened = stack.eventStream(600_000);
  const stream = await opened;
  const { log } = opened;
  const filler = 'x'.repeat(10_000);
  const sockets = await Promise.all(
    Array.from({ length: 100 }, () => deafReader(stream, '/v1/runs/r/events?follow=1')),
  );
  const answer = await fetch(`${stream.url}/v1/runs/r/events?follow=1`);
  let received = 0;
  const reading = (async () => {
    for await (const piece of answer.body!) received += piece.length;
  })();
  const before = memory();
  for (let batch = 1; batch <= 15; batch += 1) {
    log.append(
      Array.from({ length: 100 }, () => event({ data: { filler } })),
      WORLD.nowMs(),
    );
    await until(() => received > batch * 100 * filler.length, `batch ${batch}`); // 15 MB in the end
  }
  // 100 × 15 MB would be 1.5 GB; a page and the buffers of a socket are some 100 kB for each.
  expect(memory() - before).toBeLessThan(300 * 1_048_576);
  log.append([event({ type: 'run_completed' })], WORLD.nowMs());
  await reading;
  for (const socket of sockets) socket.destroy();
});

/** Bytes that this process holds in objects and buffers. */
function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
