// `reeve serve` as its users meet it: over real sockets, from real processes (contract wrkr §i).
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { describe, expect } from 'vitest';
import { problemsOf } from '../../src/doors/validate.ts';
import { ask, type Answer } from '../server/client.ts';
import { DECISION, ledger, until, type Any, type Home } from './rig.ts';
import { test } from './session.ts';
import { serve } from './served.ts';

const LEASES = { REEVE_HOME: '', REEVE_LEASE_TTL_MS: '1500' };
/** A step that ends once the file is there; it writes its name before and after. */
const GATED = {
  id: 'gated',
  command: 'echo begun >> ledger; while [ ! -e gate ]; do sleep 0.05; done; echo gated >> ledger',
};

function env(home: Home): Record<string, string> {
  return { ...LEASES, REEVE_HOME: home.store };
}

/** The schema with what it refers to in its place. */
function inline(value: Any, components: Any): Any {
  if (Array.isArray(value)) return value.map((item): Any => inline(item, components));
  if (typeof value !== 'object' || value === null) return value;
  if (typeof value.$ref === 'string')
    return inline(components.schemas[value.$ref.split('/').at(-1)], components);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inline(item, components)]));
}

describe.concurrent('serve', () => {
  test('W67 a job from submission to evidence, every answer as it is documented', async ({ home }) => {
    const server = await serve(home, ['--concurrency', '2']);
    const { get, post } = server;
    const document: Any = (await get('/openapi.json')).json;
    const seen = new Set<string>();

    /** The answer has a documented status, and a body that fits the schema of that status. */
    async function check(
      method: 'GET' | 'POST',
      template: string,
      path: string,
      body?: unknown,
    ): Promise<Answer> {
      const answer = await (method === 'GET' ? get(path) : post(path, body));
      const operation = document.paths[template]?.[method.toLowerCase()];
      expect(operation, `${method} ${template}`).toBeDefined();
      const { responses } = operation;
      const documented = responses[answer.status] ?? responses[`${String(answer.status)[0]}XX`];
      expect(documented, `${method} ${path}: ${answer.status} ${answer.text}`).toBeDefined();
      const [[type, { schema }]] = Object.entries<Any>(documented.content) as [[string, Any]];
      expect(answer.headers['content-type']).toContain(type);
      if (type === 'application/json') {
        const problems = await problemsOf(inline(schema, document.components), answer.json);
        expect(problems, `${method} ${path}: ${answer.text}`).toEqual([]);
        expect(answer.text).toBe(`${JSON.stringify(answer.json)}\n`);
      }
      if (answer.status < 300) seen.add(`${method} ${template}`);
      return answer;
    }

    const steps = [{ ...ledger('draft'), artifacts: ['ledger'] }, DECISION, ledger('publish')];
    const spec = await home.spec(steps);
    await home.write(
      'accept.yaml',
      'schema_id: wrkr.accept_config\nschema_version: v1\ntest_command: "true"\nlint_command: "false"\n',
    );
    const submitted = await check('POST', '/v1/jobs:submit', '/v1/jobs:submit', {
      jobspec_path: spec,
      job_id: 'j',
    });
    expect(submitted).toMatchObject({
      status: 200,
      json: { job_id: 'j', status: 'blocked_decision', adapter: 'reference', spec_path: home.path(spec) },
    });
    const of = (suffix: string) => [`/v1/jobs/{job_id}${suffix}`, `/v1/jobs/j${suffix}`] as const;
    expect((await check('GET', ...of(':status'))).json).toMatchObject({ status: 'blocked_decision' });
    expect(
      (await check('GET', '/v1/jobs', '/v1/jobs?status=blocked_decision&limit=1')).json.jobs,
    ).toHaveLength(1);
    expect((await check('GET', '/v1/jobs', '/v1/jobs?status=completed')).json.jobs).toEqual([]);
    const view = (await check('GET', ...of(''))).json;
    expect(view.steps.map(({ state }: Any) => state)).toEqual(['succeeded', 'succeeded', 'waiting']);
    const [decision] = view.open_decisions;
    const checkpoints = (await check('GET', ...of('/checkpoints'))).json;
    expect(checkpoints.map(({ type }: Any) => type)).toEqual(['plan', 'progress', 'decision-needed']);
    const cp = '/v1/jobs/{job_id}/checkpoints/{checkpoint_id}';
    expect((await check('GET', cp, `/v1/jobs/j/checkpoints/${decision}`)).json).toEqual(checkpoints[2]);
    const first = (await check('GET', '/v1/jobs/{job_id}/events', '/v1/jobs/j/events?limit=3')).json;
    expect(first.events.map(({ seq }: Any) => seq)).toEqual([1, 2, 3]);
    const rest = (
      await check('GET', '/v1/jobs/{job_id}/events', `/v1/jobs/j/events?after=${first.next_after}`)
    ).json;
    expect(rest.events[0].seq).toBe(4);
    expect(rest.next_after).toBeUndefined();

    // Nothing goes on without the decision.
    expect((await check('POST', ...of(':resume'))).json).toMatchObject({
      code: 'E_CHECKPOINT_APPROVAL_REQUIRED',
      exit_code: 4,
    });
    const approval = { checkpoint_id: decision, reason: 'read it', approved_by: 'ana' };
    expect((await check('POST', ...of(':approve'), approval)).json).toMatchObject({
      approved_by: 'ana',
      checkpoint_id: decision,
    });
    expect((await check('POST', ...of(':resume'), {})).json).toMatchObject({
      job_id: 'j',
      status: 'completed',
      next_step_index: 3,
    });
    expect(await home.lines('ledger')).toEqual(['draft', 'publish']);

    expect((await check('GET', ...of(':jobpack'))).status).toBe(404);
    const accepted = await check('POST', ...of(':accept'), {});
    expect(accepted).toMatchObject({
      status: 200,
      json: { accept_result: { checks_run: 5, checks_passed: 4 } },
    });
    expect(Object.keys(accepted.json)).toEqual([
      'config_path',
      'accept_result_path',
      'accept_result',
      'checks',
    ]);
    expect((await check('POST', ...of(':accept'))).status).toBe(400); // the body is required
    const exported = (await check('POST', ...of(':export'))).json;
    expect((await check('POST', ...of(':verify'))).json.manifest_sha256).toBe(exported.manifest_sha256);
    const pack = await check('GET', ...of(':jobpack'));
    expect(pack.headers['content-disposition']).toBe('attachment; filename="jobpack_j.zip"');
    await home.write('downloaded.zip', pack.bytes);
    expect((await home.json(['verify', 'downloaded.zip'])).manifest_sha256).toBe(exported.manifest_sha256);
    expect((await check('POST', ...of(':report-github'), { out_dir: 'elsewhere' })).json.summary.job_id).toBe(
      'j',
    );
    expect(existsSync(home.path('elsewhere/reports/github_summary_j.md'))).toBe(true);

    // Steering one that runs: the first answer is there before the job is done.
    const gated = await home.spec([GATED, ledger('after')], { file: 'gated' });
    const started = await check('POST', '/v1/jobs:submit', '/v1/jobs:submit?wait=false', {
      jobspec_path: gated,
      job_id: 'g',
    });
    expect(started).toMatchObject({ status: 202, json: { job_id: 'g', status: 'queued' } });
    await until(async () => (await home.lines('ledger')).includes('begun'), 'the step began');
    expect(
      (await check('POST', '/v1/jobs/{job_id}:pause', '/v1/jobs/g:pause', { reason: 'lunch' })).json.status,
    ).toBe('paused');
    await home.write('gate', '');
    await until(async () => (await get('/v1/jobs/g')).json.worker === undefined, 'the worker let go');
    const resumed = await check('POST', '/v1/jobs/{job_id}:resume', '/v1/jobs/g:resume?wait=false', {});
    expect(resumed.status).toBe(202);
    await until(async () => (await get('/v1/jobs/g:status')).json.status === 'completed', 'the end');
    expect(await home.lines('ledger')).toEqual(['draft', 'publish', 'begun', 'gated', 'after']);
    await check('POST', '/v1/jobs:submit', '/v1/jobs:submit', { jobspec_path: spec, job_id: 'c' });
    expect((await check('POST', '/v1/jobs/{job_id}:cancel', '/v1/jobs/c:cancel')).json.status).toBe(
      'canceled',
    );
    for (const path of ['/healthz', '/readyz', '/openapi.json']) await check('GET', path, path);
    const printed = await home.run(['serve', '--print-openapi'], { program: 'reeve' });
    expect(printed.json).toEqual(document);
    const all = Object.entries<Any>(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect([...seen].toSorted()).toEqual(all.toSorted());
    server.running.kill('SIGTERM');
    expect((await server.running.ended).code).toBe(0);
  });

  test('W67 W68 W69 what is unknown is 404, what is unsafe is 400, and nothing is written', async ({
    home,
  }) => {
    const { get, post } = await serve(home, ['--max-body-bytes', '2000'], { env: env(home) });
    const spec = await home.spec([{}]);
    await post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' });
    for (const path of [
      '/',
      '/v1',
      '/v1/jobs/j:nope',
      '/v1/jobs/j/nope',
      '/v1/jobs/:status',
      '/v1/jobs:submit',
      '/v1/jobs/j:approve',
    ])
      expect(await get(path), path).toMatchObject({
        status: 404,
        json: { code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 },
      });
    for (const path of ['/v1/jobs', '/v1/jobs/j:status', '/v1/jobs/j/checkpoints'])
      expect((await post(path)).status, path).toBe(404);
    for (const path of [
      '/v1/jobs/nope',
      '/v1/jobs/nope:status',
      '/v1/jobs/nope/checkpoints',
      '/v1/jobs/nope/events',
      '/v1/jobs/nope:jobpack',
      '/v1/jobs/j/checkpoints/cp_99',
      '/v1/jobs/j/checkpoints/cp_011',
      '/v1/jobs/j/checkpoints/cp_1',
    ])
      expect(await get(path), path).toMatchObject({ status: 404, json: { code: 'E_INVALID_INPUT_SCHEMA' } });
    for (const verb of ['resume', 'pause', 'cancel', 'export', 'verify', 'report-github'])
      expect((await post(`/v1/jobs/nope:${verb}`)).status, verb).toBe(404);
    expect((await post('/v1/jobs/nope:accept', {})).status).toBe(404);
    expect((await post('/v1/jobs/nope:approve', { checkpoint_id: 'cp_1', reason: 'r' })).status).toBe(404);

    const before = readdirSync(home.cwd, { recursive: true, encoding: 'utf8' }).toSorted();
    for (const id of ['..', 'a..b', '%2e%2e', '..%2f..%2fetc', '%2e%2e%2f', '..%5c']) {
      expect(await get(`/v1/jobs/${id}:status`), id).toMatchObject({
        status: 400,
        json: { code: 'E_UNSAFE_OPERATION', exit_code: 8 },
      });
      expect((await post(`/v1/jobs/${id}:export`)).status, id).toBe(400);
    }
    for (const id of ['a%2fb', 'a%20b', '%00', '~', 'ä', '.', 'x'.repeat(201)].map((text) =>
      encodeURI(text).replaceAll('%25', '%'),
    ))
      expect(await get(`/v1/jobs/${id}:status`), id).toMatchObject({
        status: 400,
        json: { code: 'E_INVALID_INPUT_SCHEMA' },
      });
    expect((await get('/v1/jobs/%ff:status')).status).toBe(400);
    expect((await get('/v1/jobs/../../etc:status')).status).toBe(404);
    expect((await get('/v1/jobs/j/checkpoints/..')).status).toBe(400);

    await mkdir(`${home.dir}/outside`);
    await symlink(`${home.dir}/outside`, home.path('way_out'));
    await mkdir(home.path('half'));
    await symlink(`${home.dir}/outside`, home.path('half/jobpacks'));
    for (const value of [
      '../x',
      '..',
      'a/../../x',
      '/etc',
      `${home.cwd}/out`,
      'way_out',
      'way_out/deeper',
      'half',
      'x\\..\\y',
      'C:\\x',
      'a\0b',
    ]) {
      const refused = {
        status: 400,
        json: { code: 'E_UNSAFE_OPERATION', details: { field: 'out_dir', value } },
      };
      expect(await post('/v1/jobs/j:export', { out_dir: value }), value).toMatchObject(refused);
    }
    for (const [path, body, field] of [
      ['/v1/jobs:submit', { jobspec_path: '../job.json' }, 'jobspec_path'],
      ['/v1/jobs:submit', { jobspec_path: home.path(spec) }, 'jobspec_path'],
      ['/v1/jobs:submit', { jobspec_path: spec, job_id: 'a..b' }, 'job_id'],
      ['/v1/jobs/j:accept', { config_path: 'way_out/accept.yaml' }, 'config_path'],
      ['/v1/jobs/j:approve', { checkpoint_id: '..', reason: 'r' }, 'checkpoint_id'],
    ] as const)
      expect(await post(path, body), field).toMatchObject({
        status: 400,
        json: { code: 'E_UNSAFE_OPERATION', details: { field } },
      });
    for (const body of [
      {},
      { jobspec_path: 7 },
      { jobspec_path: spec, extra: 1 },
      { jobspec_path: '' },
      { jobspec_path: 'none.yaml' },
      { jobspec_path: spec, job_id: 'j' },
      [],
    ])
      expect(await post('/v1/jobs:submit', body)).toMatchObject({
        status: 400,
        json: { code: 'E_INVALID_INPUT_SCHEMA' },
      });
    expect(await post('/v1/jobs/j:export', { out_dir: 'x'.repeat(3000) })).toMatchObject({
      status: 400,
      json: { code: 'E_UNSAFE_OPERATION', details: { limit: 2000 } },
    });
    const after = readdirSync(home.cwd, { recursive: true, encoding: 'utf8' });
    expect(after.filter((name) => !/way_out|half/.test(name)).toSorted()).toEqual(before);
    expect(readdirSync(`${home.dir}/outside`)).toEqual([]);
  });

  test('strict statuses are those of the error table', async ({ home }) => {
    const { get, post } = await serve(home, ['--strict-status', '--max-body-bytes', '500'], {
      env: env(home),
    });
    const spec = await home.spec([DECISION, { command: 'exit 3', id: 'bad' }]);
    await post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' });
    expect((await post('/v1/jobs/j:resume')).status).toBe(428);
    expect((await post('/v1/jobs/j:pause')).status).toBe(409);
    expect((await post('/v1/jobs/j:export', { out_dir: 'x'.repeat(600) })).status).toBe(413);
    expect((await get('/v1/jobs/none:status')).status).toBe(404);
    const {
      open_decisions: [checkpoint_id],
    } = (await get('/v1/jobs/j')).json;
    await post('/v1/jobs/j:approve', { checkpoint_id, reason: 'ok' });
    expect(await post('/v1/jobs/j:resume')).toMatchObject({
      status: 422,
      json: { code: 'E_ADAPTER_FAIL', details: { step_id: 'bad', exit_code: 3 } },
    });
    await post('/v1/jobs/j:cancel');
    expect(await post('/v1/jobs/j:resume')).toMatchObject({
      status: 409,
      json: { code: 'E_INVALID_STATE_TRANSITION' },
    });
  });

  test('W66 a server that others can reach needs each of its protections', async ({ home }) => {
    const safe = ['--allow-non-loopback', '--auth-token', 'tok', '--max-body-bytes', '1000'];
    const without = (...names: readonly string[]): string[] => {
      const at = safe.indexOf(names[0] ?? '');
      return safe.toSpliced(at, names.length);
    };
    const missing = [
      [],
      without('--allow-non-loopback'),
      without('--auth-token', 'tok'),
      without('--max-body-bytes', '1000'),
    ];
    const listens = [':0', '[::]:0', '192.0.2.1:0', 'example.org:0'];
    const starts = [
      ...missing.map((flags) => ['0.0.0.0:0', ...flags]),
      ...listens.map((listen) => [listen, ...without('--auth-token', 'tok')]),
    ];
    await Promise.all(
      starts.map(async ([listen = '', ...flags]) => {
        const { code, error, stdout } = await home.run(['--json', 'serve', '--listen', listen, ...flags]);
        const about = { code: 'E_UNSAFE_OPERATION', exit_code: 8, details: { listen } };
        expect({ code, stdout, error }).toMatchObject({ code: 8, stdout: '', error: about });
      }),
    );
    const { stderr: told } = await home.run(['serve', '--listen', '0.0.0.0:0']);
    expect(told.split('\n')).toEqual([
      expect.stringMatching(/^E_UNSAFE/),
      expect.stringMatching(/^ {2}hint: /),
      '',
    ]);
    const running = home.start(['serve', '--listen', '0.0.0.0:0', ...safe]);
    await running.until('it listens', () => running.stdout.includes('listening'));
    const [, port = ''] = /listening on 0\.0\.0\.0:(\d+)\n/.exec(running.stdout) ?? [];
    expect(running.stderr).toContain('--auth-token-file');
    expect((await ask(`127.0.0.1:${port}`, 'GET', '/v1/jobs')).status).toBe(401);
    expect((await ask(`127.0.0.1:${port}`, 'GET', '/v1/jobs', { token: 'tok' })).status).toBe(200);
    running.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
    expect(existsSync(home.store)).toBe(true);
  });

  test('what it cannot be started with is said before anything is opened', async ({ session: home }) => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    try {
      expect(await home.fails(['serve', '--listen', `127.0.0.1:${port}`])).toMatchObject({
        code: 'E_LISTEN_FAILED',
        exit_code: 1,
        details: { cause: 'EADDRINUSE' },
      });
    } finally {
      taken.close();
    }
    await home.write('token', 'tok en\n');
    await home.write(
      'approvers.json',
      '{"approvers":[{"name":"ana","token":"s3cret"},{"name":"ben","token":"s3cret"}]}',
    );
    await home.write('broken.json', '{"approvers":[{"name":"ana","tokn":"s3cret"}]}');
    for (const flags of [
      ['--listen', 'localhost'],
      ['--listen', '127.0.0.1:70000'],
      ['--auth-token', ''],
      ['--auth-token-file', 'absent'],
      ['--auth-token-file', 'token'],
      ['--auth-token-file', 'token', '--auth-token', 'x'],
      ['--approvers', 'approvers.json'],
      ['--approvers', 'broken.json'],
      ['--max-body-bytes', '0'],
      ['--concurrency', '257'],
    ]) {
      const { code, error, stderr } = await home.run(['serve', ...flags, '--json']);
      expect({ flags, code, error }).toMatchObject({ code: 6, error: { code: 'E_INVALID_INPUT_SCHEMA' } });
      expect(stderr).not.toMatch(/s3cret|tok en/);
    }
  });

  test('the token is the same from a file, a variable or a flag, and no step can see it', async ({
    home,
  }) => {
    await home.write('token', 'from-file\n');
    const spec = await home.spec([{ id: 'look', command: 'env > seen' }]);
    const variables = { ...env(home), WRKR_SERVE_AUTH_TOKEN: 'from-variable' };
    const server = await serve(home, ['--json', '--log'], { env: variables });
    await server.running.until('its JSON', () => server.running.stdout.endsWith('}\n'));
    expect(JSON.parse(server.running.stdout)).toEqual({
      allow_non_loopback: false,
      auth_enabled: true,
      listen: server.address,
      max_body_bytes: 1_048_576,
    });
    expect((await server.get('/v1/jobs', { token: 'from-file' })).status).toBe(401);
    expect((await server.get('/v1/jobs', { token: 'from-variable' })).status).toBe(200);
    await server.post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' }, { token: 'from-variable' });
    expect(await home.read('seen')).toContain('HOME=');
    expect(await home.read('seen')).not.toContain('from-variable');
    server.running.kill('SIGTERM');
    const { stderr } = await server.running.ended;
    expect(stderr.match(/"request_id"/g)).toHaveLength(3);
    expect(stderr).not.toContain('from-variable');
    const filed = await serve(home, ['--auth-token-file', 'token'], { env: variables });
    expect((await filed.get('/v1/jobs', { token: 'from-file' })).status).toBe(200);
    expect((await filed.get('/v1/jobs', { token: 'from-variable' })).status).toBe(401);
  });

  test('with an approvers file the token says who decided, and nobody else decides', async ({ home }) => {
    const sha256 = createHash('sha256').update("ana's token").digest('hex');
    await home.write(
      'approvers.json',
      JSON.stringify({ approvers: [{ name: 'ana', token_sha256: sha256 }] }),
    );
    await home.write('token', 'shared');
    const { get, post } = await serve(home, ['--approvers', 'approvers.json', '--auth-token-file', 'token'], {
      env: env(home),
    });
    const spec = await home.spec([DECISION]);
    await post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' }, { token: 'shared' });
    const view = await get('/v1/jobs/j', { token: 'shared' });
    const body = { checkpoint_id: view.json.open_decisions[0], reason: 'fine', approved_by: 'the boss' };
    expect(await post('/v1/jobs/j:approve', body, { token: 'shared' })).toMatchObject({
      status: 403,
      json: { code: 'E_UNSAFE_OPERATION' },
    });
    expect((await post('/v1/jobs/j:resume', { max_step_count: 9 }, { token: 'shared' })).status).toBe(403);
    expect((await post('/v1/jobs/j:approve', body)).status).toBe(401);
    expect(
      (await post('/v1/jobs/j:approve', body, { headers: { authorization: "ana's token" } })).json,
    ).toMatchObject({ approved_by: 'ana' });
    expect((await post('/v1/jobs/j:resume', {}, { token: 'shared' })).json).toMatchObject({
      status: 'completed',
    });
  });

  test('a client that goes away leaves its job running', async ({ home }) => {
    const { get, post } = await serve(home, [], { env: env(home) });
    const spec = await home.spec([GATED]);
    const gone = new AbortController();
    const waiting = post(
      '/v1/jobs:submit',
      { jobspec_path: spec, job_id: 'j' },
      { signal: gone.signal },
    ).catch((error: Error) => error.name);
    await until(async () => (await home.lines('ledger')).includes('begun'), 'the step began');
    gone.abort();
    expect(await waiting).toBe('AbortError');
    await home.write('gate', '');
    await until(async () => (await get('/v1/jobs/j:status')).json.status === 'completed', 'the end');
    expect(await home.lines('ledger')).toEqual(['begun', 'gated']);
  });

  test('kill -9 of the server: the next one goes on with its jobs, and no step runs twice', async ({
    home,
  }) => {
    const spec = await home.spec([ledger('one'), GATED, ledger('three')]);
    const first = await serve(home, [], { env: env(home) });
    await first.post('/v1/jobs:submit?wait=false', { jobspec_path: spec, job_id: 'j' });
    await until(async () => (await home.lines('ledger')).includes('begun'), 'the step began');
    first.running.kill('SIGKILL');
    await first.running.ended;
    const second = await serve(home, [], { env: env(home) });
    await until(
      async () => (await second.get('/v1/jobs/j')).json.worker?.worker_id === `work-${second.running.pid}`,
      'the takeover',
    );
    await home.write('gate', '');
    await until(async () => (await second.get('/v1/jobs/j:status')).json.status === 'completed', 'the end');
    expect(await home.lines('ledger')).toEqual(['one', 'begun', 'gated', 'three']);
  });

  test('a stopped server hands its jobs back; whoever waits is told, and the next one goes on', async ({
    home,
  }) => {
    // Longer than the test: what goes on was handed back.
    const lasting = { ...env(home), REEVE_LEASE_TTL_MS: '120000' };
    const spec = await home.spec([ledger('one'), GATED]);
    const foreground = await home.spec([DECISION, GATED], { file: 'foreground' });
    await home.run(['submit', foreground, '--job-id', 'f'], { program: 'reeve', env: lasting });
    const first = await serve(home, [], { env: lasting });
    const {
      open_decisions: [checkpoint_id],
    } = (await first.get('/v1/jobs/f')).json;
    await first.post('/v1/jobs/f:approve', { checkpoint_id, reason: 'ok' });
    const waiting = [
      first.post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' }),
      first.post('/v1/jobs/f:resume'),
    ];
    await until(
      async () => (await home.lines('ledger')).filter((line) => line === 'begun').length === 2,
      'both began',
    );
    first.running.kill('SIGTERM');
    for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(202);
    expect((await first.running.ended).code).toBe(0);
    await home.write('gate', '');
    const second = await serve(home, [], { env: lasting });
    await until(async () => (await second.get('/v1/jobs/j:status')).json.status === 'completed', 'the end');
    // One that was not made for the queue waits for whoever resumes it.
    expect((await second.get('/v1/jobs/f:status')).json).toMatchObject({ status: 'paused' });
    expect((await second.post('/v1/jobs/f:resume')).json).toMatchObject({ status: 'completed' });
  });

  test('two servers share one store: each sees and runs what the other took in', async ({ home }) => {
    const front = await serve(home, ['--concurrency', '0'], { env: env(home) });
    const spec = await home.spec([ledger('one')]);
    const waiting = front.post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' });
    const back = await serve(home, [], { env: env(home) });
    expect((await waiting).json).toMatchObject({ status: 'completed' });
    const names = Array.from({ length: 10 }, (_, n) => `many_${n}`);
    const many = names.map((job_id, n) =>
      (n % 2 === 0 ? front : back).post('/v1/jobs:submit', { jobspec_path: spec, job_id }),
    );
    for (const answer of await Promise.all(many)) expect(answer.json).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toHaveLength(11);
  });

  test('W71 eight clients read while a long job runs, without an error', async ({ home }) => {
    const { get, post } = await serve(home, [], { env: env(home) });
    const spec = await home.spec([ledger('one'), GATED]);
    await post('/v1/jobs:submit?wait=false', { jobspec_path: spec, job_id: 'j' });
    await until(async () => (await home.lines('ledger')).includes('begun'), 'the step began');
    const paths = ['/v1/jobs/j:status', '/v1/jobs/j/checkpoints', '/v1/jobs', '/v1/jobs/j'];
    const client = async (): Promise<number[]> => {
      const found: number[] = [];
      for (let n = 0; n < 120; n += 1) found.push((await get(paths[n % paths.length] ?? '')).status);
      return found;
    };
    const found = (await Promise.all(Array.from({ length: 8 }, client))).flat();
    expect(new Set(found)).toEqual(new Set([200]));
    expect(found).toHaveLength(960);
    await home.write('gate', '');
  });

  test('a damaged job is no reason for the others to stop', async ({ home }) => {
    const { get, post } = await serve(home, [], { env: env(home) });
    await mkdir(`${home.store}/jobs/damaged`, { recursive: true });
    await home.write('../.wrkr/jobs/damaged/events.jsonl', 'no json\n');
    expect(await get('/v1/jobs/damaged:status')).toMatchObject({
      status: 500,
      json: { code: 'E_STORE_CORRUPT' },
    });
    expect((await post('/v1/jobs/damaged:pause')).status).toBe(400);
    const spec = await home.spec([ledger('one')]);
    expect((await post('/v1/jobs:submit', { jobspec_path: spec })).json).toMatchObject({
      status: 'completed',
    });
  });
});
