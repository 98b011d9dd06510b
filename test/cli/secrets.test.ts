// Secrets stay out of everything that is kept (I9): what is known by its form needs no flag.
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { filesIn, hash } from '../evidence/support.ts';
import { specOf, test, type Home } from './rig.ts';

/** Put together here, so that no scanner takes this file for a leak. */
const TOKEN = `ghp_${'a1B2'.repeat(9)}`;

/** Files below the store and the output directory that hold it, in whatever form. */
function leaks(home: Home, secret: string): string {
  return execFileSync(
    'sh',
    ['-c', 'grep -rl "$1" "$2" "$3" 2>/dev/null || true', 'x', secret, home.store, home.path('wrkr-out')],
    {
      encoding: 'utf8',
    },
  );
}

describe.concurrent('I9 secrets', () => {
  test('in the output of a step are kept nowhere', async ({ home }) => {
    const command = `printf 'token=%s\\n' "$SECRET"; (printf 'Authoriz'; printf 'ation: Bearer %s' "$SECRET") >&2`;
    await home.write('job.json', JSON.stringify(specOf([{ id: 'a', command }])));
    await home.json(['submit', 'job.json', '--job-id', 'j'], { env: { SECRET: 'hunter22-hunter22' } });
    const logs = await home.run(['logs', 'j', 'a']);
    expect(logs.stdout).toContain('token=[REDACTED:PASSWORD]');
    expect(logs.stdout + logs.stderr).toContain('Authorization: Bearer [REDACTED:BEARER]');
    await home.json(['export', 'j']);
    expect(leaks(home, 'hunter22')).toBe('');
  });

  test('in the arguments of a wrapped command reach the command and nothing else', async ({ home }) => {
    const result = await home.run([
      'wrap',
      '--job-id',
      'w',
      '--json',
      '--',
      'sh',
      '-c',
      `test "$1" = "$2${TOKEN.slice(4)}" && echo same > got`,
      'x',
      TOKEN,
      'ghp_',
    ]);
    expect(await home.read('got')).toBe('same\n');
    expect(result.stdout + result.stderr).not.toContain(TOKEN);
    expect(leaks(home, TOKEN)).toBe('');
    const [plan] = await home.json(['checkpoint', 'list', 'w']);
    expect(plan.summary).toContain('[REDACTED:GITHUB_TOKEN]');
  });

  test('of which only the whole line tells are not kept argument by argument', async ({ home }) => {
    await home.run([
      'wrap',
      '--job-id',
      'w',
      '--redact',
      String.raw`--key \S+`,
      '--json',
      '--',
      'echo',
      '--key',
      'opensesame',
    ]);
    expect(leaks(home, 'opensesame')).toBe('');
  });

  test('in what a failed acceptance command printed are not in its result', async ({ home }) => {
    await home.submit('j', [{ id: 'a' }]);
    const config = {
      schema_id: 'wrkr.accept_config',
      schema_version: 'v1',
      test_command: 'echo "password=$SECRET"; exit 1',
      lint_command: 'true',
    };
    await home.write('accept.yaml', JSON.stringify(config));
    const result = await home.run(['accept', 'run', 'j', '--json'], { env: { SECRET: 'hunter22' } });
    expect(result.stdout).toContain('password=[REDACTED:PASSWORD]');
    expect(leaks(home, 'hunter22')).toBe('');
  });

  test('in what people type are not kept', async ({ home }) => {
    await home.write('job.json', JSON.stringify(specOf([{ id: 'ask', decision_needed: true }, { id: 'b' }])));
    await home.json(['submit', 'job.json', '--job-id', 'j']);
    const [decision] = (await home.json(['checkpoint', 'list', 'j'])).filter(
      ({ type }: { type: string }) => type === 'decision-needed',
    );
    const record = await home.json([
      'approve',
      'j',
      '--checkpoint',
      decision.checkpoint_id,
      '--reason',
      `used ${TOKEN}`,
    ]);
    expect(record.reason).toBe('used [REDACTED:GITHUB_TOKEN]');
    await home.json(['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', `password=hunter22`]);
    await home.json(['cancel', 'j', '--reason', `it printed ${TOKEN}`]);
    await home.json(['export', 'j']);
    await home.json(['pause', 'j', '--approved-by', `ann ${TOKEN}`]).catch(() => undefined);
    expect(leaks(home, TOKEN) + leaks(home, 'hunter22')).toBe('');
  });

  test('in a spec are refused before anything is stored, unless that is said to be wanted', async ({
    home,
  }) => {
    const steps = [{ id: 'a', command: `curl -H 'Authorization: Bearer ${TOKEN}' x || true` }];
    const spec = specOf(steps);
    await home.write('job.json', JSON.stringify(spec));
    expect(await home.fails(['submit', 'job.json', '--job-id', 'j'])).toMatchObject({
      code: 'E_UNSAFE_OPERATION',
      exit_code: 8,
      details: { field: '/inputs/steps/0/command', type: 'BEARER' },
    });
    expect(leaks(home, TOKEN)).toBe('');
    await home.write(
      'named.json',
      JSON.stringify({ ...spec, inputs: { steps: [{ id: 'a' }], db: { password: 'hunter22' } } }),
    );
    expect(await home.fails(['submit', 'named.json', '--job-id', 'j'])).toMatchObject({
      details: { field: '/inputs/db/password', type: 'PASSWORD' },
    });
    await home.json(['submit', 'named.json', '--job-id', 'j', '--allow-secrets']);
  });

  test('in a variable that the fingerprint would record are refused', async ({ home }) => {
    const rules = (name: string): string =>
      JSON.stringify({ ...specOf([{ id: 'a' }]), environment_fingerprint: { rules: [`${name}:MY_TOKEN`] } });
    await home.write('clear.json', rules('env'));
    await home.write('hashed.json', rules('env_sha256'));
    const env = { MY_TOKEN: TOKEN };
    expect(await home.fails(['submit', 'clear.json', '--job-id', 'j'], { env })).toMatchObject({
      code: 'E_UNSAFE_OPERATION',
      details: { value: 'env:MY_TOKEN' },
    });
    await home.json(['submit', 'hashed.json', '--job-id', 'j'], { env });
    expect(leaks(home, TOKEN)).toBe('');
  });

  test('in captured files are replaced before they are hashed, and the pack says so (W57)', async ({
    home,
  }) => {
    const command = `mkdir out && printf 'key %s\\nnote x-17\\n' "$SECRET" > out/a.txt && echo clean > out/b.txt`;
    await home.write(
      'job.json',
      JSON.stringify(specOf([{ id: 'a', command, artifacts: ['out/a.txt', 'out/b.txt'] }])),
    );
    await home.json(['submit', 'job.json', '--job-id', 'j'], { env: { SECRET: TOKEN } });
    await home.json(['export', 'j', '--capture', 'raw', '--unsafe-raw-capture', '--redact', 'x-[0-9]+']);
    const files = filesIn(await readFile(home.path('wrkr-out/jobpacks/jobpack_j.zip')));
    const kept = 'key [REDACTED:GITHUB_TOKEN]\nnote [REDACTED]\n';
    expect(files.get('artifacts/out/a.txt')).toBe(kept);
    expect(JSON.parse(files.get('artifacts_manifest.json') ?? '').artifacts).toEqual([
      { path: 'out/a.txt', redacted: true, sha256: hash(kept) },
      { path: 'out/b.txt', sha256: hash('clean\n') },
    ]);
    expect(await home.read('out/a.txt')).toContain(TOKEN);
    await home.json(['verify', 'j']);
    expect(leaks(home, TOKEN)).toBe('');
  });
});
