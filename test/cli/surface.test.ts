// Flags, help, names and what is printed (contract wrkr §b, j).
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.ts';
import {
  APPROVAL_RECORD_SCHEMA,
  CHECKPOINT_SCHEMA,
  ERROR_ENVELOPE_SCHEMA,
  RUNTIME_CONFIG_SCHEMA,
  STATUS_RESPONSE_SCHEMA,
} from '../../src/doors/jobs/response-schemas.ts';
import { problemsOf } from '../../src/doors/validate.ts';
import { generatePrivateKey } from '../../src/policy/keys.ts';
import { BIN, DECISION, ledger, type Home } from './rig.ts';
import { test } from './session.ts';

/** Every folder of a home, and every file with its time and size. */
function everything(home: Home): string[] {
  return readdirSync(home.dir, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mtimeMs, size } = lstatSync(path);
      return entry.isDirectory() ? path : `${path} ${mtimeMs} ${size}`;
    })
    .toSorted();
}

const PRODUCTION = {
  WRKR_PROFILE: 'strict',
  WRKR_SIGNING_MODE: 'ed25519',
  WRKR_SIGNING_KEY_SOURCE: 'env',
  WRKR_SIGNING_KEY: generatePrivateKey(),
  WRKR_RETENTION_DAYS: '30',
  WRKR_OUTPUT_RETENTION_DAYS: '7',
};

describe.concurrent('doctor', () => {
  test('W72 exits 0 on a clean machine and leaves no file, with and without a store', async ({ home }) => {
    let before = everything(home);
    const report = await home.json(['doctor']);
    expect(report).toMatchObject({ profile: 'default', ok: true });
    const names = report.checks.map(({ name }: { name: string }) => name);
    expect(names).toEqual(['store_root', 'output_layout', 'schemas']);
    expect(everything(home)).toEqual(before);
    await home.submit('j', [{}]);
    before = everything(home);
    for (const words of [['doctor'], ['doctor', '--production-readiness']]) await home.run(words);
    expect(everything(home)).toEqual(before);
    expect((await home.json(['list'])).jobs).toHaveLength(1);
  });

  test('W72 production readiness: 0 with everything set, 1 for each variable that is missing', async ({
    session: home,
  }) => {
    const words = ['doctor', '--production-readiness', '--json'];
    const good = await home.run(words, { env: PRODUCTION });
    expect(good).toMatchObject({ code: 0, json: { profile: 'production-readiness', ok: true } });
    const missing = await Promise.all(
      Object.keys(PRODUCTION).map(async (name) => {
        const { [name as keyof typeof PRODUCTION]: _, ...env } = PRODUCTION;
        return { name, ...(await home.run(words, { env })) };
      }),
    );
    for (const { name, code, json } of missing) {
      expect([name, code, json?.ok]).toEqual([name, 1, false]);
      const failing = json.checks.filter(({ ok }: { ok: boolean }) => !ok);
      expect(failing).toMatchObject([{ severity: 'critical', remediation: expect.stringContaining(name) }]);
    }
    for (const env of [
      { WRKR_ALLOW_UNSAFE: '1' },
      { WRKR_SERVE_LISTEN: '0.0.0.0:9' },
      { WRKR_RETENTION_DAYS: '-1' },
      { WRKR_SIGNING_KEY_SOURCE: 'kms' },
      { WRKR_SIGNING_KEY_SOURCE: 'file', WRKR_SIGNING_KEY_PATH: '/dev/null' },
      { WRKR_SIGNING_KEY: generatePrivateKey('horse') },
      { REEVE_SIGNING_MODE: 'rsa' },
    ]) {
      expect(await home.run(words, { env: { ...PRODUCTION, ...env } }), JSON.stringify(env)).toMatchObject({
        code: 1,
      });
    }
    expect((await home.run(['doctor'])).stdout).toMatch(
      /^doctor profile=default ok=true checks=3\n- store_root ok=true severity=critical /,
    );
  });
});

describe.concurrent('help', () => {
  test('W73 --explain on every command runs nothing and makes nothing', async ({ session: home }) => {
    const before = everything(home);
    const outputs = await Promise.all(
      COMMANDS.map(async ({ path }) => ({
        name: path.join(' '),
        text: await home.run([...path, '--explain']),
        json: await home.run(['--json', '--explain', ...path]),
      })),
    );
    for (const { name, text, json } of outputs) {
      expect(text, name).toMatchObject({ code: 0, stderr: '' });
      expect(text.stdout).toMatch(new RegExp(`^wrkr ${name}: \\S.*\\n$`));
      expect(json.json, name).toEqual({ command: name, intent: expect.any(String) });
      expect(json.stdout.trimEnd()).not.toContain('\n');
    }
    const bare = await home.run(['--explain']);
    expect(bare.stdout).toMatch(/^wrkr version: /);
    expect(await home.run(['submit', 'j.json', '--job-id', 'x', '--explain'])).toMatchObject({ code: 0 });
    expect(await home.fails(['nonsense', '--explain'])).toMatchObject({ exit_code: 6 });
    expect(everything(home)).toEqual(before);
  });

  test('W73 help forms exit 0, also under --json, and name every command', async ({ session: home }) => {
    for (const words of [['help'], ['--help'], ['-h'], ['help', '--json'], ['--json', '--help']]) {
      const { code, stdout, stderr } = await home.run(words);
      expect([code, stderr], words.join(' ')).toEqual([0, '']);
      for (const { path } of COMMANDS) expect(stdout).toContain(path.join(' '));
    }
    for (const words of [
      ['submit', '--help'],
      ['checkpoint', 'emit', '-h'],
      ['wrap', '--help', '--', 'x'],
    ]) {
      const { code, stdout } = await home.run(words);
      expect(code).toBe(0);
      expect(stdout).toContain(`wrkr ${words[0]!}`);
    }
    const { stdout } = await home.run([]);
    expect(stdout).toMatch(/^wrkr \d+\.\d+\.\d+ \(commit=\S+ date=\S+\)\n$/);
    for (const word of ['version', '--version']) expect((await home.run([word])).stdout).toBe(stdout);
    const json = await home.run(['version', '--json']);
    expect(Object.keys(json.json)).toEqual(['commit', 'date', 'version']);
    expect(json.stdout.trimEnd()).not.toContain('\n');
  });
});

describe.concurrent('flags', () => {
  test('--json stands anywhere, --name=value and --name value are the same', async ({ session: home }) => {
    await home.submit('j', [DECISION]);
    const words = ['checkpoint', 'list', 'j'];
    const want = await home.json(words);
    for (let at = 0; at <= words.length; at += 1)
      expect((await home.run(words.toSpliced(at, 0, '--json'))).json).toEqual(want);
    const spaced = await home.json(['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', '--x=y']);
    expect(spaced.summary).toBe('--x=y');
    const joined = await home.json([
      'checkpoint',
      'emit',
      'j',
      '--type=progress',
      '--summary=a=b --json',
      '--reason-code=A',
    ]);
    expect(joined).toMatchObject({ summary: 'a=b --json', reason_codes: ['A'] });
  });

  test('what is unknown, missing or too much is refused with a suggestion where one is near', async ({
    session: home,
  }) => {
    const bad: [string[], string?][] = [
      [['sbmit'], 'submit'],
      [['statsu', 'j'], 'status'],
      [['checkpoint', 'lits', 'j']],
      [['checkpoint']],
      [['store']],
      [['submit', 'x', '--job-di', 'y'], '--job-id'],
      [['submit', 'x', '--jobid', 'y'], '--job-id'],
      [['submit', 'x', '-j', 'y']],
      [['submit', 'x', '--job-id']],
      [['submit']],
      [['submit', 'a', 'b']],
      [['status']],
      [['status', 'a', 'b']],
      [['status', 'a', '--']],
      [['status', '--', 'a']],
      [['submit', 'x', '--queue=maybe']],
      [['resume', 'j', '--max-retries', 'many']],
      [['resume', 'j', '--max-retries=-1']],
      [['resume', 'j', '--max-retries', '1e3']],
      [['list', '--store']],
      [['list', '--store=']],
      [['list', '--constructor', 'x']],
      [['__proto__']],
      [['']],
    ];
    const results = await Promise.all(
      bad.map(async ([words, near]) => ({ words, near, error: await home.fails(words) })),
    );
    for (const { words, near, error } of results) {
      expect(error, words.join(' ')).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
      if (near !== undefined)
        expect(error, words.join(' ')).toMatchObject({
          message: expect.stringContaining(`did you mean`),
          details: { nearest: near },
        });
    }
    expect(existsSync(home.store), 'nothing was made').toBe(false);
  });
});

describe.concurrent('two names', () => {
  test('reeve keeps its store in ~/.reeve, wrkr in ~/.wrkr; --store, REEVE_HOME and --store=… name another', async ({
    home,
  }) => {
    const file = await home.spec([{}]);
    const list = async (program: 'reeve' | 'wrkr', words: string[] = [], env = {}) =>
      (await home.json(['list', ...words], { program, env })).jobs.map(
        ({ job_id: id }: { job_id: string }) => id,
      );
    await home.json(['submit', file, '--job-id', 'mine'], { program: 'reeve' });
    expect(existsSync(join(home.dir, '.reeve', 'jobs', 'mine'))).toBe(true);
    expect(await list('reeve')).toEqual(['mine']);
    expect(existsSync(home.store), 'wrkr was not touched').toBe(false);
    expect(await list('wrkr')).toEqual([]);
    expect(await list('wrkr', ['--store', join(home.dir, '.reeve')])).toEqual(['mine']);
    expect(await list('wrkr', ['--store=../.reeve'])).toEqual(['mine']);
    const elsewhere = join(home.dir, 'elsewhere');
    await home.json(['submit', file, '--job-id', 'there'], {
      program: 'reeve',
      env: { REEVE_HOME: elsewhere },
    });
    expect(await list('reeve', [], { REEVE_HOME: elsewhere })).toEqual(['there']);
    expect(
      await list('reeve', ['--store', join(home.dir, '.reeve')], { REEVE_HOME: elsewhere }),
      'the flag wins',
    ).toEqual(['mine']);
    expect((await home.run(['version'], { program: 'reeve' })).stdout).toMatch(/^reeve /);
    expect((await home.run(['list', '--explain'], { program: 'reeve' })).stdout).toMatch(/^reeve list: /);
  });

  test('the demo of each puts its results into its own directory', async ({ home }) => {
    for (const program of ['reeve', 'wrkr'] as const) {
      const { job_id: jobId } = await home.json(['demo'], { program });
      expect(await home.json(['status', jobId], { program })).toMatchObject({ status: 'completed' });
      const results = `${program}-out/demo/${jobId}`;
      expect(await home.lines(`${results}/ledger.txt`)).toEqual(['collect', 'transform', 'publish']);
      expect(await home.read(`${results}/reports/demo.md`)).toBe('A B C\n');
    }
  });
});

describe.concurrent('what is printed', () => {
  test('W74 JSON results fit their schemas', async ({ session: home }) => {
    await home.submit('j', [ledger('one'), DECISION, { id: 'two', command: 'false' }]);
    const fits = async (schema: object, value: unknown) =>
      expect(await problemsOf(schema, value)).toEqual([]);
    await fits(STATUS_RESPONSE_SCHEMA, await home.status('j'));
    const checkpoints = await home.checkpoints('j');
    for (const checkpoint of checkpoints) await fits(CHECKPOINT_SCHEMA, checkpoint);
    const decision = checkpoints.at(-1).checkpoint_id;
    await fits(CHECKPOINT_SCHEMA, await home.json(['checkpoint', 'show', 'j', decision]));
    await fits(
      CHECKPOINT_SCHEMA,
      await home.json(['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', 'x']),
    );
    await fits(ERROR_ENVELOPE_SCHEMA, await home.fails(['resume', 'j']));
    await fits(
      APPROVAL_RECORD_SCHEMA,
      await home.json(['approve', 'j', '--checkpoint', decision, '--reason', 'ok']),
    );
    await fits(ERROR_ENVELOPE_SCHEMA, await home.fails(['resume', 'j']));
    await fits(STATUS_RESPONSE_SCHEMA, await home.status('j'));
    for (const checkpoint of await home.checkpoints('j')) await fits(CHECKPOINT_SCHEMA, checkpoint);
    await fits(RUNTIME_CONFIG_SCHEMA, JSON.parse((await home.bytes('j')).split('\0')[2]!));
    const state = await home.json(['cancel', 'j']);
    expect(state).toMatchObject({
      job_id: 'j',
      status: 'canceled',
      step_count: expect.any(Number),
      idempotency_keys: expect.any(Object),
    });
    for (const { created_at: at } of await home.events('j'))
      expect(at, 'no time ends in a zero fraction').toMatch(/T\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z$/);
  });

  test('W75 no control character of a name, summary, id or file reaches the terminal', async ({
    session: home,
  }) => {
    const evil = 'a\u001b[31mred\u001b]0;title\u0007\u009b2J\rb\u0008\u202ec\u0000\ud83d\ude00'.replace(
      '\0',
      '',
    );
    const steps = [
      { id: evil, summary: `${evil}\n${evil}`, command: `printf '\\033[2J' ; true`, artifacts: [evil] },
      { ...DECISION, summary: `${evil}${'x'.repeat(300)}`, required_action: evil },
      { id: `${evil}2`, command: `printf '\\033[31mfail\\a' >&2; exit 3` },
    ];
    await home.submit('j', steps, { more: { name: evil, objective: evil } });
    const decision = (await home.checkpoints('j')).at(-1).checkpoint_id;
    await mkdir(home.path(`dir${evil}`));
    const commands: string[][] = [
      ['status', 'j'],
      ['list'],
      ['checkpoint', 'list', 'j'],
      ['checkpoint', 'show', 'j', decision],
      ['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', evil, '--reason-code', evil],
      ['checkpoint', 'show', 'j', evil],
      ['status', evil],
      [evil],
      ['status', 'j', `--${evil}`],
      ['submit', `${evil}.json`],
      ['list', '--status', evil],
      ['list', '--cursor', evil],
      ['init', `dir${evil}/x.yaml`],
      ['store', 'prune', '--report-max-age', '1ms', '--out-dir', `dir${evil}`],
      ['doctor', '--store', evil],
      ['approve', 'j', '--checkpoint', decision, '--reason', evil, '--approved-by', evil],
      ['resume', 'j'],
      ['watch', 'j'],
      ['cancel', 'j'],
      ['wrap', '--job-id', 'w', '--artifact', evil, '--', 'sh', '-c', `exit 1 # ${evil}`],
      ['checkpoint', 'list', 'w'],
    ];
    await home.write(`dir${evil}/reports/${evil}.md`, '');
    for (const words of commands) {
      for (const program of ['wrkr', 'reeve'] as const) {
        const { stdout, stderr } = await home.run(words, { program, env: { REEVE_HOME: home.store } });
        // eslint-disable-next-line no-control-regex -- looking for control characters is the purpose
        const raw = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.exec(
          stdout + stderr,
        );
        expect(
          raw === null
            ? ''
            : `${words.join(' ')} (${program}): ${JSON.stringify((stdout + stderr).slice(Math.max(0, raw.index - 60), raw.index + 20))}`,
        ).toBe('');
      }
    }
  });

  test('text summaries are cut at 160 bytes plus ..., and never inside a character', async ({ home }) => {
    await home.submit('j', [{ summary: 'ä'.repeat(200) }, { summary: 'x'.repeat(160) }]);
    const { stdout } = await home.run(['checkpoint', 'list', 'j']);
    expect(stdout).toContain(`summary=${'ä'.repeat(80)}...\n`);
    expect(stdout).toContain(`summary=${'x'.repeat(160)}\n`);
  });

  test.skipIf(!existsSync('/dev/full'))('an output without room is an error of ours', async ({ home }) => {
    await home.submit('j', [{}]);
    const full = spawnSync(
      'sh',
      ['-c', `"${process.execPath}" "$1" status j > /dev/full`, 'x', join(BIN, 'wrkr.js')],
      {
        cwd: home.cwd,
        env: home.env(),
        encoding: 'utf8',
      },
    );
    expect(full.status).toBe(1);
    expect(full.stderr).toMatch(/^E_STORE_UNAVAILABLE: standard output cannot be written \(ENOSPC\)\n/);
    expect(full.stderr).not.toContain('node:');
  });

  test('a reader that goes away is no failure', async ({ home }) => {
    await home.submit('j', [{}]);
    const { execFile } = await import('node:child_process');
    const { promisify } = await import('node:util');
    const piped = await promisify(execFile)(
      'sh',
      [
        '-c',
        `"${process.execPath}" "$1" checkpoint list j | head -c 1; "${process.execPath}" "$1" status j >&-`,
        'x',
        join(BIN, 'wrkr.js'),
      ],
      { cwd: home.cwd, env: home.env() },
    ).catch((error: unknown) => error as { stderr: string });
    expect(piped.stderr).not.toContain('EPIPE');
  });
});
