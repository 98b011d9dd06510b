// A coordinator with a mirror, before the real Run Store and Event Stream, behind proxies that fail as they are told.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { eventStreamClient } from '../../../src/doors/arp/clients/event-stream-client.ts';
import { runStoreClient } from '../../../src/doors/arp/clients/run-store-client.ts';
import { Mirror, type MirrorParts } from '../../../src/doors/arp/coordinator/mirror/mirror.ts';
import { Positions } from '../../../src/doors/arp/coordinator/mirror/positions.ts';
import { until } from './assembly.ts';
import { eventsIn, openCoordinator, type CoordinatorChoices, type Opened } from './coordinator-rig.ts';
import type { Served, Stack } from './support.ts';

/**
 * `pass`; `drop`: it never arrives; `lose`: it arrives, and the answer is lost; `hold`: nothing happens; or an answer
 * instead of the service's.
 */
export type Fate =
  | 'pass'
  | 'drop'
  | 'lose'
  | 'hold'
  | { readonly status: number; readonly text: string }
  | { rewrite(text: string): string };

export interface Proxy {
  readonly url: string;
  /** Method and path of each request. */
  readonly asked: string[];
  fate: (asked: string) => Fate;
}

async function proxyTo(stack: Stack, target: Served): Promise<Proxy> {
  const server = createServer((incoming, answer) => {
    const asked = `${incoming.method} ${incoming.url}`;
    proxy.asked.push(asked);
    const fate = proxy.fate(asked);
    if (fate === 'drop') return void incoming.socket.destroy();
    if (fate === 'hold') return;
    if (typeof fate === 'object' && 'status' in fate) {
      incoming.resume();
      return void answer.writeHead(fate.status, { 'content-type': 'application/json' }).end(fate.text);
    }
    const { method, headers } = incoming;
    const onward = request(`${target.url}${incoming.url}`, { method, headers, agent: false }, (got) => {
      if (fate === 'lose') {
        got.resume().on('end', () => incoming.socket.destroy());
        return;
      }
      const pieces: Buffer[] = [];
      got.on('data', (piece: Buffer) => pieces.push(piece));
      got.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        const { 'content-type': type = 'application/json' } = got.headers;
        answer.writeHead(got.statusCode ?? 500, { 'content-type': type });
        answer.end(typeof fate === 'object' ? fate.rewrite(text) : text);
      });
    });
    onward.on('error', () => incoming.socket.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: Proxy = { url: `http://127.0.0.1:${port}`, asked: [], fate: () => 'pass' };
  stack.atEnd(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return proxy;
}

export interface OneMirror {
  readonly mirror: Mirror;
  readonly positions: Positions;
  readonly notes: string[];
  /** As if the process ended: what is under way is left. */
  stop(): Promise<void>;
}

export interface Others {
  readonly runStore: Served;
  readonly eventStream: Served;
  readonly toRunStore: Proxy;
  readonly toEventStream: Proxy;
}

export async function others(stack: Stack): Promise<Others> {
  const runStore = await stack.runStore();
  const eventStream = await stack.eventStream();
  return {
    runStore,
    eventStream,
    toRunStore: await proxyTo(stack, runStore),
    toEventStream: await proxyTo(stack, eventStream),
  };
}

export function openMirror(
  stack: Stack,
  { engine, coordinator }: Pick<Opened, 'engine' | 'coordinator'>,
  { toRunStore, toEventStream }: Pick<Others, 'toRunStore' | 'toEventStream'>,
  file = stack.path('arp-mirror.sqlite'),
  more: Partial<MirrorParts> = {},
): OneMirror {
  const notes: string[] = [];
  const positions = new Positions(file);
  const mirror = new Mirror({
    engine,
    views: coordinator.views,
    positions,
    runStore: runStoreClient({ baseUrl: toRunStore.url }),
    eventStream: eventStreamClient({ baseUrl: toEventStream.url }),
    note: (text) => void notes.push(text),
    pausesMs: { first: 5, cap: 20 },
    ...more,
  });
  mirror.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= mirror.stop().then(() => positions.close()));
  stack.atEnd(stop);
  return { mirror, positions, notes, stop };
}

export interface Mirrored extends Opened, Others, OneMirror {
  upToDate(): Promise<void>;
  /** What the others have of a run is what the coordinator says. */
  expectSame(runId: string): Promise<void>;
}

export async function openMirrored(stack: Stack, choices: CoordinatorChoices = {}): Promise<Mirrored> {
  const opened = await openCoordinator(stack, choices);
  const services = await others(stack);
  const one = openMirror(stack, opened, services);
  return {
    ...opened,
    ...services,
    ...one,
    upToDate: () => upToDate(opened, one),
    expectSame: (runId) => expectSame(opened, services, runId),
  };
}

export async function upToDate({ engine }: Pick<Opened, 'engine'>, { positions }: OneMirror): Promise<void> {
  await until(async () => {
    const { runs, next } = await engine.store.list({ limit: 500 });
    if (next !== undefined) throw new Error('a test has more runs than are looked at');
    const isThere = runs
      .filter(({ queue }) => queue.startsWith('arp'))
      .every((head) =>
        (['run_store', 'event_stream'] as const).every(
          (target) => positions.get(target, head).version === head.version,
        ),
      );
    return isThere || undefined;
  });
}

export async function expectSame(
  opened: Pick<Opened, 'get' | 'coordinator'>,
  { runStore, eventStream }: Pick<Others, 'runStore' | 'eventStream'>,
  runId: string,
): Promise<void> {
  const path = `/v1/runs/${encodeURIComponent(runId)}`;
  const ours = eventsIn((await opened.get(`${path}/events`)).text);
  const theirs = eventsIn((await eventStream.get(`${path}/events`)).text);
  expect(theirs).toEqual(ours);
  expect(theirs.map(({ seq }) => seq)).toEqual(ours.map((_, at) => at + 1));
  expect((await runStore.get(path)).json).toEqual({ run: (await opened.get(path)).json });
  const { items } = (await runStore.get(`${path}/node-runs?limit=500`)).json;
  const view = await opened.coordinator.views.get(runId);
  const ids = [...(view?.nodes.keys() ?? [])];
  expect(items.map(({ node_run_id: id }: { node_run_id: string }) => id)).toEqual(ids);
  for (const item of items)
    expect(item).toEqual((await opened.get(`/v1/node-runs/${item.node_run_id}`)).json);
}
