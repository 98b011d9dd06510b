/** Admission under the lease, by real workers: what it says happens, once, whoever dies in between. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Admission, Admit } from '../../src/engine/admission.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { ofType, specOf, step } from '../model/rig.ts';
import { eventsOf, HANGS, Lab, planOf, QUICK, quick, TTL_MS, typesOf } from './lab.ts';

let lab: Lab;
let engine: Engine;
beforeEach(() => {
  lab = new Lab();
  engine = lab.engine();
});
afterEach(() => lab.close());

const FACTS = [{ name: 'policy', node: 'a', data: { decision: 'said' } }];

/** Answers by node, and remembers what it was asked. */
function gate(answers: Record<string, Admission>) {
  const asked: string[] = [];
  const admit: Admit = (_, { spec: { id } }, { isApproved }) => {
    asked.push(`${id}${isApproved ? ' approved' : ''}`);
    return Promise.resolve(answers[id] ?? 'go');
  };
  return { asked, admit };
}

test('go: its facts are on record before the intent, and each attempt is admitted', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: planOf([
      step('a', { input: { fate: 'fail' }, retry: { max: 1, backoffMs: 1, capMs: 1 }, onFailure: 'hold' }),
    ]),
  });
  const { asked, admit } = gate({ a: { go: true, facts: FACTS } });
  const driving = await lab.drive(lab.worker('w', { engine, admit }), 'r');
  await lab.passing(async () => (await engine.state('r')).standing.phase === 'held', 'the hold');
  expect(await driving.ended).toBe('held');
  expect(asked).toEqual(['a', 'a']);
  const types = (await typesOf(engine, 'r')).filter((type) => /fact|started/.test(type));
  expect(types).toEqual(['fact_recorded', 'attempt_started', 'fact_recorded', 'attempt_started']);
});

test('refuse: the node has failed and nothing of it began', async () => {
  await engine.execute('r', { type: 'create', spec: planOf(quick('a', 'b')) });
  const error = { code: 'policy_denied', message: 'no' };
  const { admit } = gate({ a: { refuse: error, facts: FACTS } });
  const { ended } = await lab.drive(lab.worker('w', { engine, admit }), 'r');
  expect(await ended).toBe('done');
  expect((await engine.state('r')).standing).toEqual({ phase: 'failed' });
  expect(ofType(await eventsOf(engine, 'r'), 'node_settled')[0]).toMatchObject({ node: 'a', error });
  expect(lab.world.began).toEqual([]);
  expect(await engine.store.work('r')).toEqual([]);
});

test('ask: the node waits for its approval without a row; then it is admitted again and starts', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: specOf({ root: { id: 'root', kind: 'composite' }, nodes: [step('a', QUICK), step('b', QUICK)] }),
  });
  const { asked, admit } = gate({ a: { ask: { summary: 'may it?', instructions: 'look' } } });
  const { ended, stop } = lab.run(lab.worker('w', { engine, admit }));
  await lab.passing(async () => (await engine.state('r')).settled.has('b'), 'the other node');
  await lab.clock.until(async () => (await engine.store.work('r')).length === 0, 'the row to go');
  expect(lab.world.began).toEqual(['r.2.1']);
  const [checkpoint = 0] = (await engine.state('r')).decisions.keys();
  await engine.execute('r', { type: 'approve', checkpoint, by: 'ann', reason: 'fine' });
  await lab.passing(async () => (await engine.state('r')).settled.has('a'), 'the node to run');
  expect(asked.filter((id) => id !== 'b')).toEqual(['a', 'a approved']);
  stop();
  await ended;
});

test('ask about a step of a plan: what does not need it goes on, then the run is held', async () => {
  await engine.execute('r', {
    type: 'create',
    spec: planOf([step('a', QUICK), step('b', QUICK)], { onApproval: 'continue' }),
  });
  const { admit } = gate({ a: { ask: { summary: 'may it?', instructions: 'look' } } });
  const { ended, stop } = lab.run(lab.worker('w', { engine, admit }));
  await lab.clock.until(async () => (await engine.state('r')).standing.phase === 'held', 'the decision');
  expect(lab.world.began).toEqual(['r.2.1']);
  const [checkpoint = 0] = (await engine.state('r')).decisions.keys();
  await engine.execute('r', { type: 'approve', checkpoint, by: 'ann', reason: 'fine' });
  await lab.clock.until(async () => (await engine.state('r')).standing.phase === 'succeeded', 'the end');
  stop();
  await ended;
});

test('a worker that dies between claim and admission loses nothing', async () => {
  await engine.execute('r', { type: 'create', spec: planOf(quick('a')) });
  const forever = new Promise<Admission>(() => undefined);
  let isAsked = false;
  const dying = lab.worker('dying', {
    admit: (_, __, { signal }) => {
      isAsked = true;
      // The process would be gone; the test needs its promise to end some time.
      const end = new Promise<Admission>((resolve) => {
        signal.addEventListener('abort', () => resolve('go'), { once: true });
      });
      return Promise.race([forever, end]);
    },
  });
  const claimed = await dying.claim('r');
  const stop = new AbortController();
  const driving = dying.drive(claimed!.lease, stop.signal);
  await lab.clock.until(() => isAsked, 'admission to be asked');
  // Its renewals never arrive: another worker finds the lease run out.
  const store = dying.options.engine.store as { renew: unknown };
  store.renew = () => Promise.resolve(false);
  await lab.clock.advance(TTL_MS + 1);
  const { asked, admit } = gate({});
  await lab.run(lab.worker('w2', { engine, admit }), 1, true).ended;
  expect(asked).toEqual(['a']);
  expect((await engine.state('r')).standing.phase).toBe('succeeded');
  stop.abort();
  expect(await driving).toBe('lost');
  expect(lab.world.began).toEqual(['r.1.1']);
});

test('a worker that is told to stop starts nothing that is still being admitted', async () => {
  await engine.execute('r', { type: 'create', spec: planOf([step('a', HANGS)]) });
  let answer: (said: Admission) => void = () => undefined;
  const admit: Admit = () => new Promise((resolve) => (answer = resolve));
  const { ended, stop } = await lab.drive(lab.worker('w', { engine, admit }), 'r');
  await lab.clock.until(() => answer.length > 0, 'admission to be asked');
  stop();
  await lab.clock.advance(1);
  answer('go');
  expect(await ended).toBe('stopped');
  expect(lab.world.began).toEqual([]);
  expect(await engine.store.work('r')).toMatchObject([{ state: 'offered' }]);
});

test('admission that fails stops the driving and records nothing; the next worker asks again', async () => {
  await engine.execute('r', { type: 'create', spec: planOf(quick('a')) });
  const broken = lab.worker('w1', {
    engine,
    admit: () => Promise.reject(new ReeveError('E_GENERIC_FAILURE', 'no answer')),
  });
  const { ended } = await lab.drive(broken, 'r');
  await expect(ended).rejects.toThrow('no answer');
  await lab.run(lab.worker('w2', { engine }), 1, true).ended;
  expect((await engine.state('r')).standing.phase).toBe('succeeded');
});
