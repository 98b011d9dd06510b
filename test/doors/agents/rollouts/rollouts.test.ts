import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { OPERATOR, openRig, type Rig } from './rig.ts';

const act = (reason: string, more: object = {}) => ({ by: 'op', reason, ...more });
const asked = ({ board }: Rig): readonly string[] =>
  [...board.tasks.values()].map(({ target }) => target.agent_ids?.[0] ?? '');
const actions = ({ notes }: Rig): readonly string[] => notes.map(({ action }) => action);

describe('J23 canary', () => {
  test('only the chosen agents get a task before somebody has promoted it', async () => {
    const rig = await openRig(20);
    rig.board.outcome = () => 'succeeded';
    const { id, canary } = await rig.start();
    await rig.reaches(id, 'awaiting_review');
    expect(asked(rig)).toEqual([...canary]);
    expect(canary).toHaveLength(2);
    expect(rig.board.mayHandOut(id)).toBe(false);
  });

  test('with nobody online it is on record, and has failed', async () => {
    const rig = await openRig(0);
    const rollout = await rig.start();
    expect(rollout.state).toBe('failed');
    expect(asked(rig)).toEqual([]);
    expect(rig.notes.at(-1)?.reason).toContain('no agent');
  });

  test('a required agent that is offline fails it', async () => {
    const rig = await openRig(2);
    const { state } = await rig.start({ criteria: { required_agents: ['elsewhere'] } });
    expect(state).toBe('failed');
  });

  test('a second one of the same skill and environment is 409 until the first is over', async () => {
    const rig = await openRig(2);
    const { id } = await rig.start();
    await expect(rig.start()).rejects.toMatchObject({ status: 409, details: { rollout_id: id } });
    await rig.start({ environment: 'production' });
    await rig.rollouts().act(OPERATOR, id, 'abort', act('enough'));
    await rig.reaches(id, 'aborted');
    await rig.start();
  });
});

describe('J24 evaluation', () => {
  test('a failing canary is aborted by itself', async () => {
    const rig = await openRig(20);
    rig.board.outcome = () => 'failed';
    const { id } = await rig.start();
    const { verdict } = await rig.reaches(id, 'aborted');
    expect(verdict?.verdict).toBe('fail');
    expect(actions(rig)).toEqual(['rollout.create', 'rollout.start', 'rollout.evaluate', 'rollout.aborted']);
  });

  test('without auto_abort it waits, and only an override promotes it', async () => {
    const rig = await openRig(4);
    rig.board.outcome = () => 'failed';
    const { id } = await rig.start({ auto_abort: false });
    await rig.reaches(id, 'awaiting_review');
    await expect(rig.rollouts().act(OPERATOR, id, 'promote', act('go'))).rejects.toMatchObject({
      status: 409,
    });
    rig.board.outcome = () => 'succeeded';
    await rig.rollouts().act(OPERATOR, id, 'promote', act('known defect', { override: true }));
    // What the canary did counts on: each batch fails, and each has to be let pass.
    await rig.reaches(id, 'awaiting_review');
    expect(rig.notes.find(({ action }) => action === 'rollout.promote')).toMatchObject({
      actor: 'op',
      reason: 'known defect',
      after: { override: true },
    });
  });

  test('aborting cancels what is queued and waits for what runs', async () => {
    const rig = await openRig(10);
    const { id } = await rig.start({ canary: { count: 2 } });
    await expect.poll(() => rig.board.tasks.size).toBe(2);
    const [first = '', second = ''] = [...rig.board.tasks.keys()];
    rig.board.end(first, 'running');
    await rig.rollouts().act(OPERATOR, id, 'abort', act('bad news'));
    expect((await rig.rollouts().get('default', id)).state).toBe('aborting');
    expect(rig.board.tasks.get(second)?.status).toBe('cancelled');
    expect(rig.board.tasks.get(first)).toMatchObject({ status: 'running', cancel_requested: true });
    rig.board.end(first, 'cancelled');
    await rig.reaches(id, 'aborted');
  });

  test('findings and durations are read from what tasks left; what was skipped is told by the report', async () => {
    const rig = await openRig(10);
    const { id } = await rig.start({
      canary: { count: 2 },
      criteria: { max_findings: { high: 1 }, max_p95_duration_ms: 100 },
      auto_abort: false,
    });
    await expect.poll(() => rig.board.tasks.size).toBe(2);
    const [one, two] = [...rig.board.tasks.values()];
    rig.files.set(
      `${one?.run_id} artifacts/report.json`,
      JSON.stringify({ outcome: 'pass', findings: [{ severity: 'high' }, { severity: 'high' }] }),
    );
    rig.files.set(`${one?.run_id} artifacts/meta.json`, JSON.stringify({ duration_ms: 101 }));
    rig.files.set(`${two?.run_id} artifacts/report.json`, 'no JSON');
    rig.board.end(one?.task_id ?? '', 'succeeded');
    rig.board.end(two?.task_id ?? '', 'succeeded');
    const { verdict } = await rig.reaches(id, 'awaiting_review');
    expect(verdict?.criteria.filter(({ ok }) => !ok)).toEqual([
      { name: 'max_p95_duration_ms', limit: 100, actual: 101, ok: false },
      { name: 'max_findings.high', limit: 1, actual: 2, ok: false },
    ]);
  });

  test('the gate is asked before the verdict', async () => {
    const server = createServer((_, response) => response.writeHead(503).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const rig = await openRig(10);
    rig.board.outcome = () => 'succeeded';
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { id } = await rig.start({ criteria: { health_gate: { url } } });
    const { verdict } = await rig.reaches(id, 'aborted');
    expect(verdict?.criteria.find(({ name }) => name === 'health_gate')).toMatchObject({
      actual: 503,
      ok: false,
    });
  });

  test('what has not ended by the deadline fails, and is cancelled', async () => {
    const rig = await openRig(10);
    const { id } = await rig.start({ criteria: { deadline_s: 60 } });
    await expect.poll(() => rig.board.tasks.size).toBe(1);
    rig.clock.aheadMs = 61_000;
    await rig.restart();
    const { verdict } = await rig.reaches(id, 'aborted');
    expect(verdict?.criteria.find(({ name }) => name === 'deadline_s')).toMatchObject({ ok: false });
    expect([...rig.board.tasks.values()].map(({ status }) => status)).toEqual(['cancelled']);
  });
});

describe('J25 promotion', () => {
  test('the rest follows in batches, each judged with all before it', async () => {
    const rig = await openRig(10);
    rig.board.outcome = () => 'succeeded';
    const { id } = await rig.start({ canary: { count: 2 }, batch_size: 3 });
    await rig.reaches(id, 'awaiting_review');
    await rig.rollouts().act(OPERATOR, id, 'promote', act('looks good'));
    const { batches } = await rig.reaches(id, 'completed');
    expect(batches.map(({ length }) => length)).toEqual([3, 3, 2]);
    expect(asked(rig).toSorted()).toEqual(rig.agents.map(({ agent_id }) => agent_id).toSorted());
    expect(await rig.engine.state(id)).toMatchObject({ standing: { phase: 'succeeded' } });
  });

  test('a batch that fails ends it: those behind it are not touched', async () => {
    const rig = await openRig(10);
    rig.board.outcome = ({ phase }) => (phase === 'canary' ? 'succeeded' : 'lost');
    const { id } = await rig.start({ canary: { count: 1 }, batch_size: 3, auto_promote: true });
    await rig.reaches(id, 'aborted');
    expect(asked(rig)).toHaveLength(4);
  });

  test('in pause nothing is handed out; behind it the same goes on', async () => {
    const rig = await openRig(10);
    const { id } = await rig.start();
    await expect.poll(() => rig.board.tasks.size).toBe(1);
    await rig.rollouts().act(OPERATOR, id, 'pause', act('lunch'));
    expect(rig.board.mayHandOut(id)).toBe(false);
    await rig.rollouts().act(OPERATOR, id, 'resume', act('back'));
    expect(rig.board.mayHandOut(id)).toBe(true);
    const [task] = rig.board.tasks.keys();
    rig.board.end(task ?? '', 'succeeded');
    await rig.reaches(id, 'awaiting_review');
  });

  test('what an operator expects is checked', async () => {
    const rig = await openRig(10);
    rig.board.outcome = () => 'succeeded';
    const { id } = await rig.start();
    await rig.reaches(id, 'awaiting_review');
    const late = act('go', { expectedState: 'canary_running' });
    await expect(rig.rollouts().act(OPERATOR, id, 'promote', late)).rejects.toMatchObject({ status: 409 });
    await expect(
      rig.rollouts().act({ ...OPERATOR, tenant: 'other' }, id, 'promote', act('go')),
    ).rejects.toMatchObject({ status: 404 });
  });

  test('an approval of the decision, wherever it comes from, promotes it', async () => {
    const rig = await openRig(3);
    rig.board.outcome = () => 'succeeded';
    const { id } = await rig.start();
    await rig.reaches(id, 'awaiting_review');
    const asks = async () => (await rig.rollouts().get('default', id)).openDecision;
    await expect.poll(asks).toBeDefined();
    const openDecision = await asks();
    await rig.engine.execute(id, {
      type: 'approve',
      checkpoint: openDecision ?? 0,
      by: 'eve',
      reason: 'read it',
    });
    await rig.restart();
    await rig.reaches(id, 'completed');
    expect(rig.notes.find(({ action }) => action === 'rollout.promote')).toMatchObject({
      actor: 'eve',
      reason: 'read it',
    });
  });
});

describe('J25 what people decide', () => {
  test('an abort does not wait for a gate that does not answer', async () => {
    const reached = Promise.withResolvers<void>();
    const server = createServer(() => reached.resolve()); // it never answers
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const rig = await openRig(10);
    rig.board.outcome = () => 'succeeded';
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const draft = await rig.start({ criteria: { health_gate: { url, attempts: 100 } }, start: false });
    const started = rig.rollouts().act(OPERATOR, draft.id, 'start', act('go'));
    await reached.promise;
    const refused = rig.rollouts().act(OPERATOR, draft.id, 'resume', act('what?'));
    await expect(refused).rejects.toMatchObject({ status: 409 });
    await rig.rollouts().act(OPERATOR, draft.id, 'abort', act('enough'));
    await started;
    await rig.reaches(draft.id, 'aborted');
    expect(actions(rig)).toEqual(['rollout.create', 'rollout.start', 'rollout.abort', 'rollout.aborted']);
  });

  test('J19 a secret in a reason is replaced before it is on record', async () => {
    const rig = await openRig(1);
    const { id } = await rig.start();
    const { lastAct } = await rig.rollouts().act(OPERATOR, id, 'abort', act('password=hunter22hunter22'));
    expect(lastAct?.reason).toBe('password=[REDACTED:PASSWORD]');
    await expect(rig.start({ args: { password: 'hunter22hunter22' } })).rejects.toMatchObject({
      status: 422,
    });
  });
});

test('J29 what was done, and was not written down when the process ended, is in the audit chain afterwards', async () => {
  const rig = await openRig(2);
  const { id } = await rig.start();
  const data = { by: 'op', reason: 'enough' };
  await rig.engine.execute(id, { type: 'record', name: 'rollout.aborting', data });
  await rig.restart();
  await rig.reaches(id, 'aborted');
  expect(actions(rig)).toEqual(['rollout.create', 'rollout.start', 'rollout.abort', 'rollout.aborted']);
  expect(rig.notes[2]).toMatchObject({ actor: 'op', reason: 'enough', before: { state: 'canary_running' } });
});

test('the same call again makes no second rollout', async () => {
  const rig = await openRig(2);
  const request = { name: 'r', skill: { name: 'probe', version: '1.0.0' }, target: { labels: {} } };
  const { id } = await rig.rollouts().create(OPERATOR, request, 'one');
  await rig.restart();
  expect(await rig.rollouts().create(OPERATOR, request, 'one')).toMatchObject({
    id,
    state: 'canary_running',
  });
});

test('J24 who could not be given a task by the deadline has failed', async () => {
  const rig = await openRig(2);
  rig.board.create = () => Promise.reject(new Error('not listed any more'));
  const { id } = await rig.start({ criteria: { deadline_s: 60 } });
  expect(rig.notes.at(-1)?.action).toContain('cannot go on now: not listed any more');
  rig.clock.aheadMs = 61_000;
  await rig.restart();
  await rig.reaches(id, 'aborted');
});

test('a thousand agents: what comes in at once is looked at once', async () => {
  const rig = await openRig(1000);
  const { id } = await rig.start({ canary: { percent: 100 } });
  let looks = 0;
  const all = rig.board.ofRollout.bind(rig.board);
  rig.board.ofRollout = async (...query) => {
    looks += 1;
    return all(...query);
  };
  for (const task of rig.board.tasks.keys()) rig.board.end(task, 'succeeded');
  await rig.reaches(id, 'awaiting_review');
  expect(looks).toBeLessThan(10);
});

test('J12 whenever everything is read again, the rollout goes on where it was', async () => {
  const rig = await openRig(12);
  const { id, canary } = await rig.start({ canary: { count: 2 }, batch_size: 4, auto_promote: true });
  const next = () => [...rig.board.tasks.values()].find(({ status }) => status === 'queued')?.task_id;
  for (let ended = 0; ended < 12; ended += 1) {
    await rig.restart();
    await expect.poll(next).toBeDefined();
    rig.board.end(next() ?? '', 'succeeded');
  }
  await rig.reaches(id, 'completed');
  expect(asked(rig).slice(0, 2)).toEqual([...canary]);
  expect(asked(rig)).toHaveLength(12);
});
