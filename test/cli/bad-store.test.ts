// Stores that cannot be used, and every error code that a command can end with (W44).
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/model/errors.ts';
import { ERROR_ENVELOPE_SCHEMA } from '../../src/doors/jobs/response-schemas.ts';
import { problemsOf } from '../../src/doors/validate.ts';
import { DECISION, ledger, until, type Home } from './rig.ts';
import { test } from './session.ts';

const REFERENCE = fileURLToPath(new URL('../fixtures/reference-store/jobs/', import.meta.url));
const DATABASE = 'reeve.sqlite';

/** Hashes of all files; what SQLite keeps beside an open database comes and goes. */
function contents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !/-(?:wal|shm)$/.test(entry.name),
  );
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

/** `PRAGMA user_version`, where the file format keeps it: the schema that a program must know, times 1000. */
async function raiseVersion(home: Home, version: number): Promise<void> {
  const file = await open(join(home.store, DATABASE), 'r+');
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(version);
  await file.write(bytes, 0, 4, 60);
  await file.close();
}

const ALL = [
  ['list'],
  ['status', 'j'],
  ['checkpoint', 'list', 'j'],
  ['resume', 'j'],
  ['cancel', 'j'],
  ['store', 'check'],
  ['submit', 'job.json'],
  ['wrap', '--', 'true'],
  ['work', '--once'],
];

describe.concurrent('a store that cannot be used', () => {
  test('of a newer version: E_STORE_NEWER from every command, and not one byte changes', async ({
    session: home,
  }) => {
    await home.submit('j', [DECISION]);
    await home.spec([{}]);
    await raiseVersion(home, 9_999_000);
    const before = contents(home.store);
    for (const words of [
      ...ALL,
      ['store', 'repair'],
      ['store', 'import'],
      ['store', 'prune', '--job-max-age', '1ms'],
    ]) {
      const error = await home.fails(words);
      expect(error, words.join(' ')).toMatchObject({ code: 'E_STORE_NEWER', exit_code: 1 });
    }
    expect(contents(home.store)).toEqual(before);
    const doctor = await home.run(['doctor', '--json']);
    expect(doctor).toMatchObject({ code: 1, json: { ok: false } });
    expect(JSON.stringify(doctor.json)).toContain('E_STORE_NEWER');
    expect(contents(home.store)).toEqual(before);
  });

  test.for([
    [
      'a text in place of the database',
      'this is no database, but it is long enough to look like a page\n'.repeat(200),
    ],
    ['bytes of a database that break off', 'SQLite format 3\0'],
    ['a directory in place of the database', undefined],
  ])('%s: a coded error, exit 1, nothing changes', async ([label, content], { session: home }) => {
    await mkdir(home.store, { recursive: true });
    await home.spec([{}]);
    if (content === undefined) await mkdir(join(home.store, DATABASE));
    else await writeFile(join(home.store, DATABASE), content);
    const before = contents(home.store)[join(home.store, DATABASE)];
    for (const words of ALL) {
      const error = await home.fails(words);
      expect(error.code, `${label}: ${words.join(' ')}`).toMatch(/^E_STORE_(CORRUPT|UNAVAILABLE)$/);
      expect(error.exit_code).toBe(1);
    }
    expect(contents(home.store)[join(home.store, DATABASE)]).toBe(before);
  });

  test('a file in place of the store, or of a folder above it: E_STORE_UNAVAILABLE', async ({
    session: home,
  }) => {
    await home.spec([{}]);
    await writeFile(home.store, 'mine');
    for (const words of ALL)
      expect(await home.fails(words), words.join(' ')).toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
        exit_code: 1,
      });
    for (const words of ALL)
      expect(
        await home.fails([...words.slice(0, 1), '--store', join(home.store, 'deep'), ...words.slice(1)]),
        words.join(' '),
      ).toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    expect(await readFile(home.store, 'utf8')).toBe('mine');
    expect(await home.run(['doctor', '--json'])).toMatchObject({ code: 1, json: { ok: false } });
  });

  test('a damaged page is told as E_STORE_CORRUPT, by store check at the latest', async ({ home }) => {
    await home.submit('j', [ledger('one'), DECISION]);
    const path = join(home.store, DATABASE);
    const bytes = await readFile(path);
    bytes.fill(0xaa, 4096 + 100);
    await writeFile(path, bytes);
    const results = [await home.run(['status', 'j', '--json']), await home.run(['store', 'check', '--json'])];
    for (const { code, error } of results) expect([code, error?.code]).toEqual([1, 'E_STORE_CORRUPT']);
  });

  test('reading commands make no store; a store behind a symbolic link and a relative one work', async ({
    home,
  }) => {
    expect(await home.fails(['status', 'j'])).toMatchObject({ exit_code: 6 });
    await mkdir(join(home.dir, 'real'));
    await symlink('real', join(home.dir, 'link'));
    const file = await home.spec([ledger('one')]);
    await home.json(['submit', file, '--job-id', 'j', '--store', join(home.dir, 'link')]);
    expect(await home.json(['status', 'j', '--store', '../real'])).toMatchObject({ status: 'completed' });
  });

  test('without HOME, and from a directory that is gone', async ({ home }) => {
    const file = await home.spec([{}]);
    expect(await home.run(['submit', file, '--store', home.store], { env: { HOME: '' } })).toMatchObject({
      code: 0,
    });
    const gone = home.path('gone');
    await mkdir(gone);
    const { promisify } = await import('node:util');
    const { execFile } = await import('node:child_process');
    const bin = fileURLToPath(new URL('../../bin/wrkr.js', import.meta.url));
    const end = await promisify(execFile)(
      'sh',
      ['-c', `cd "${gone}" && rmdir "${gone}" && exec "${process.execPath}" "${bin}" list --json`],
      { env: home.env() },
    ).then(
      () => ({ code: 0, stderr: '' }),
      (error: unknown) => error as { code: number; stderr: string },
    );
    expect([0, 6], end.stderr).toContain(end.code);
    await rm(gone, { recursive: true, force: true });
  });

  test('a very long path to the store works: sockets have a shorter limit', async ({ home }) => {
    const store = join(home.dir, 'x'.repeat(120), 'y'.repeat(120), 'store');
    const file = await home.spec([ledger('one')]);
    await home.json(['submit', file, '--job-id', 'q', '--queue', '--store', store]);
    const worker = home.start(['work', '--store', store]);
    await until(
      async () => (await home.json(['status', 'q', '--store', store])).status === 'completed',
      'the job',
    );
    worker.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 0 });
  });
});

describe.concurrent('W44 the envelope tells the code and the exit code of the process', () => {
  async function blocked(home: Home, then: readonly string[], id: string): Promise<readonly string[]> {
    await home.submit(id, [DECISION]);
    return then;
  }
  const wrapping = (script: string, ...flags: string[]) => ['wrap', ...flags, '--', 'sh', '-c', script];
  const scenes: Partial<Record<ErrorCode, (home: Home) => Promise<readonly string[]>>> = {
    E_INVALID_INPUT_SCHEMA: async () => ['status', 'nobody'],
    E_CHECKPOINT_APPROVAL_REQUIRED: (home) => blocked(home, ['resume', 'j'], 'j'),
    E_BUDGET_EXCEEDED: async (home) => {
      await home.submit('j', [{}, {}, DECISION]);
      return ['budget', 'check', 'j', '--max-step-count', '1'];
    },
    E_INVALID_STATE_TRANSITION: async (home) => {
      await home.submit('j', [{}]);
      return ['pause', 'j'];
    },
    E_ADAPTER_FAIL: async () => wrapping('exit 9'),
    E_AGENT_FAILED: async () =>
      wrapping(
        `printf '%s\\n' '{"type":"thread.started","thread_id":"t"}' '{"type":"turn.failed","error":{"message":"no"}}'`,
        '--usage',
        'codex',
      ),
    E_USAGE_INVALID: async (home) => [
      'submit',
      await home.spec([{ command: 'echo x > u', usage_file: 'u' }]),
    ],
    E_ENV_FINGERPRINT_MISMATCH: async (home) => {
      await home.submit('j', [DECISION], { rules: ['env:FOO'] }, { env: { FOO: 'else' } });
      const { checkpoint_id: id } = (await home.checkpoints('j')).at(-1);
      await home.json(['approve', 'j', '--checkpoint', id, '--reason', 'ok']);
      return ['resume', 'j'];
    },
    E_STORE_CORRUPT: async (home) => {
      await mkdir(join(home.store, 'jobs'), { recursive: true });
      await cp(join(REFERENCE, 'corrupt_gap'), home.jobDir('j'), { recursive: true });
      return ['status', 'j'];
    },
    E_STORE_BUSY: async (home) => {
      await mkdir(join(home.store, 'jobs'), { recursive: true });
      await cp(join(REFERENCE, 'demo_blocked'), home.jobDir('j'), { recursive: true });
      await writeFile(join(home.jobDir('j'), 'append.lock'), `pid=${process.pid};ts=1\n`);
      return ['status', 'j'];
    },
    E_STORE_UNAVAILABLE: async (home) => {
      await writeFile(home.store, '');
      return ['list'];
    },
    E_STORE_NEWER: async (home) => {
      await home.submit('j', [{}]);
      await raiseVersion(home, 77_000);
      return ['list'];
    },
    E_LEASE_CONFLICT: async (home) => {
      const worker = await home.submitting('j', [ledger('one', 'sleep 30')]);
      await worker.until('the step', async () => (await home.lines('ledger')).length > 0);
      return ['resume', 'j'];
    },
    E_OUTCOME_UNKNOWN: async (home) => {
      const worker = await home.submitting('j', [{ ...ledger('one', 'sleep 30'), on_interrupt: 'block' }]);
      await worker.until('the step', async () => (await home.lines('ledger')).length > 0);
      const pids = home.processes().map(({ pid }) => pid);
      for (const signal of ['SIGSTOP', 'SIGKILL'] as const) for (const pid of pids) process.kill(pid, signal);
      await worker.ended;
      return ['resume', 'j', '--takeover'];
    },
  };
  test.for(Object.entries(scenes))('%s', async ([code, scene], { home }) => {
    const words = await scene(home);
    const { exit } = ERRORS[code as ErrorCode];
    const asJson = home.run(['--json', ...words]);
    // Who finds it busy waits for ten seconds: both at once.
    const asText = code === 'E_STORE_BUSY' ? home.run(words) : undefined;
    const json = await asJson;
    expect([json.code, json.error?.code, json.error?.exit_code], json.stderr).toEqual([exit, code, exit]);
    expect(await problemsOf(ERROR_ENVELOPE_SCHEMA, json.error)).toEqual([]);
    if (code === 'E_OUTCOME_UNKNOWN') return; // the next resume runs the step again: a person has looked meanwhile
    const text = await (asText ?? home.run(words));
    expect([
      text.code,
      text.stderr
        .split('\n')
        .find((line) => line.startsWith('E_'))
        ?.split(':')[0],
    ]).toEqual([exit, code]);
    for (const { pid } of home.processes()) process.kill(pid, 'SIGKILL');
  });

  test('a success has no envelope and no error text', async ({ home }) => {
    const { code, stderr, error } = await home.run(['list', '--json']);
    expect([code, stderr, error]).toEqual([0, '', undefined]);
    expect(existsSync(home.store)).toBe(true);
  });
});
