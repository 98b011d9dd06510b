// Verified runs: what is not allowed is not executed, and what is allowed is what was signed (contract agents §5).
import { existsSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import type { AllowListEntry } from '../../src/policy/allow-list/schema.ts';
import {
  digestOfBytes,
  digestOfCommand,
  signAllowList,
  signApproval,
  textOf,
} from '../../src/policy/allow-list/sign.ts';
import { testKey } from '../policy/support.ts';
import {
  logOf,
  metaOf,
  outputOf,
  packageOf,
  runOnce,
  startRun,
  summaryOf,
  tree,
  TREE,
} from './operational.ts';
import { type Home, type Result, test } from './rig.ts';

const ADA = testKey('a');
const EVE = testKey('e');
const TOUCH = `import { writeFileSync } from 'node:fs'; writeFileSync('ran', process.argv.slice(2).join());`;
const DESTRUCTIVE = { destructive: true, args: [{ name: 'apply', type: 'bool', default: false }] };
const ENV = { CONFIG_DIR: 'config', DATA_DIR: 'data' };

interface World {
  readonly entries?: readonly AllowListEntry[];
  readonly document?: object;
  readonly config?: object;
  readonly signer?: typeof ADA;
  readonly script?: string;
  readonly manifest?: object;
}

/** A machine with a skill and an allow-list that allows it. */
async function world(home: Home, { script = TOUCH, manifest = {}, ...more }: World = {}): Promise<Buffer> {
  const bytes = packageOf(script, manifest);
  await home.write('data/skills/probe-1.0.0.tar.gz', bytes);
  await home.write('config/trust.json', trustOf(ADA));
  await allow(home, { entries: [entryOf(bytes)], ...more });
  return bytes;
}

async function allow(
  home: Home,
  { entries = [], document = {}, config, signer = ADA }: World,
): Promise<void> {
  const list = {
    version: 1 as const,
    tenant: 'default',
    serial: 5,
    issued_at: '2020-01-01T00:00:00Z',
    expires_at: '2999-01-01T00:00:00Z',
    entries,
    ...document,
  };
  await home.write('config/allowlist.json', textOf(signAllowList(list, [signer])));
  if (config !== undefined) await home.write('config/config.json', JSON.stringify(config));
}

function trustOf(key: typeof ADA): string {
  return JSON.stringify({
    schema_id: 'reeve.trust',
    schema_version: 'v1',
    keys: [{ name: 'ada', public_key: key.publicKey.pem }],
  });
}

function entryOf(bytes: Uint8Array, more: object = {}): AllowListEntry {
  return { kind: 'skill', name: 'probe', version: '1.0.0', digest: digestOfBytes(bytes), ...more };
}

const SKILL = ['--skill', 'probe@1.0.0'];

/** Nothing ran, and every file says why. */
function expectRefused(home: Home, { code, stderr }: Result, reason: string): void {
  expect([code, metaOf(home).reason]).toEqual([126, reason]);
  expect(stderr).toMatch(/^E_UNSAFE_OPERATION: /);
  expect(existsSync(home.path('ran'))).toBe(false);
  expect(tree(home)).toEqual(TREE);
  expect(outputOf(home)).toBe('');
  expect(metaOf(home).outcome).toBe('refused');
  expect(summaryOf(home)).toMatchObject({ exit_code: 126, status: 'FAILED' });
  expect(logOf(home).slice(4)).toEqual([
    '--- COMMAND OUTPUT BEGIN ---',
    `PHASE: REFUSED ${reason}`,
    '--- COMMAND OUTPUT END ---',
    'PHASE: COMPLETED',
    'EXIT:126',
    '',
  ]);
}

describe.concurrent('J16: what is refused', () => {
  test('nothing, when everything is right', async ({ home }) => {
    const bytes = await world(home);
    expect((await runOnce(home, SKILL, { env: ENV })).code).toBe(0);
    expect(existsSync(home.path('ran'))).toBe(true);
    expect(metaOf(home)).toMatchObject({
      command_digest: digestOfBytes(bytes),
      skill: { name: 'probe', version: '1.0.0', digest: digestOfBytes(bytes) },
    });
  });

  const cases: readonly [string, string, World][] = [
    ['a skill that is not listed', 'not_listed', { entries: [] }],
    ['an altered package', 'digest_mismatch', { entries: [entryOf(packageOf('another'))] }],
    ['a list that has ended', 'expired', { document: { expires_at: '2021-01-01T00:00:00Z' } }],
    ['a list that a stranger signed', 'bad_signature', { signer: EVE }],
    ["another tenant's list", 'bad_signature', { document: { tenant: 'acme' } }],
    ['a destructive skill without an approval', 'needs_approval', { manifest: DESTRUCTIVE }],
  ];
  for (const [name, reason, parts] of cases) {
    test(name, async ({ home }) => {
      await world(home, parts);
      const args = reason === 'needs_approval' ? ['--arg', 'apply=true'] : [];
      expectRefused(home, await runOnce(home, [...SKILL, ...args], { env: ENV }), reason);
    });
  }

  test('an older list than one that was accepted', async ({ home }) => {
    const bytes = await world(home);
    await runOnce(home, ['--run-id', 'first', ...SKILL], { env: ENV });
    await allow(home, { entries: [entryOf(bytes)], document: { serial: 4 } });
    await rm(home.path('ran'));
    expectRefused(home, await runOnce(home, SKILL, { env: ENV }), 'rollback');
  });

  test('arguments that were not signed for', async ({ home }) => {
    const bytes = packageOf(TOUCH);
    const schema = [{ name: 'text', type: 'enum', enum: ['yes'] }] as const;
    await world(home, { entries: [entryOf(bytes, { args_schema: schema })] });
    expectRefused(home, await runOnce(home, [...SKILL, '--arg', 'text=no'], { env: ENV }), 'args_invalid');
  });

  test('a secret that the entry does not grant', async ({ home }) => {
    await world(home);
    const env = { ...ENV, MINE: 'my-secret-value' };
    expectRefused(home, await runOnce(home, [...SKILL, '--env-ref', 'MINE'], { env }), 'privileged');
  });

  test('commands, unless they are listed and this machine takes any', async ({ home }) => {
    const command = 'touch ran';
    const listed: readonly AllowListEntry[] = [{ kind: 'command', digest: digestOfCommand(command) }];
    await world(home, { entries: listed });
    expectRefused(home, await runOnce(home, ['--command', command], { env: ENV }), 'raw_disabled');
    await allow(home, { entries: listed, config: { allow_raw: true } });
    const other = await runOnce(home, ['--run-id', 'b', '--command', 'touch  ran'], { env: ENV });
    expect([other.code, metaOf(home, 'b').reason]).toEqual([126, 'not_listed']);
    expect(existsSync(home.path('ran'))).toBe(false);
    expect((await runOnce(home, ['--run-id', 'c', '--command', command], { env: ENV })).code).toBe(0);
    expect(existsSync(home.path('ran'))).toBe(true);
  });

  test('everything, with JARVAS_VERIFY=on and no list; and the word is checked', async ({ home }) => {
    const touch = ['--command', 'touch ran'];
    expectRefused(home, await runOnce(home, touch, { env: { JARVAS_VERIFY: 'on' } }), 'not_listed');
    const skill = await runOnce(home, ['--run-id', 's', ...SKILL], { env: { JARVAS_VERIFY: 'on' } });
    expect([skill.code, metaOf(home, 's').reason]).toEqual([126, 'not_listed']);
    expect((await runOnce(home, ['--run-id', 'x', ...touch], { env: { JARVAS_VERIFY: 'yes' } })).code).toBe(
      2,
    );
  });

  test('a list that is there counts also with JARVAS_VERIFY=off', async ({ home }) => {
    await world(home, { entries: [] });
    expectRefused(home, await runOnce(home, SKILL, { env: { ...ENV, JARVAS_VERIFY: 'off' } }), 'not_listed');
  });
});

describe.concurrent('what is executed', () => {
  test('a destructive skill acts with an approval of this run and package', async ({ home }) => {
    const bytes = await world(home, { manifest: DESTRUCTIVE });
    const approval = {
      task_id: 'r',
      digest: digestOfBytes(bytes),
      approver: 'ada',
      expires_at: '2999-01-01T00:00:00Z',
    };
    await home.write('config/approvals/r.json', JSON.stringify(signApproval(approval, ADA)));
    expect((await runOnce(home, [...SKILL, '--arg', 'apply=true'], { env: ENV })).code).toBe(0);
    expect(await home.read('ran')).toBe('--apply');
  });

  test('J17: a package that is exchanged while it runs changes nothing', async ({ home }) => {
    // It reads its own file after the package was replaced: the copy is still what was signed.
    const script = `import { readFileSync, writeFileSync } from 'node:fs';
      writeFileSync('data/skills/probe-1.0.0.tar.gz', 'exchanged');
      let own = 'writable';
      try { writeFileSync(new URL(import.meta.url), 'exchanged'); } catch (error) { own = error.code; }
      console.log(own, readFileSync(new URL(import.meta.url), 'utf8').length);`;
    const bytes = await world(home, { script });
    expect((await runOnce(home, SKILL, { env: ENV })).code).toBe(0);
    expect(outputOf(home).split(' ')[1]).toBe(`${script.length}\n`);
    expect(metaOf(home).command_digest).toBe(digestOfBytes(bytes));
    const again = await runOnce(home, ['--run-id', 'again', ...SKILL], { env: ENV });
    expect([again.code, metaOf(home, 'again').reason]).toEqual([126, 'digest_mismatch']);
  });

  test('J18: arguments of a skill arrive literally', async ({ home }) => {
    await world(home, { script: 'console.log(JSON.stringify(process.argv.slice(2)))' });
    const text = `$(touch pwned); \`id\` "'| > x *`;
    await runOnce(home, [...SKILL, '--arg', `text=${text}`], { env: ENV });
    expect(JSON.parse(outputOf(home))).toEqual([`--text=${text}`]);
  });

  test('J30: a secret argument is in no process list', async ({ home }) => {
    const script = `import { readFileSync } from 'node:fs';
      console.log(readFileSync('/proc/self/cmdline', 'utf8').includes('hush-hush'), process.env.JARVAS_ARG_KEY === 'hush-hush-1');`;
    const bytes = packageOf(script);
    await world(home, { script, entries: [entryOf(bytes, { env_refs: ['MINE'] })] });
    const env = { ...ENV, MINE: 'hush-hush-1' };
    expect((await runOnce(home, [...SKILL, '--arg', 'key=MINE', '--env-ref', 'MINE'], { env })).code).toBe(0);
    expect(outputOf(home)).toBe('false true\n');
    const direct = await runOnce(home, ['--run-id', 'd', ...SKILL, '--arg', 'key=hush-hush-1'], { env });
    expect([direct.code, metaOf(home, 'd').reason]).toEqual([126, 'args_invalid']);
  });

  test('a package that is none ends with 125 and all files', async ({ home }) => {
    await home.write('data/skills/probe-1.0.0.tar.gz', 'no package');
    const { code, stderr } = await runOnce(home, SKILL, { env: { DATA_DIR: 'data' } });
    expect(code).toBe(125);
    expect(stderr).toMatch(/not gzipped/);
    expect(tree(home)).toEqual(TREE);
  });

  test('a serial that cannot be read is no reason to begin again', async ({ home }) => {
    await world(home);
    await home.write('data/allowlist-serials.json', 'damaged');
    expect((await runOnce(home, SKILL, { env: ENV })).code).toBe(125);
    expect(existsSync(home.path('ran'))).toBe(false);
  });
});

const PROBE = `import { writeFileSync, readFileSync } from 'node:fs';
const can = (path) => { try { writeFileSync(path, 'x'); return true; } catch { return false; } };
console.log(JSON.stringify({
  cwd: can('here'), artifacts: can(process.env.JARVAS_ARTIFACTS_DIR + '/there'), elsewhere: can('../outside'),
  interfaces: readFileSync('/proc/net/dev', 'utf8').split('\\n').slice(2).filter((line) => line !== '').length,
}));`;

describe.concurrent('the sandbox of a skill', () => {
  test('keeps what it says it keeps, and tells what was missing', async ({ home }) => {
    await home.write('data/skills/probe-1.0.0.tar.gz', packageOf(PROBE));
    expect((await runOnce(home, SKILL, { env: { DATA_DIR: 'data' } })).code).toBe(0);
    const { protection } = metaOf(home);
    const found = JSON.parse(outputOf(home)) as Record<string, unknown>;
    expect(found).toMatchObject({ cwd: true, artifacts: true });
    expect(found['elsewhere']).toBe(protection?.missing.includes('read_only_root'));
    if (protection?.missing.includes('no_network') === false) expect(found['interfaces']).toBe(1);
  });

  test('is absent without its tools: meta.json says so, and what requires it is refused', async ({
    home,
  }) => {
    await home.write('data/skills/probe-1.0.0.tar.gz', packageOf(PROBE));
    const bare = home.path('bin');
    await mkdir(bare);
    await writeFile(`${bare}/unshare`, '#!/bin/sh\nexit 1\n');
    await chmod(`${bare}/unshare`, 0o755);
    const env = { DATA_DIR: 'data', CONFIG_DIR: 'config', PATH: bare };
    expect((await runOnce(home, SKILL, { env })).code).toBe(0);
    expect(metaOf(home).protection).toEqual({
      by: 'none',
      missing: ['no_network', 'read_only_root', 'limits'],
    });
    await home.write('config/config.json', '{"sandbox_required":true}');
    const { code } = await runOnce(home, ['--run-id', 'q', ...SKILL], { env });
    expect([code, metaOf(home, 'q').reason]).toEqual([126, 'privileged']);
    expect(outputOf(home, 'q')).toBe('');
  });

  test('TERM still reaches a skill, and it has time to tidy up', async ({ home }) => {
    const script = `import { writeFileSync } from 'node:fs';
      process.on('SIGTERM', () => { console.log('tidied'); process.exit(); });
      console.log('up'); writeFileSync('up', ''); setInterval(() => {}, 1000);`;
    await home.write('data/skills/probe-1.0.0.tar.gz', packageOf(script));
    const running = startRun(home, ['--run-id=r', '--action=act', ...SKILL], { env: { DATA_DIR: 'data' } });
    await running.until('the skill', () => existsSync(home.path('up')));
    running.kill('SIGTERM');
    expect((await running.ended).code).toBe(143);
    expect(outputOf(home)).toBe('up\ntidied\n');
  });
});
