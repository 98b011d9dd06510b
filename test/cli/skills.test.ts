// `reeve skills …` as people and workflows use it: against a real control plane, and a real agent that decides by itself.
import { readFile } from 'node:fs/promises';
import { describe, expect, vi } from 'vitest';
import { ask, type Answer } from '../server/client.ts';
import { test, type Any, type Home, type Result, type RunOptions } from './rig.ts';

const TOKENS = {
  JARVAS_OPERATOR_TOKEN: 'operator-of-this-test',
  JARVAS_ENROL_TOKEN: 'enrolment-of-this-test',
};
const PATIENCE = { timeout: 60_000, interval: 50 };
const reeve = (home: Home, args: readonly string[], options: RunOptions = {}): Promise<Result> =>
  home.run(['skills', ...args], { program: 'reeve', ...options });

async function good(home: Home, args: readonly string[], options: RunOptions = {}): Promise<Any> {
  const [verb = '', ...rest] = args;
  const result = await reeve(home, [verb, '--json', ...rest], options);
  expect(result.code, result.stderr).toBe(0);
  return result.json;
}

async function bad(home: Home, args: readonly string[], options: RunOptions = {}): Promise<Any> {
  const result = await reeve(home, [...args, '--json'], options);
  expect(result.code, result.stdout).toBe(result.error?.exit_code);
  return result.error;
}

/** A skill that says its arguments. */
async function writeSkill(home: Home, version = '1.0.0', more: object = {}): Promise<string> {
  const manifest = {
    name: 'probe',
    version,
    pillar: 'devsecops',
    description: 'says its arguments',
    entry: 'check.mjs',
    interpreter: 'node',
    args: [{ name: 'apply', type: 'bool', default: false }],
    ...more,
  };
  await home.write('probe/skill.json', JSON.stringify(manifest));
  await home.write('probe/README.md', '# probe\n');
  await home.write('probe/tests/cases.json', '[]');
  const code = "console.log('OK: done', ...process.argv.slice(2));";
  await home.write('probe/check.mjs', code);
  return 'probe';
}
async function keys(home: Home, ...names: readonly string[]): Promise<void> {
  for (const name of names)
    await home.run(['keys', 'generate', '--out', `${name}.pem`], { program: 'reeve' });
}

describe.concurrent('skills package, list, show, validate', () => {
  test('J22 those that come with reeve are found by name, and their packages are the same every time', async ({
    home,
  }) => {
    const { skills } = await good(home, ['list']);
    expect(skills).toHaveLength(24);
    const shown = await good(home, ['show', 'zombie_cleanup']);
    expect(shown).toMatchObject({ name: 'zombie_cleanup', destructive: true });
    const first = await reeve(home, ['package', 'zombie_cleanup', '--out', 'a']);
    expect(first.stdout).toBe(`${shown.digest}  ${home.path('a/zombie_cleanup-1.0.0.tar.gz')}\n`);
    await reeve(home, ['package', 'zombie_cleanup', '--out', 'b']);
    const [a, b] = await Promise.all(
      ['a', 'b'].map((out) => readFile(home.path(`${out}/zombie_cleanup-1.0.0.tar.gz`))),
    );
    expect(a!.equals(b!)).toBe(true);
    expect((await good(home, ['show', 'a/zombie_cleanup-1.0.0.tar.gz'])).digest).toBe(shown.digest);
  });

  test('J22 validate tells of each skill whether it is good, with a digest or a reason, and exits with 1', async ({
    home,
  }) => {
    await writeSkill(home);
    const result = await reeve(home, ['validate', 'probe', 'zombie_cleanup', '--json']);
    expect(result.code).toBe(1);
    expect(result.json.ok).toBe(false);
    const [probe, own] = result.json.skills;
    expect(probe).toMatchObject({ ok: false, problems: [{ reason: 'bad_cases', file: 'tests/cases.json' }] });
    expect(own).toMatchObject({ ok: true, name: 'zombie_cleanup', cases: 8, problems: [] });
    expect(own.digest).toBe((await good(home, ['show', 'zombie_cleanup'])).digest);
    const text = await reeve(home, ['validate', 'probe']);
    expect([text.code, text.stdout]).toEqual([1, expect.stringMatching(/^bad \S+probe: bad_cases: /)]);
  });

  test('what is not there, or no skill, is said, and nothing is written', async ({ home }) => {
    expect(await bad(home, ['package', 'nothing'])).toMatchObject({ code: 'E_USAGE' });
    await home.write('empty/file', '');
    expect(await bad(home, ['package', 'empty'])).toMatchObject({ details: { reason: 'bad_manifest' } });
    expect(await bad(home, ['package'])).toMatchObject({ code: 'E_USAGE' });
  });
});

describe.concurrent('skills sign', () => {
  test('adds, replaces and removes entries, raises the serial; a second signer adds a signature', async ({
    home,
  }) => {
    await keys(home, 'ada', 'bob');
    await writeSkill(home);
    const first = await good(home, [
      'sign',
      'probe',
      '--key',
      'ada.pem',
      '--command',
      'df -h',
      '--days',
      '7',
    ]);
    expect(first).toMatchObject({ serial: 1, tenant: 'default', entries: 2, replaced: [] });
    const days = (Date.parse(first.expires_at) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(7);
    const co = await good(home, ['sign', '--key', 'bob.pem']);
    expect(co).toMatchObject({ serial: 1, entries: 2 });
    expect(co.signed_by).toHaveLength(2);
    await writeSkill(home, '1.1.0');
    const next = await good(home, [
      'sign',
      'probe',
      '--remove',
      'probe@1.0.0',
      '--key',
      'ada.pem',
      '--',
      'uptime',
      '-p',
    ]);
    expect(next).toMatchObject({ serial: 2, entries: 3, removed: ['probe@1.0.0'] });
    expect(next.added).toEqual(expect.arrayContaining(['probe@1.1.0']));
    expect(next.signed_by).toHaveLength(1); // of another document
    await home.write('probe/README.md', '# changed\n');
    expect(await good(home, ['sign', 'probe', '--key', 'ada.pem'])).toMatchObject({
      serial: 3,
      replaced: ['probe@1.1.0'],
    });
  });

  test('an entry that somebody slipped into the list is not signed along', async ({ home }) => {
    await keys(home, 'ada', 'eve');
    await writeSkill(home);
    await good(home, ['sign', 'probe', '--key', 'eve.pem', '--command', 'rm -rf /']);
    const before = await home.read('allowlist.json');
    await writeSkill(home, '1.1.0');
    expect(await bad(home, ['sign', 'probe', '--key', 'ada.pem'])).toMatchObject({
      code: 'E_UNSAFE_OPERATION',
    });
    expect(await home.read('allowlist.json')).toBe(before);
    const known = ['sign', 'probe', '--key', 'ada.pem', '--public-key', 'eve.pem.pub'];
    expect(await good(home, known)).toMatchObject({ serial: 2 });
  });

  test('nothing to sign, a tenant that is not the list’s, and a key that is none are said', async ({
    home,
  }) => {
    await keys(home, 'ada');
    expect(await bad(home, ['sign', '--key', 'ada.pem'])).toMatchObject({ code: 'E_USAGE' });
    await writeSkill(home);
    expect(await bad(home, ['sign', 'probe', '--key', 'ada.pem.pub'])).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
    });
    await good(home, ['sign', 'probe', '--key', 'ada.pem', '--tenant', 'acme']);
    expect(await bad(home, ['sign', 'probe', '--key', 'ada.pem', '--tenant', 'other'])).toMatchObject({
      code: 'E_USAGE',
    });
    expect(await bad(home, ['sign', '--remove', 'probe@9.9.9', '--key', 'ada.pem'])).toMatchObject({
      code: 'E_USAGE',
    });
  });
});

interface World {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  send(method: string, path: string, body?: unknown): Promise<Answer>;
  task(more: object): Promise<string>;
  ended(id: string, status: string): Promise<Any>;
  output(task: Any): Promise<string>;
}

/** A control plane and an agent that both trust `ada`. */
async function world(home: Home): Promise<World> {
  await keys(home, 'ada');
  const argv = ['serve', 'control-plane', '--port', '0', '--trust-keys', 'ada.pem.pub'];
  const plane = home.start(argv, { program: 'reeve', env: TOKENS });
  await plane.until('it listens', () => /listening on \S+\n/.test(plane.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(plane.stdout) ?? [];
  const url = address.startsWith('http') ? address : `http://${address}`;
  const send = (method: string, path: string, body?: unknown): Promise<Answer> =>
    ask(url.replace('http://', ''), method, path, {
      ...(body === undefined ? {} : { body }),
      headers: { authorization: `Bearer ${TOKENS.JARVAS_OPERATOR_TOKEN}` },
    });
  const agent = home.start(['agent', '--url', url], {
    program: 'reeve',
    env: {
      JARVAS_ENROL_TOKEN: TOKENS.JARVAS_ENROL_TOKEN,
      JARVAS_AGENT_ID: 'web-1',
      JARVAS_TRUST_KEYS: home.path('ada.pem.pub'),
      JARVAS_POLL_S: '1',
      JARVAS_ALLOW_ROOT: '1',
      DATA_DIR: home.path('data'),
      RUNS_DIR: home.path('runs'),
    },
  });
  await agent.until('it is registered', () => /registered/.test(agent.stdout + agent.stderr));
  return {
    url,
    env: { CONTROL_URL: url, JARVAS_OPERATOR_TOKEN: TOKENS.JARVAS_OPERATOR_TOKEN },
    send,
    async task(more) {
      const skill = { name: 'probe', version: '1.0.0' };
      const { status, json } = await send('POST', '/tasks', { action: 'probe', skill, ...more });
      expect(status, JSON.stringify(json)).toBe(201);
      return json.task_id;
    },
    output: async ({ run_id }) => (await send('GET', `/runs/${run_id}/files/artifacts/output.raw`)).text,
    ended: (id, status) =>
      vi.waitFor(async () => {
        const { json } = await send('GET', `/tasks/${id}`);
        expect(json).toMatchObject({ status });
        return json;
      }, PATIENCE),
  };
}

describe.concurrent('skills publish and approve', () => {
  test('J16 J17 what is packaged, signed and published runs; other bytes are neither published nor run', async ({
    home,
  }) => {
    const plane = await world(home);
    await writeSkill(home);
    const signed = await good(home, ['sign', 'probe', '--key', 'ada.pem']);
    expect(signed.serial).toBe(1);
    const published = await good(home, ['publish', 'probe'], { env: plane.env });
    expect(published).toMatchObject({
      skills: [{ name: 'probe', version: '1.0.0' }],
      allowlist: { serial: 1 },
    });
    expect(await good(home, ['publish', 'probe'], { env: plane.env })).toEqual(published); // again changes nothing
    const listed = await good(home, ['list', '--url', plane.url], { env: plane.env });
    expect(listed.skills).toEqual(published.skills);
    expect(await plane.output(await plane.ended(await plane.task({}), 'succeeded'))).toBe('OK: done\n');

    await home.write('probe/README.md', '# other bytes\n');
    expect(await bad(home, ['publish', 'probe'], { env: plane.env })).toMatchObject({ code: 'E_USAGE' });
    // Signed anew, but the version is published with other bytes.
    await good(home, ['sign', 'probe', '--key', 'ada.pem']);
    const refused = await bad(home, ['publish', 'probe'], { env: plane.env });
    expect(refused).toMatchObject({
      code: 'E_SERVICE_REFUSED',
      details: { status: 409, code: 'already_published' },
    });
    await good(home, ['publish'], { env: plane.env });
    const task = await plane.ended(await plane.task({}), 'refused');
    expect(task.result).toMatchObject({ outcome: 'refused', reason: 'digest_mismatch' });
    expect(await plane.output(task)).toBe('');
  });

  test('a destructive task waits until it is approved, then runs; with another key its agent refuses it', async ({
    home,
  }) => {
    const plane = await world(home);
    await keys(home, 'eve');
    await writeSkill(home, '1.0.0', { destructive: true });
    await good(home, ['sign', 'probe', '--key', 'ada.pem']);
    await good(home, ['publish', 'probe'], { env: plane.env });
    const [waiting, second] = [
      await plane.task({ args: { apply: true } }),
      await plane.task({ args: { apply: 'true' } }),
    ];
    // Whatever comes after it goes past it.
    await plane.ended(await plane.task({}), 'succeeded');
    const { json } = await plane.send('GET', `/tasks/${waiting}`);
    expect(json).toMatchObject({ status: 'queued', waits_for: 'approval', attempt: 0 });

    expect(
      await bad(home, ['approve', waiting, '--key', 'ada.pem', '--digest', 'sha256:0'], { env: plane.env }),
    ).toMatchObject({ code: 'E_USAGE' });
    const approval = await good(home, ['approve', waiting, '--key', 'ada.pem', '--minutes', '5'], {
      env: plane.env,
    });
    expect(approval).toMatchObject({ task_id: waiting, approver: 'ada', args: { apply: true } });
    const done = await plane.ended(waiting, 'succeeded');
    expect(done.waits_for).toBeUndefined();
    expect(await plane.output(done)).toBe('OK: done --apply\n');

    // The control plane takes any approval; who may give one is the agent's business.
    await good(home, ['approve', second, '--key', 'eve.pem'], { env: plane.env });
    expect((await plane.ended(second, 'refused')).result).toMatchObject({ reason: 'bad_signature' });
    expect(await bad(home, ['approve', second, '--key', 'ada.pem'], { env: plane.env })).toMatchObject({
      code: 'E_USAGE',
    });
    const { json: audit } = await plane.send('GET', '/audit');
    expect(JSON.stringify(audit)).toContain('task.approve');
  });
});
