// The life of a job: submitted, decided, resumed, over (contract wrkr §l).
import { describe, expect } from 'vitest';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DECISION, ledger, specOf } from './rig.ts';
import { test } from './session.ts';

describe.concurrent('submit and resume', () => {
  test('W1 W2 init, submit, approve and resume: three checkpoints, a decision, each step once', async ({
    home,
  }) => {
    expect(await home.json(['init'])).toEqual({ jobspec_path: home.path('jobspec.yaml') });
    const submitted = await home.json(['submit', 'jobspec.yaml', '--job-id', 'first']);
    expect(submitted).toMatchObject({
      job_id: 'first',
      status: 'blocked_decision',
      adapter: 'reference',
      spec_name: 'first-job',
      spec_path: home.path('jobspec.yaml'),
    });
    expect(Object.keys(submitted).toSorted()).toEqual(
      ['adapter', 'job_id', 'objective', 'spec_name', 'spec_path', 'status'].toSorted(),
    );
    const checkpoints = await home.checkpoints('first');
    expect(checkpoints.map(({ type }) => type)).toEqual(['plan', 'progress', 'decision-needed']);
    const { checkpoint_id: decision } = checkpoints[2];

    const approval = await home.json(['approve', 'first', '--checkpoint', decision, '--reason', 'fine']);
    expect(approval).toMatchObject({
      job_id: 'first',
      checkpoint_id: decision,
      reason: 'fine',
      approved_by: 'tester',
    });
    expect(await home.json(['resume', 'first'])).toEqual({
      job_id: 'first',
      status: 'completed',
      adapter: 'reference',
      next_step_index: 3,
    });
    const events = await home.events('first');
    const steps = events.filter(({ type }) => type === 'adapter_step').map(({ payload }) => payload.step_id);
    expect(steps).toEqual(['prepare', 'review', 'publish']);
    expect(await home.read('reports/published.md')).toBe(await home.read('reports/first.md'));
    expect((await home.checkpoints('first')).at(-1)).toMatchObject({ type: 'completed' });
  });

  test('the completed checkpoint says that the job is completed', async ({ home }) => {
    await home.submit('j', [{}]);
    expect((await home.checkpoints('j')).at(-1)).toMatchObject({ type: 'completed', status: 'completed' });
  });

  test('W3 resume without the approval exits 4, names the checkpoint, and changes not one byte of the job', async ({
    home,
  }) => {
    await home.submit('j', [ledger('one'), DECISION, ledger('two')]);
    const before = await home.bytes('j');
    const status = await home.status('j');
    const error = await home.fails(['resume', 'j']);
    expect(error).toMatchObject({ code: 'E_CHECKPOINT_APPROVAL_REQUIRED', exit_code: 4 });
    expect(error.details.checkpoint_id).toMatch(/^cp_\d+$/);
    expect(await home.bytes('j')).toBe(before);
    expect(await home.status('j')).toEqual(status);
    expect(await home.lines('ledger')).toEqual(['one']);
  });

  test('W5 a completed and a canceled job refuse resume, pause, cancel and emit; nothing runs', async ({
    session: home,
  }) => {
    await home.submit('done', [ledger('one')]);
    await home.submit('gone', [DECISION, ledger('two')]);
    expect(await home.json(['cancel', 'gone'])).toMatchObject({ job_id: 'gone', status: 'canceled' });
    for (const id of ['done', 'gone']) {
      const before = await home.bytes(id);
      for (const words of [
        ['resume', id],
        ['pause', id],
        ['cancel', id],
      ]) {
        const error = await home.fails(words);
        expect(error, words.join(' ')).toMatchObject({ code: 'E_INVALID_STATE_TRANSITION', exit_code: 1 });
      }
      expect(await home.bytes(id)).toBe(before);
    }
    expect(await home.lines('ledger')).toEqual(['one']);
  });

  test('W7 without snapshot.json, runtime_config.json or the whole directory every output is the same', async ({
    session: home,
  }) => {
    await home.submit('j', [ledger('one'), DECISION, ledger('two')]);
    const look = async () => [await home.status('j'), await home.checkpoints('j'), await home.json(['list'])];
    const before = await look();
    const bytes = await home.bytes('j');
    for (const gone of ['snapshot.json', 'runtime_config.json', 'events.jsonl', '']) {
      await rm(join(home.jobDir('j'), gone), { recursive: true });
      expect(await look(), `without ${gone}`).toEqual(before);
    }
    await home.json(['status', 'j']);
    expect(await home.bytes('j'), 'the directory is rebuilt to the same bytes').toBe(bytes);
  });

  test('W36 a spec without environment_fingerprint gets the default rules', async ({ home }) => {
    const { environment_fingerprint: _, ...spec } = specOf([{}]);
    await home.write('s.json', JSON.stringify(spec));
    await home.json(['submit', 's.json', '--job-id', 'j']);
    expect((await home.status('j')).environment_rules).toEqual(['arch', 'go_version', 'os']);
  });

  test('W37 an existing id is refused by submit and wrap, and the job is untouched', async ({ home }) => {
    await home.submit('j', [ledger('one'), DECISION]);
    const before = await home.bytes('j');
    for (const words of [
      ['submit', 'j.json', '--job-id', 'j'],
      ['submit', 'j.json', '--job-id', ' J '],
      ['wrap', '--job-id', 'j', '--', 'touch', 'wrapped'],
    ]) {
      const error = await home.fails(words);
      expect(error).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6, details: { job_id: 'j' } });
    }
    expect(await home.bytes('j')).toBe(before);
    expect(await home.lines('ledger')).toEqual(['one']);
    await expect(home.read('wrapped')).rejects.toThrow('ENOENT');
  });

  test('W38 given ids are normalised, and an id without a letter becomes job', async ({ session: home }) => {
    const file = await home.spec([{}]);
    for (const [given, id] of [
      ['  Foo Bar/1 ', 'foo_bar_1'],
      ['___', 'job'],
      ['A.b-C', 'a.b-c'],
    ]) {
      const { job_id: jobId } = await home.json(['submit', file, '--job-id', given!]);
      expect(jobId).toBe(id);
    }
    const named = await home.json(['submit', file]);
    expect(named.job_id).toMatch(/^test_job_\d{10}$/);
  });

  test('W39 a failing step: blocked_error, E_ADAPTER_FAIL with step and exit code; resume tries it again', async ({
    home,
  }) => {
    const result = await home.submit('j', [
      ledger('one'),
      ledger('two', 'test -e repaired || exit 7'),
      ledger('three'),
    ]);
    expect(result.code).toBe(1);
    expect(result.stdout).toBe('');
    expect(result.error).toMatchObject({
      code: 'E_ADAPTER_FAIL',
      exit_code: 1,
      details: { job_id: 'j', step_id: 'two', exit_code: 7 },
    });
    expect(await home.status('j')).toMatchObject({
      status: 'blocked_error',
      reason_codes: ['E_ADAPTER_FAIL'],
    });
    const blocked = (await home.checkpoints('j')).at(-1);
    expect(blocked).toMatchObject({ type: 'blocked', reason_codes: ['E_ADAPTER_FAIL'] });
    expect(blocked.summary).toMatch(/two.*7/);
    const config = JSON.parse((await home.bytes('j')).split('\0')[2]!);
    expect(config.next_step_index).toBe(1);

    await home.write('repaired', '');
    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed', next_step_index: 3 });
    expect(await home.lines('ledger')).toEqual(['one', 'two', 'two', 'three']);
    const counters = (await home.events('j')).filter(({ type }) => type === 'counters_updated').at(-1);
    expect(counters.payload, 'a restart counts as a retry').toMatchObject({ retry_count: 1 });
  });

  test('W40 executed: false runs nothing and is recorded as not executed', async ({ home }) => {
    await home.submit('j', [{ ...ledger('one'), executed: false }, ledger('two')]);
    expect(await home.lines('ledger')).toEqual(['two']);
    const steps = (await home.events('j')).filter(({ type }) => type === 'adapter_step');
    expect(steps.map(({ payload }) => [payload.step_id, payload.executed])).toEqual([
      ['one', false],
      ['two', true],
    ]);
    const counters = (await home.events('j')).filter(({ type }) => type === 'counters_updated').at(-1);
    expect(counters.payload).toEqual({ retry_count: 0, step_count: 2, tool_call_count: 1 });
  });

  test('W41 the same spec as JSON and as YAML gives the same job', async ({ home }) => {
    const steps = [
      { id: 'a', summary: 'done: "a" # 1', command: 'true', artifacts: ['x', 'x', ' b '] },
      DECISION,
    ];
    await home.write('s.json', JSON.stringify(specOf(steps)));
    // Every JSON document is YAML; block style says the same in other words.
    await home.write('s.yaml', JSON.stringify(specOf(steps)));
    await home.write(
      's.yml',
      `schema_id: wrkr.jobspec
schema_version: v1
created_at: 2026-01-02T03:04:05Z
producer_version: test
name: test job
objective: show a behaviour
inputs:
  steps:
    - {id: a, summary: 'done: "a" # 1', command: "true", artifacts: [x, x, " b "]}
    - id: review
      summary: publish it?
      decision_needed: true
expected_artifacts: []
adapter: {name: reference}
budgets: {max_wall_time_seconds: 600, max_retries: 100, max_step_count: 10000, max_tool_calls: 10000}
checkpoint_policy: {min_interval_seconds: 1, required_types: []}
environment_fingerprint: {rules: [os, arch]}
`,
    );
    const seen: unknown[] = [];
    for (const file of ['s.json', 's.yaml', 's.yml']) {
      const id = file.replace('.', '-');
      expect((await home.run(['submit', file, '--job-id', id])).code).toBe(0);
      seen.push(
        (await home.events(id)).map(({ seq, type, payload }) => ({ seq, type, payload: timeless(payload) })),
      );
    }
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[2]).toEqual(seen[0]);
  });

  test('the noop adapter completes at once', async ({ home }) => {
    await home.write(
      's.json',
      JSON.stringify(specOf([], { adapter: { name: 'NoOp' }, inputs: { steps: undefined } })),
    );
    const done = await home.json(['submit', 's.json', '--job-id', 'j']);
    expect(done).toMatchObject({ status: 'completed', adapter: 'noop' });
    expect((await home.checkpoints('j')).map(({ type }) => type)).toEqual(['plan', 'completed']);
  });

  test('steps run in the workspace, which is below the directory of the submission', async ({ home }) => {
    await home.write('ws/deep/.keep', '');
    expect((await home.submit('j', [ledger('one')], { inputs: { workspace: 'ws/deep' } })).code).toBe(0);
    expect(await home.lines('ws/deep/ledger')).toEqual(['one']);
  });

  test('needs run steps side by side, and only after what they need', async ({ home }) => {
    const meet = (me: string, other: string) =>
      `touch ${me}; n=0; until [ -e ${other} ]; do n=$((n+1)); [ $n -gt 400 ] && exit 1; sleep 0.05; done`;
    const result = await home.submit(
      'j',
      [
        { id: 'a', command: meet('a', 'b') },
        { id: 'b', command: meet('b', 'a') },
        { id: 'c', command: 'cat a b > c', needs: ['a', 'b'] },
      ],
      { adapter: { config: { max_parallel: 2 } } },
    );
    expect(result.stderr).toBe('');
    expect(result.json).toMatchObject({ status: 'completed' });
    expect(await home.read('c')).toBe('');
  });
});

function timeless(payload: Record<string, unknown>): unknown {
  const {
    started_at: _,
    captured_at: __,
    lease_id: ___,
    worker_id: ____,
    acquired_at: _____,
    ...rest
  } = payload;
  const { heartbeat_at: _a, expires_at: _b, budget_state: _c, ...same } = rest;
  return same;
}
