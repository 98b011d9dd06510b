/**
 * A coordinator with its executors in a process of its own, which a test kills. `fill` starts runs whose atomic nodes hang
 * and says when as many run as it lets; `finish` works until every run is over. Each start of a handler is a line in a
 * file that outlives the process.
 */
import { appendFileSync, writeSync } from 'node:fs';
import { Coordinator } from '../../../src/doors/arp/coordinator/coordinator.ts';
import { Dispatcher } from '../../../src/doors/arp/coordinator/dispatch/dispatcher.ts';
import { inProcessCallbacks } from '../../../src/doors/arp/coordinator/in-process.ts';
import type { AtomicExecution, CompositeExecution } from '../../../src/doors/arp/ports.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { systemChance, systemClock } from '../../../src/engine/system.ts';
import { openStore } from '../../../src/store/open-store.ts';

export interface Task {
  readonly root: string;
  readonly ledger: string;
  readonly mode: 'fill' | 'finish';
  readonly runs: number;
  readonly running: number;
}

const task: Task = JSON.parse(process.argv[2] ?? '{}');
const say = (line: string): void => void writeSync(1, `${line}\n`);

const store = await openStore(task.root);
const engine = new Engine({
  store: store.runs,
  blobs: store.blobs,
  clock: systemClock,
  chance: systemChance,
});
const policy = { allowsWithout: () => true };
const nodeTypes = {
  get: async (id: string, version = '1'): Promise<NodeType> => ({
    node_type_id: id,
    version,
    kind: id.startsWith('composite.') ? 'composite' : 'atomic',
    extensions: { 'jarvis.side_effect': id.endsWith('.write') ? 'write' : 'read' },
  }),
};
const coordinator = new Coordinator({ engine, policy, nodeTypes, autoDispatch: true });

let started = 0;
const atomic: AtomicExecution = {
  async execute({ node_run_id }) {
    appendFileSync(task.ledger, `${node_run_id}\n`);
    started += 1;
    if (task.mode === 'fill') {
      if (started === task.running) say('full');
      await new Promise(() => undefined);
    }
    return { node_run_id, state: 'succeeded', outputs: {} };
  },
  cancel: async () => undefined,
};

const callbacks = inProcessCallbacks(coordinator);
/** Creates three children and completes when they are over; begun again it finds them. */
const composite: CompositeExecution = {
  async begin({ node_run_id: id, run_id }) {
    void (async () => {
      const nodeRuns = await callbacks.create({
        run_id,
        parent_node_run_id: id,
        node_runs: ['a', 'b', 'c'].map((key) => ({
          node_type_ref: { node_type_id: key === 'c' ? 'x.write' : 'x.read', version: '1' },
          inputs: {},
          idempotency_key: `${id}:${key}`,
        })),
      });
      const isOver = async (node: string): Promise<boolean> =>
        !['queued', 'running'].includes((await callbacks.nodeRun(node)).state);
      for (;;) {
        const over = await Promise.all(nodeRuns.map(({ node_run_id }) => isOver(node_run_id)));
        if (!over.includes(false)) break;
        await systemClock.sleep(50);
      }
      await callbacks.complete(id, { state: 'succeeded' });
    })().catch((error: unknown) => say(`composite: ${String(error)}`));
    return { accepted: true };
  },
  cancel: async () => undefined,
};

const dispatcher = new Dispatcher({
  engine,
  views: coordinator.views,
  policy,
  atomic: { endpoint: 'in:process', execution: atomic },
  composite: { endpoint: 'in:process', execution: composite },
  publicUrl: 'in:process',
  assignmentToken: () => 'none',
  concurrency: task.running,
  leaseMs: 1000,
  note: say,
});
dispatcher.start();

if (task.mode === 'fill') {
  const caller = {
    via: 'disabled',
    subject: undefined,
    claims: {},
    tenant: undefined,
    token: undefined,
  } as const;
  const types = ['x.read', 'x.write', 'composite.three'];
  // One after the other, so that those of all types stand first in the queue.
  for (let at = 0; at < task.runs; at += 1) {
    const ref = { node_type_id: types[at % 3] ?? '', version: '1' };
    await coordinator.start({ root_node_type_ref: ref, input: {}, run_id: `run-${at}` }, caller);
  }
  say('created');
} else {
  for (;;) {
    const { runs } = await engine.store.list({ limit: 1, phases: ['queued', 'running', 'held'] });
    if (runs.length === 0) break;
    await systemClock.sleep(50);
  }
  await dispatcher.stop();
  await store.close();
  say('over');
}
