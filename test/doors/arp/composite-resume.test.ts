// Composite NodeRuns across restarts, time limits, cancels and coordinators that are away (contract arp §8 H29).
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Turns } from '../../../src/doors/arp/turns.ts';
import { compositeSettings } from '../../../src/doors/arp/composite/settings.ts';
import type { Strategy } from '../../../src/doors/arp/composite/strategy.ts';
import { deterministicStrategy } from '../../../src/doors/arp/composite/strategy.ts';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import { begin, LIMITS, MemoryCoordinator, Scene, works, type Runs } from './composite-support.ts';

const never: Runs = () => undefined;
const STEPS = { goal: 'x', steps: ['echo a', 'echo b', 'echo c'] };
const away = (): ArpError => new ArpError(502, 'run_coordinator_unavailable', 'away', { retryable: true });
const succeed = (echo: string) => ({ state: 'succeeded', outputs: { echo } }) as const;

/** A coordinator whose second child waits for the test. */
function waiting(options = {}): MemoryCoordinator {
  let count = 0;
  return new MemoryCoordinator((node) => {
    count += 1;
    return count === 2 ? undefined : works(node);
  }, options);
}

describe.each([{ wakes: false }, { wakes: true }])('with a coordinator %j', (options) => {
  test('H29 a begin after a restart goes on: no child is made twice, and none is asked for again', async () => {
    const coordinator = waiting(options);
    const before = new Scene(coordinator);
    await before.executor.begin(begin(STEPS));
    const second = await coordinator.until(() => coordinator.children[1]);
    await before.executor.stop();
    expect([coordinator.completions.length, coordinator.evaluations.length, before.notes]).toEqual([
      1,
      0,
      [],
    ]);
    await coordinator.complete(second.node_run_id, succeed('b'));
    const after = new Scene(coordinator);
    await after.drive(STEPS);
    expect(coordinator.specs.map((spec) => spec.idempotency_key)).toEqual(['root:S1', 'root:S2', 'root:S3']);
    expect(after.selection.requests.map((request) => request.subtask_spec.subtask_id)).toEqual(['S3']);
    expect(coordinator.end).toMatchObject({
      state: 'succeeded',
      outputs: {
        child_node_runs: [
          { outputs: { echo: 'echo a' } },
          { outputs: { echo: 'b' } },
          { outputs: { echo: 'echo c' } },
        ],
      },
    });
  });

  test('H29 a second begin of what is in progress is accepted without a second run', async () => {
    const coordinator = waiting(options);
    const scene = new Scene(coordinator);
    expect(await scene.executor.begin(begin(STEPS))).toEqual({ accepted: true });
    expect(await scene.executor.begin(begin(STEPS))).toMatchObject({ accepted: true });
    const second = await coordinator.until(() => coordinator.children[1]);
    expect(await scene.executor.begin(begin(STEPS))).toMatchObject({ accepted: true });
    await coordinator.complete(second.node_run_id, succeed('b'));
    await scene.executor.settled();
    expect([coordinator.specs.length, coordinator.evaluations.length]).toEqual([3, 1]);
    expect(await scene.executor.begin(begin(STEPS))).toEqual({ accepted: true }); // nothing is in progress now
    await scene.executor.settled();
    expect(coordinator.evaluations).toHaveLength(1);
  });

  test('H29 a child that takes too long is canceled, and the composite fails with composite_child_timeout', async () => {
    const settings = compositeSettings({ ...LIMITS, JARVIS_COMPOSITE_POLL_TIMEOUT_SEC: '20' });
    const scene = new Scene(new MemoryCoordinator(never, options), { settings });
    const startedMs = scene.clock.now;
    const coordinator = await scene.drive(STEPS);
    expect(scene.clock.now - startedMs).toBe(20_000);
    expect(coordinator.children.map(({ state }) => state)).toEqual(['canceled']);
    expect(coordinator.end).toMatchObject({
      state: 'failed',
      error: { code: 'composite_child_timeout', details: { timeout_seconds: 20 } },
    });
  });

  test('H29 a cancel ends child and composite canceled, and is forgotten after that', async () => {
    const coordinator = waiting(options);
    const scene = new Scene(coordinator);
    await scene.executor.begin(begin(STEPS));
    await coordinator.until(() => coordinator.children[1]);
    await scene.executor.cancel('root');
    await scene.executor.settled();
    expect(coordinator.children.map(({ state }) => state)).toEqual(['succeeded', 'canceled']);
    expect(coordinator.end).toMatchObject({ state: 'canceled', error: { code: 'canceled' } });
    expect(coordinator.evaluations).toEqual([]);
    await scene.executor.cancel('root');
    await scene.executor.cancel('unknown');
    const again = new MemoryCoordinator(works, options);
    const other = new Scene(again, { coordinator: () => again });
    await other.executor.cancel('root'); // before it begins: nothing is remembered
    expect((await other.drive(STEPS)).end?.state).toBe('succeeded');
  });

  test('H29 a composite that ended elsewhere is driven no further', async () => {
    const coordinator = waiting(options);
    const scene = new Scene(coordinator);
    await scene.executor.begin(begin(STEPS));
    await coordinator.until(() => coordinator.children[1]);
    await coordinator.complete('root', { state: 'canceled' });
    await scene.executor.settled();
    expect(coordinator.children.map(({ state }) => state)).toEqual(['succeeded', 'running']);
    expect([coordinator.evaluations, scene.notes]).toEqual([[], []]);
  });
});

test('H29 a model is not asked for the plan again: the first child carries it', async () => {
  const coordinator = waiting();
  const planning = (goals: readonly string[]): Strategy => ({
    ...deterministicStrategy,
    plan: async () => ({
      summary: goals.join(),
      subtasks: goals.map((goal, at) => ({ id: `S${at + 1}`, goal })),
    }),
  });
  const before = new Scene(coordinator, { strategy: planning(['echo a', 'echo b', 'echo c']) });
  await before.executor.begin(begin({ goal: 'x' }));
  const second = await coordinator.until(() => coordinator.children[1]);
  await before.executor.stop();
  await coordinator.complete(second.node_run_id, succeed('b'));
  await new Scene(coordinator, { strategy: planning(['another']) }).drive({ goal: 'x' });
  expect(coordinator.specs.map(({ inputs }) => inputs)).toEqual([
    { echo: 'echo a' },
    { echo: 'echo b' },
    { echo: 'echo c' },
  ]);
  expect(coordinator.end?.outputs?.['planner_summary']).toBe('echo a,echo b,echo c');
});

test('a child that ends while it is being given up counts as it ended', async () => {
  const coordinator = new MemoryCoordinator(never);
  const scene = new Scene(coordinator);
  const complete = coordinator.complete.bind(coordinator);
  coordinator.complete = async (id, report) => {
    if (report.state === 'canceled') await complete(id, succeed('just now'));
    return complete(id, report);
  };
  await scene.drive({ goal: 'x', steps: ['echo a'] });
  expect(coordinator.end).toMatchObject({
    state: 'succeeded',
    outputs: { child_node_runs: [{ outputs: { echo: 'just now' } }] },
  });
});

test.each(['nodeRun', 'create', 'evaluate', 'complete'])(
  'H15 a coordinator that is away for a while at %s fails nothing',
  async (verb) => {
    const coordinator = new MemoryCoordinator(works);
    for (let times = 0; times < 5; times += 1) coordinator.failures.push({ verb, error: away() });
    const scene = new Scene(coordinator);
    await scene.drive(STEPS);
    expect([coordinator.end?.state, coordinator.specs.length, scene.notes]).toEqual(['succeeded', 3, []]);
  },
);

test('a report that nobody takes is given up after ten minutes, and noted', async () => {
  const coordinator = new MemoryCoordinator(works);
  coordinator.complete = () => Promise.reject(away());
  coordinator.create = async () => Promise.reject(new ArpError(409, 'run_terminal', 'over'));
  const scene = new Scene(coordinator);
  const startedMs = scene.clock.now;
  await scene.drive(STEPS);
  expect(scene.clock.now - startedMs).toBeLessThanOrEqual(600_000);
  expect(scene.clock.now - startedMs).toBeGreaterThan(500_000);
  expect(scene.notes).toEqual(['the end of NodeRun root could not be reported: away']);
});

test('looks grow apart up to the interval, so that a quick child costs no whole one', async () => {
  const scene = new Scene(never, {
    settings: compositeSettings({ ...LIMITS, JARVIS_COMPOSITE_POLL_TIMEOUT_SEC: '5' }),
  });
  await scene.drive(STEPS);
  expect(scene.clock.pauses).toEqual([50, 100, 200, 400, 800, 1000, 1000, 1000, 450]);
});

test('a cancel while a child is being created waits for it: no child is left behind', async () => {
  const coordinator = new MemoryCoordinator(never);
  const scene = new Scene(coordinator);
  const create = coordinator.create.bind(coordinator);
  coordinator.create = async (request) => {
    await scene.executor.cancel('root');
    return create(request);
  };
  await scene.drive(STEPS);
  expect(coordinator.children.map(({ state }) => state)).toEqual(['canceled']);
  expect(coordinator.end?.state).toBe('canceled');
});

test('JARVIS_MAX_CONCURRENCY bounds those that work; one that waits for a child does not count', async () => {
  const started: string[] = [];
  const gate = Promise.withResolvers<void>();
  const strategy: Strategy = {
    ...deterministicStrategy,
    async plan(request, signal) {
      started.push(request.goal);
      await gate.promise;
      return deterministicStrategy.plan(request, signal);
    },
  };
  const coordinator = new MemoryCoordinator(never);
  const ids = ['root', 'n1', 'n2', 'n3'];
  const [root] = coordinator.nodes.values();
  if (root !== undefined) for (const id of ids) coordinator.put({ ...root, node_run_id: id });
  const settings = compositeSettings({ ...LIMITS, JARVIS_MAX_CONCURRENCY: '1' });
  const scene = new Scene(coordinator, { strategy, settings });
  const looked = coordinator.until(() => (coordinator.looks === 2 * ids.length ? true : undefined));
  for (const id of ids) await scene.executor.begin(begin({ goal: `echo ${id}` }, { node_run_id: id }));
  await looked;
  await setImmediate();
  expect(started).toEqual(['echo root']);
  gate.resolve();
  await coordinator.until(() => (coordinator.specs.length === ids.length ? true : undefined));
  expect(started).toEqual(ids.map((id) => `echo ${id}`));
  await scene.executor.stop();
  await expect(scene.executor.begin(begin({ goal: 'x' }))).rejects.toMatchObject({
    status: 503,
    wireCode: 'unavailable',
  });
});

test('whoever is canceled while it waits for its turn leaves the queue', async () => {
  const turns = new Turns(1);
  const gate = Promise.withResolvers<void>();
  const forever = new AbortController().signal;
  const canceled = new AbortController();
  const first = turns.during(forever, () => gate.promise);
  const second = turns.during(canceled.signal, async () => 'second');
  const third = turns.during(forever, async () => 'third');
  canceled.abort();
  await expect(second).rejects.toThrow('aborted');
  gate.resolve();
  expect([await first, await third, await turns.during(forever, async () => 'fourth')]).toEqual([
    undefined,
    'third',
    'fourth',
  ]);
});

test.each([
  ['JARVIS_MAX_CONCURRENCY', '0'],
  ['JARVIS_MAX_CONCURRENCY', 'four'],
  ['JARVIS_COMPOSITE_MAX_STEPS', '0'],
  ['JARVIS_COMPOSITE_MAX_DEPTH', '-1'],
  ['JARVIS_COMPOSITE_POLL_TIMEOUT_SEC', '0'],
  ['JARVIS_COMPOSITE_POLL_INTERVAL_SEC', '1s'],
  ['JARVIS_COMPOSITE_ARGGEN_MAX_RETRIES', '1.5'],
  ['JARVIS_COMPOSITE_CONTEXT_WINDOW', 'all'],
])('a bad number fails the start: %s=%s', (name, value) => {
  expect(() => compositeSettings({ [name]: value })).toThrow(name);
  expect(compositeSettings({ [name]: ' ' })).toEqual(compositeSettings({}));
});
