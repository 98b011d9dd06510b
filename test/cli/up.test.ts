// Everything in one process, and the same services each in its own, as real processes.
import { describe, expect } from 'vitest';
import { ask, type Answer } from '../server/client.ts';
import { test, type Home, type Running } from './rig.ts';

const VERSION = '0.3.8';
const ECHO = { node_type_id: 'jarvis.core.echo', version: VERSION };
const SLEEP = { node_type_id: 'jarvis.core.sleep', version: VERSION };
const PLANNER = { node_type_id: 'jarvis.composite.planner.general', version: VERSION };

interface Up {
  readonly running: Running;
  readonly address: string;
  get(path: string): Promise<Answer>;
  post(path: string, body?: unknown): Promise<Answer>;
  /** Types of the run's events, once it is over. */
  types(runId: string): Promise<string[]>;
}

async function listening(home: Home, argv: readonly string[], env: Record<string, string> = {}): Promise<Up> {
  const running = home.start([...argv, '--port', '0'], { program: 'reeve', env });
  await running.until('it listens', () => /listening on \S+\n/.test(running.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
  return {
    running,
    address,
    get: (path) => ask(address, 'GET', path),
    post: (path, body = {}) => ask(address, 'POST', path, { body }),
    async types(runId) {
      const { text } = await ask(address, 'GET', `/v1/runs/${runId}/events?follow=1`);
      const lines = text.split('\n').filter((line) => line.trim() !== '');
      return lines.map((line) => JSON.parse(line).type);
    },
  };
}

const up = (home: Home, ...flags: string[]): Promise<Up> => listening(home, ['up', ...flags]);

const startOf = (root: object, input: object, more: object = {}): object => ({
  root_node_type_ref: root,
  input,
  ...more,
});

describe.concurrent('up', () => {
  test('G16 G42 runs go from the request to their end, beside jobs, on one port', async ({ home }) => {
    const { get, post, types, running } = await up(home, '--dev-allow');
    const echo = (await post('/v1/runs:start', startOf(ECHO, { echo: 'hi' }, { run_id: 'echo-1' }))).json;
    expect(await types('echo-1')).toEqual([
      'run_started',
      'node_run_assigned',
      'policy_decided',
      'policy_decided',
      'node_evaluated',
      'atomic_executed',
      'run_completed',
    ]);
    expect((await get(`/v1/node-runs/${echo.root_node_run_id}`)).json.outputs).toEqual({ echo: 'hi' });
    const goal = { goal: "Echo 'hello', then hash it" };
    const planned = (await post('/v1/runs', startOf(PLANNER, goal, { run_id: 'plan-1' }))).json;
    expect((await types('plan-1')).at(-1)).toBe('run_completed');
    const root = (await get(`/v1/node-runs/${planned.root_node_run_id}`)).json;
    expect(root.state).toBe('succeeded');
    const ran = root.outputs.child_node_runs.map((child: { node_type_ref: object }) => child.node_type_ref);
    expect(ran).toMatchObject([ECHO, { node_type_id: 'jarvis.core.hash.sha256' }]);
    // The same run through the other door, and every service below its own path.
    expect((await get('/v1/jobs/echo-1')).json).toMatchObject({ job_id: 'echo-1', status: 'completed' });
    for (const service of ['node-registry', 'selection', 'pdp', 'atomic-executor', 'run-coordinator'])
      expect((await get(`/${service}/v1/health`)).json.status, service).toBe('ok');
    running.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0, stderr: '' });
  });

  test('G30 kill -9 in the middle of a composite run: another one goes on and ends it', async ({ home }) => {
    const first = await up(home, '--dev-allow');
    const steps = [
      { goal: 'Echo it', node_type_id: ECHO.node_type_id, inputs: { echo: 'one' } },
      { goal: 'Sleep', node_type_id: SLEEP.node_type_id, inputs: { seconds: 3 } },
      { goal: 'Echo it', node_type_id: ECHO.node_type_id, inputs: { echo: 'two' } },
    ];
    await first.post('/v1/runs', startOf(PLANNER, { goal: 'three steps', steps }, { run_id: 'long' }));
    await first.running.until('the second child is there', async () => {
      const { text } = await first.get('/v1/runs/long/events');
      return text.split('composite_decomposed').length === 3;
    });
    first.running.kill('SIGKILL');
    await first.running.ended;
    const second = await up(home, '--dev-allow');
    expect((await second.types('long')).at(-1)).toBe('run_completed');
    const run = (await second.get('/v1/runs/long')).json;
    const root = (await second.get(`/v1/node-runs/${run.root_node_run_id}`)).json;
    expect([run.state, root.state]).toEqual(['succeeded', 'succeeded']);
    const children = root.outputs.child_node_runs as { outputs: object; node_run_id: string }[];
    expect(children.map(({ outputs }) => outputs)).toMatchObject([{ echo: 'one' }, {}, { echo: 'two' }]);
    expect(new Set(children.map(({ node_run_id }) => node_run_id)).size).toBe(3);
    second.running.kill('SIGTERM');
    await second.running.ended;
  });

  test('I8 a gated run waits for `reeve approve`, and goes on by it', async ({ home }) => {
    const { post, get, types, running } = await up(home, '--dev-allow');
    const gates = { constraints: { gates: { require_approval: true } }, run_id: 'gated' };
    await post('/v1/runs', startOf(ECHO, { echo: 'x' }, gates));
    let open: string[] = [];
    await running.until('it waits', async () => {
      open = (await get('/v1/jobs/gated')).json.open_decisions;
      return open.length > 0;
    });
    const approved = await home.run(
      ['approve', 'gated', '--checkpoint', open[0] ?? '', '--reason', 'looked'],
      {
        program: 'reeve',
      },
    );
    expect(approved.code).toBe(0);
    expect((await types('gated')).at(-1)).toBe('run_completed');
    expect((await get('/v1/runs/gated')).json.state).toBe('succeeded');
    running.kill('SIGTERM');
    await running.ended;
  });

  test('G7 without a policy it says so, and every run is denied', async ({ home }) => {
    const { post, running } = await up(home);
    expect(running.stderr).toContain('no policy is configured');
    expect((await post('/v1/runs', startOf(ECHO, { echo: 'x' }))).json.state).toBe('failed');
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
    const both = await home.run(['up', '--policy', 'p.json', '--dev-allow'], { program: 'reeve' });
    expect([both.code, both.stderr]).toEqual([6, expect.stringContaining('exclude each other')]);
  });
});

describe.concurrent('up and the services alone', () => {
  test.for([
    ['REEVE_WEB_FETCH_ALLOW', 'https://example.com/path'],
    ['REEVE_ATOMIC_CONFIG', 'not-there.yaml'],
    ['JARVIS_COMPOSITE_STRATEGY', 'guess'],
    ['JARVIS_SELECTION_TOP_K_DEFAULT', 'many'],
  ] as const)('read the same variables: %s cannot be %s', async ([variable, value], { home }) => {
    const env = { [variable]: value };
    const { code, stderr } = await home.run(['up', '--dev-allow', '--port', '0'], { program: 'reeve', env });
    expect([code, stderr]).toEqual([6, expect.stringMatching(new RegExp(`${variable}|not-there.yaml`))]);
  });
});

describe.concurrent('seven services, seven processes', () => {
  test('G32 G42 a planned run from the gateway to the executors and back', async ({ home }) => {
    const opened: Up[] = [];
    const open = async (service: string, env: Record<string, string>): Promise<string> => {
      const one = await listening(home, ['serve', service], env);
      opened.push(one);
      return `http://${one.address}`;
    };
    const registry = await open('node-registry', { JARVIS_NODE_REGISTRY_SEED: 'true' });
    const asking = { JARVIS_NODE_REGISTRY_URL: registry };
    const selection = await open('selection', { ...asking, JARVIS_SELECTION_STRATEGY: 'deterministic' });
    const pdp = await open('pdp', { ...asking, JARVIS_POLICY_PROFILE: 'dev-allow' });
    const atomic = await open('atomic-executor', {});
    const composite = await open('composite-executor', {
      ...asking,
      JARVIS_SELECTION_URL: selection,
      JARVIS_COMPOSITE_MAX_STEPS: '5',
      JARVIS_COMPOSITE_MAX_DEPTH: '2',
      JARVIS_COMPOSITE_POLL_INTERVAL_SEC: '0.1',
    });
    // Its own address is known before it listens: a free port, found by whoever had it last.
    const port = new URL(await open('run-coordinator', {})).port;
    opened.at(-1)?.running.kill('SIGTERM');
    await opened.at(-1)?.running.ended;
    const coordinator = home.start(['serve', 'run-coordinator', '--port', port], {
      program: 'reeve',
      env: {
        ...asking,
        JARVIS_PDP_URL: pdp,
        JARVIS_ATOMIC_EXECUTOR_URL: atomic,
        JARVIS_COMPOSITE_EXECUTOR_URL: composite,
        JARVIS_RUN_COORDINATOR_URL: `http://127.0.0.1:${port}`,
      },
    });
    await coordinator.until('it listens', () => /listening on \S+\n/.test(coordinator.stdout));
    await open('run-gateway', { JARVIS_RUN_COORDINATOR_URL: `http://127.0.0.1:${port}` });
    const gateway = opened.at(-1) as Up;
    expect((await gateway.get('/v1/health')).json.status).toBe('ok');
    const goal = { goal: "Echo 'hello', then hash it" };
    await gateway.post('/v1/runs', startOf(PLANNER, goal, { run_id: 'far' }));
    const types = await gateway.types('far');
    expect(types.filter((type) => type === 'atomic_executed')).toHaveLength(2);
    expect((await gateway.get('/v1/runs/far')).json.state).toBe('succeeded');
    for (const running of [coordinator, ...opened.map((one) => one.running)]) running.kill('SIGTERM');
    await Promise.all([coordinator, ...opened.map((one) => one.running)].map(({ ended }) => ended));
  });
});
