// The Agent Runtime Protocol in one process: starts, children, atomic runs from the request to their last event, and how
// soon a stream tells. Calls of the coordinator, and the same over HTTP. `node bench/arp.ts --write` puts the figures into
// docs/benchmarks.md.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { builtinNodes } from '../src/doors/arp/atomic/core-nodes.ts';
import { AtomicExecutor } from '../src/doors/arp/atomic/executor.ts';
import { allowedHosts } from '../src/doors/arp/atomic/web/allowed-hosts.ts';
import { FETCH_DEFAULTS } from '../src/doors/arp/atomic/web/fetch-node.ts';
import { OURSELVES } from '../src/doors/arp/coordinator/access.ts';
import { Coordinator } from '../src/doors/arp/coordinator/coordinator.ts';
import { Dispatcher } from '../src/doors/arp/coordinator/dispatch/dispatcher.ts';
import { coordinatorService } from '../src/doors/arp/coordinator/routes.ts';
import { builtinTypes, STACK_VERSION } from '../src/doors/arp/registry/builtin-types.ts';
import { Engine } from '../src/engine/engine.ts';
import { systemChance, systemClock } from '../src/engine/system.ts';
import { startServer } from '../src/server/server.ts';
import { openStore } from '../src/store/open-store.ts';
import { busyNote, machine, quantile, showSpread, spread } from './measure.ts';
import { publish } from './page.ts';

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const SECONDS = Number(flags.seconds);
const VERSION = STACK_VERSION;
const ECHO = { node_type_id: 'jarvis.core.echo', version: VERSION };
const PLANNER = { node_type_id: 'jarvis.composite.planner.general', version: VERSION };
const types = new Map(builtinTypes(VERSION).map((type) => [type.node_type_id, type]));
const nodeTypes = {
  async get(id: string) {
    const found = types.get(id);
    if (found === undefined) throw new TypeError(id);
    return found;
  },
};
const policy = { allowsWithout: () => true };

interface Bench {
  readonly coordinator: Coordinator;
  readonly url: string;
  close(): Promise<void>;
}

async function open(autoDispatch: boolean): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-bench-'));
  const store = await openStore(join(dir, 'store'));
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  const coordinator = new Coordinator({ engine, policy, nodeTypes, autoDispatch });
  const world = { version: 'bench', nowMs: () => Date.now() };
  const nodes = builtinNodes(VERSION, {
    ...world,
    fetchRules: { ...FETCH_DEFAULTS, hosts: allowedHosts([]) },
  });
  const execution = new AtomicExecutor({
    ...world,
    nodes: new Map(nodes.map((node) => [node.nodeType.node_type_id, node])),
    note: () => undefined,
  });
  const dispatcher = autoDispatch
    ? new Dispatcher({
        engine,
        views: coordinator.views,
        policy,
        atomic: { endpoint: 'in:process', execution },
        assignmentToken: () => 'none',
      })
    : undefined;
  dispatcher?.start();
  const group = coordinatorService(coordinator, { ...world, checks: async () => [] });
  const server = await startServer({
    groups: [group],
    failures: group.failures,
    title: 'bench',
    version: 'bench',
    listen: { host: '127.0.0.1', port: 0 },
    tokens: [],
    names: [],
    bodyBytesMax: 1_048_576,
    isReady: async () => true,
    note: () => undefined,
  });
  return {
    coordinator,
    url: `http://${server.address}`,
    async close() {
      await server.stop(0);
      await dispatcher?.stop();
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

interface Rate {
  readonly perSecond: number;
  /** Of each act, milliseconds, in order. */
  readonly ms: readonly number[];
}

/** So many at once, each again and again, for the time that is measured; the first tenth of it is not. */
async function rate(clients: number, act: () => Promise<unknown>): Promise<Rate> {
  const ms: number[] = [];
  const from = performance.now() + SECONDS * 100;
  const until = from + SECONDS * 1000;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < until) {
        const at = performance.now();
        await act();
        if (at >= from) ms.push(performance.now() - at);
      }
    }),
  );
  const seconds = (performance.now() - from) / 1000;
  return { perSecond: ms.length / seconds, ms: ms.toSorted((a, b) => a - b) };
}

const start = { root_node_type_ref: ECHO, input: { echo: 'hello' } };

const starts = (bench: Bench) => () => bench.coordinator.start(start, OURSELVES);

/** From the request to the end of the run. */
function runs({ coordinator }: Bench) {
  return async () => {
    const { root_node_run_id: root } = await coordinator.start(start, OURSELVES);
    await coordinator.waitTerminal(root, OURSELVES, new AbortController().signal);
  };
}

/** The same as a client has it: start, and read its events until they end. */
function runsOverHttp({ url }: Bench) {
  return async () => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/v1/runs`, { method: 'POST', headers, body: JSON.stringify(start) });
    const { run_id } = (await answer.json()) as { run_id: string };
    const events = await fetch(`${url}/v1/runs/${run_id}/events?follow=1`);
    const text = await events.text();
    if (!text.includes('run_completed')) throw new Error(`a run ended without its end: ${text}`);
  };
}

async function children(bench: Bench): Promise<Rate> {
  const root = { root_node_type_ref: PLANNER, input: { goal: 'bench' } };
  const parents: { run_id: string; parent_node_run_id: string }[] = [];
  for (let at = 0; at < 8; at += 1) {
    const run = await bench.coordinator.start(root, OURSELVES);
    parents.push({ run_id: run.run_id, parent_node_run_id: run.root_node_run_id });
  }
  let next = 0;
  const node_runs = Array.from({ length: 10 }, () => ({ node_type_ref: ECHO, inputs: { echo: 'x' } }));
  return rate(8, async () => {
    const parent = parents[(next += 1) % parents.length];
    if (parent !== undefined) await bench.coordinator.create({ ...parent, node_runs }, OURSELVES);
  });
}

/** How long after it was acknowledged an event is in the hands of whoever follows the stream. */
async function deliveries(bench: Bench): Promise<readonly number[]> {
  const run = await bench.coordinator.start({ root_node_type_ref: PLANNER, input: { goal: 'x' } }, OURSELVES);
  const answer = await fetch(`${bench.url}/v1/runs/${run.run_id}/events?follow=1`);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const ms: number[] = [];
  let said = '';
  const decoder = new TextDecoder();
  for (let at = 0; at < 200; at += 1) {
    const mark = `mark-${at}.`;
    await bench.coordinator.evaluate(
      run.root_node_run_id,
      { evaluation_result: { status: 'unknown', message: mark } },
      OURSELVES,
    );
    const from = performance.now();
    while (!said.includes(mark)) {
      const { value, done } = await reader.read();
      if (done) throw new Error('the stream ended');
      said += decoder.decode(value, { stream: true });
    }
    ms.push(performance.now() - from);
    said = '';
  }
  await reader.cancel();
  return ms.toSorted((a, b) => a - b);
}

const rows = new Map<string, { values: number[]; unit: string; aim: string }>();
function note(what: string, value: number, unit: string, aim = '–'): void {
  const row = rows.get(what) ?? { values: [], unit, aim };
  row.values.push(value);
  rows.set(what, row);
}

for (let repetition = 0; repetition < Number(flags.repetitions); repetition += 1) {
  const idle = await open(false);
  note('runs started, 32 clients', (await rate(32, starts(idle))).perSecond, '/s', '≥ 2,000');
  note('children created, 10 at a time, 8 clients', (await children(idle)).perSecond * 10, '/s');
  const delivered = await deliveries(idle);
  note('an event reaches who follows the stream, p50', quantile(delivered, 0.5), 'ms');
  note('an event reaches who follows the stream, p99', quantile(delivered, 0.99), 'ms');
  await idle.close();
  for (const clients of [1, 32]) {
    const busy = await open(true);
    const { perSecond, ms } = await rate(clients, runs(busy));
    note(`atomic runs to their end, ${clients} clients`, perSecond, '/s', clients === 32 ? '≥ 1,500' : '–');
    note(`atomic run to its end, ${clients} clients, p50`, quantile(ms, 0.5), 'ms');
    note(`atomic run to its end, ${clients} clients, p99`, quantile(ms, 0.99), 'ms');
    await busy.close();
  }
  const over = await open(true);
  const http = await rate(32, runsOverHttp(over));
  note('the same over HTTP, 32 clients, client in the same process', http.perSecond, '/s');
  await over.close();
}

const table = [
  '| what | median (least–most) | aim |',
  '| --- | --- | --- |',
  ...[...rows].map(([what, { values, unit, aim }]) => {
    const digits = unit === 'ms' ? 2 : 0;
    return `| ${what} | ${showSpread(spread(values), digits)} ${unit} | ${aim} |`;
  }),
].join('\n');
const text = `${machine()}. ${flags.repetitions} repetitions of ${SECONDS} s each.\n${busyNote()}\n${table}\n`;
publish('arp', text, flags.write);
