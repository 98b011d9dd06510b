// Packs through the real programs (contract wrkr §b, §f).
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { DECISION, type Any, type Home } from '../cli/rig.ts';
import { test } from '../cli/session.ts';
import { filesIn, hash, referencePack, rehashed } from './support.ts';

const FOOTER = /^WRKR job_id=([a-zA-Z0-9._-]+) manifest=sha256:([a-f0-9]{64}) verify="wrkr verify ([^"]+)"$/;
const PACK = 'wrkr-out/jobpacks/jobpack_j.zip';

/** A finished job `j` with an artifact, a decision and its approval. */
async function finished(home: Home): Promise<void> {
  const steps = [
    { id: 'make', command: 'mkdir -p out && echo made > out/a.txt', artifacts: ['out/a.txt'] },
    DECISION,
    { id: 'end', command: 'true' },
  ];
  const result = await home.submit('j', steps);
  if (result.json?.status !== 'blocked_decision') throw new Error(result.stderr);
  const checkpoint = (await home.checkpoints('j')).at(-1).checkpoint_id;
  for (let n = 0; n < 2; n += 1)
    await home.json(['approve', 'j', '--checkpoint', checkpoint, '--reason', 'ok']);
  await home.json(['resume', 'j']);
}

describe.concurrent('export, verify, receipt', () => {
  test('W45 export writes a pack of its own mode, prints three lines, and verify takes it', async ({
    home,
  }) => {
    await finished(home);
    const text = await home.run(['export', 'j']);
    const [job, pack, footer = ''] = text.stdout.trimEnd().split('\n');
    expect([job, pack]).toEqual(['job_id=j', `jobpack=${home.path(PACK)}`]);
    expect(footer.replace('footer=', '')).toMatch(FOOTER);
    expect((await stat(home.path(PACK))).mode & 0o777).toBe(0o600);
    expect((await stat(home.path('wrkr-out'))).mode & 0o777).toBe(0o750);
    expect(await readdir(home.path('wrkr-out/jobpacks'))).toEqual(['jobpack_j.zip']);
    const exported = await home.json(['export', 'j']);
    expect(exported).toEqual({
      job_id: 'j',
      path: home.path(PACK),
      manifest_sha256: FOOTER.exec(exported.footer)?.[2],
      footer: footer.replace('footer=', ''),
    });
    const verified = { job_id: 'j', manifest_sha256: exported.manifest_sha256, files_verified: 9 };
    expect(await home.json(['verify', 'j'])).toEqual(verified);
    expect(await home.json(['verify', PACK])).toEqual(verified);
    expect((await home.run(['verify', 'j'])).stdout).toBe(
      `verified job_id=j manifest=sha256:${exported.manifest_sha256} files=9\n`,
    );
    // W27: both approvals are in it.
    const files = filesIn(await readFile(home.path(PACK)));
    expect((files.get('approvals.jsonl') ?? '').trimEnd().split('\n')).toHaveLength(2);
    expect(JSON.parse(files.get('jobspec.json') ?? '')).toMatchObject({
      schema_id: 'wrkr.jobspec',
      name: 'test job',
    });
  });

  test('W47 a re-export is byte-identical: later, elsewhere, in another zone, locale and under another name', async ({
    home,
  }) => {
    await finished(home);
    await home.json(['export', 'j']);
    const first = await readFile(home.path(PACK));
    await mkdir(join(home.dir, 'elsewhere'));
    const options = {
      cwd: join(home.dir, 'elsewhere'),
      env: {
        TZ: 'Asia/Kathmandu',
        LANG: 'tr_TR.UTF-8',
        LC_ALL: 'tr_TR.UTF-8',
        USER: 'somebody',
        HOME: join(home.dir, 'elsewhere'),
        REEVE_HOME: home.store,
      },
    };
    await home.json(['export', 'j', '--out-dir', 'o'], { ...options, program: 'reeve' });
    expect((await readFile(join(home.dir, 'elsewhere/o/jobpacks/jobpack_j.zip'))).equals(first)).toBe(true);
    // The same store moved to another place.
    await rename(home.store, join(home.dir, 'moved'));
    const clock = new URL('shifted-clock.mjs', import.meta.url);
    const env = { NODE_OPTIONS: `--import=${clock.href}`, TZ: 'America/St_Johns', LC_ALL: 'C' };
    const year = await home.run(['version'], {
      env: {
        ...env,
        NODE_OPTIONS: `${env.NODE_OPTIONS} --import=data:text/javascript,console.error(new(Date)().getFullYear())`,
      },
    });
    expect(Number(year.stderr)).toBeGreaterThan(new Date().getFullYear() + 6);
    await home.json(['export', 'j', '--store', join(home.dir, 'moved'), '--out-dir', 'p'], { env });
    expect((await readFile(home.path('p/jobpacks/jobpack_j.zip'))).equals(first)).toBe(true);
  });

  test('W58 receipt on an id exports, twice gives the same line; on a file it reads', async ({
    session: home,
  }) => {
    await finished(home);
    const line = (await home.run(['receipt', 'j'])).stdout;
    expect(line.trimEnd()).toMatch(FOOTER);
    expect((await home.run(['receipt', 'j'])).stdout).toBe(line);
    expect((await home.run(['receipt', PACK])).stdout).toBe(line);
    expect(await home.json(['receipt', 'j'])).toEqual({
      job_id: 'j',
      manifest_sha256: FOOTER.exec(line.trimEnd())?.[2],
      footer: line.trimEnd(),
    });
  });

  test('a job or file that is not there is 6; verify never exports; a file wins over a job of its name', async ({
    session: home,
  }) => {
    await finished(home);
    for (const words of [
      ['export', 'none'],
      ['receipt', 'none'],
      ['verify', 'none'],
      ['verify', 'j'],
      ['verify', './none.zip'],
      ['export', '../x'],
      ['job', 'inspect', 'none'],
      ['job', 'diff', 'j', 'j'],
      ['export', 'j', '--capture', 'all'],
      ['verify', ''],
      ['export'],
    ]) {
      expect(await home.fails(words), words.join(' ')).toMatchObject({
        code: 'E_INVALID_INPUT_SCHEMA',
        exit_code: 6,
      });
    }
    expect((await home.fails(['export', 'none'])).details).toMatchObject({ job_id: 'none' });
    await home.write('j', 'not a pack');
    expect(await home.fails(['verify', 'j'])).toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH', exit_code: 2 });
    expect(await readdir(home.cwd)).not.toContain('wrkr-out');
  });

  test('packs of the reference verify, and hostile ones end with 2 and an envelope', async ({
    session: home,
  }) => {
    await home.write('ref.zip', referencePack());
    expect(await home.json(['verify', 'ref.zip'])).toMatchObject({ job_id: 'job_v', files_verified: 6 });
    expect(await home.json(['verify', 'ref.zip'], { program: 'reeve' })).toMatchObject({ job_id: 'job_v' });
    const pack = referencePack();
    pack[200]! ^= 1;
    await home.write('bad.zip', pack);
    expect(await home.fails(['verify', 'bad.zip'])).toMatchObject({
      code: 'E_VERIFY_HASH_MISMATCH',
      exit_code: 2,
    });
    expect(await home.fails(['job', 'inspect', 'bad.zip'])).toMatchObject({ exit_code: 2 });
    expect(await home.fails(['receipt', 'bad.zip'])).toMatchObject({ exit_code: 2 });
    // A job id that would rewrite a terminal is shown, not obeyed (W75).
    const id = '\u001b[31mjob';
    const files = new Map(
      [...filesIn(referencePack())].map(([name, text]) => [name, text.replaceAll('job_v', '\\u001b[31mjob')]),
    );
    await home.write('red.zip', rehashed(files, { change: (manifest) => (manifest['job_id'] = id) }));
    expect((await home.run(['verify', 'red.zip'])).stdout).toMatch(/^verified job_id=\\u001b\[31mjob /);
    expect(await home.fails(['receipt', 'red.zip'])).toMatchObject({ exit_code: 6 });
  });

  test('W57 raw capture needs its second flag, holds the bytes, and fails for what is gone', async ({
    session: home,
  }) => {
    await finished(home);
    expect(await home.fails(['export', 'j', '--capture', 'raw'])).toMatchObject({
      code: 'E_UNSAFE_OPERATION',
      exit_code: 8,
    });
    expect(await readdir(home.cwd)).not.toContain('wrkr-out');
    // From wherever it is called: artifacts are the workspace's.
    const raw = [
      'export',
      'j',
      '--capture',
      'raw',
      '--unsafe-raw-capture',
      '--out-dir',
      home.path('wrkr-out'),
    ];
    await home.json(raw, { cwd: home.dir });
    const files = filesIn(await readFile(home.path(PACK)));
    expect(files.get('artifacts/out/a.txt')).toBe('made\n');
    expect(files.get('artifacts_manifest.json')).toContain(hash('made\n'));
    await home.json(['verify', 'j']);
    const before = await readFile(home.path(PACK));
    await rename(home.path('out/a.txt'), home.path('out/b.txt'));
    expect(await home.fails(raw)).toMatchObject({
      code: 'E_ACCEPT_MISSING_ARTIFACT',
      exit_code: 5,
      details: { artifact: 'out/a.txt' },
    });
    expect((await readFile(home.path(PACK))).equals(before)).toBe(true);
    expect(await readdir(home.path('wrkr-out/jobpacks'))).toEqual(['jobpack_j.zip']);
  });

  test('an output directory that cannot be written gives an error and no partial file', async ({ home }) => {
    await finished(home);
    await writeFile(home.path('file'), '');
    expect(await home.fails(['export', 'j', '--out-dir', 'file'])).toMatchObject({ exit_code: 1 });
    await mkdir(home.path('locked'));
    await chmod(home.path('locked'), 0o500);
    if (process.getuid?.() !== 0)
      expect(await home.fails(['export', 'j', '--out-dir', 'locked'])).toMatchObject({ exit_code: 1 });
    expect(await readdir(home.path('locked'))).toEqual([]);
    expect(await home.fails(['export', 'j', '--out-dir', ''])).toMatchObject({ exit_code: 6 });
  });

  test('a disk that is full (a limit on file size) gives E_STORE_FULL and leaves nothing', async ({
    home,
  }) => {
    await home.submit(
      'j',
      Array.from({ length: 60 }, (_, n) => ({ id: `s${n}`, summary: 'x'.repeat(1900) })),
    );
    // In blocks of 512 bytes: enough for what reading the store writes, not for the pack. Without the signal, writes fail.
    const under = ['sh', '-c', 'trap "" XFSZ; ulimit -f 400; exec "$@"', 'sh'];
    const result = await home.run(['export', 'j', '--json'], { under });
    expect(result).toMatchObject({ code: 1, error: { code: 'E_STORE_FULL' } });
    expect(await readdir(home.path('wrkr-out/jobpacks'))).toEqual([]);
  });

  test('a run that goes on gives another pack, which says so', async ({ session: home }) => {
    await home.submit('j', [DECISION]);
    const before = (await home.json(['export', 'j'])).manifest_sha256;
    await rename(home.path(PACK), home.path('before.zip'));
    const checkpoint = (await home.checkpoints('j')).at(-1).checkpoint_id;
    await home.json(['approve', 'j', '--checkpoint', checkpoint, '--reason', 'ok']);
    expect((await home.json(['export', 'j'])).manifest_sha256).not.toBe(before);
    expect(await home.json(['job', 'diff', 'before.zip', 'j'])).toMatchObject({
      job_id_a: 'j',
      job_id_b: 'j',
      added: ['approvals.jsonl'],
      removed: [],
      changed: expect.arrayContaining(['events.jsonl', 'job.json']),
    });
  });

  test('W59 inspect tells the same of the store and of the pack; a pack does not differ from itself', async ({
    session: home,
  }) => {
    await finished(home);
    await home.json(['export', 'j']);
    const fromStore = await home.json(['job', 'inspect', 'j']);
    expect(fromStore).toMatchObject({
      job_id: 'j',
      status: 'completed',
      approval_count: 2,
      event_count: (await home.events('j')).length,
    });
    expect(fromStore.checkpoint_count).toBe((await home.checkpoints('j')).length);
    expect(await home.json(['job', 'inspect', PACK])).toEqual(fromStore);
    const lines = (await home.run(['job', 'inspect', PACK])).stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^job=j status=completed events=\d+ checkpoints=\d+ approvals=2$/);
    expect(lines).toHaveLength(fromStore.timeline.length + 1);
    expect(lines[1]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z (approval|checkpoint|event) \S+ \S+$/);
    expect((await home.run(['job', 'diff', 'j', PACK])).stdout).toBe(
      'job_a=j job_b=j added=0 removed=0 changed=0\n',
    );
  });

  test('I10 two imports of one directory give packs of the same bytes', async ({ session: home }) => {
    const { cp } = await import('node:fs/promises');
    const clock = new URL('shifted-clock.mjs', import.meta.url);
    const later = { NODE_OPTIONS: `--import=${clock.href}`, TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8' };
    for (const [store, env] of Object.entries({ now: {}, later })) {
      const folder = join(home.dir, store);
      await cp(new URL('../fixtures/reference-store/jobs/', import.meta.url), join(folder, 'jobs'), {
        recursive: true,
      });
      for (const id of ['demo_blocked', 'demo_completed', 'demo_torn'])
        await home.json(['export', id, '--store', folder, '--out-dir', store], { env });
    }
    for (const id of ['demo_blocked', 'demo_completed', 'demo_torn']) {
      const [one, other] = await Promise.all(
        ['now', 'later'].map((store) => readFile(home.path(`${store}/jobpacks/jobpack_${id}.zip`))),
      );
      expect(one?.equals(other ?? Buffer.alloc(0)), id).toBe(true);
    }
  });

  test('W34 a job of the reference can be exported', async ({ session: home }) => {
    const { cp } = await import('node:fs/promises');
    await cp(new URL('../fixtures/reference-store/jobs/', import.meta.url), join(home.store, 'jobs'), {
      recursive: true,
    });
    for (const id of [
      'demo_blocked',
      'demo_completed',
      'demo_torn',
      'demo_mute',
      'demo_wrapped',
      'demo_bypassed',
    ]) {
      await home.json(['export', id]);
      const { files_verified: files } = await home.json(['verify', id]);
      expect(files, id).toBeGreaterThan(6);
      const exported = await readFile(home.path(`wrkr-out/jobpacks/jobpack_${id}.zip`));
      expect([...filesIn(exported).values()].join(''), id).not.toMatch(/"created_at":"[^"]*\.\d*0Z"/);
    }
  });
});

describe.concurrent('wrap and demo end with evidence', () => {
  test('W42 wrap exports its pack, whether the command succeeded or not', async ({ home }) => {
    const good = await home.json(['wrap', '--job-id', 'w', '--', 'true']);
    expect(Object.keys(good)).toEqual([
      'job_id',
      'adapter_result',
      'jobpack_path',
      'manifest_sha256',
      'footer',
    ]);
    expect(await home.json(['verify', 'w'])).toMatchObject({ manifest_sha256: good.manifest_sha256 });
    const bad = await home.run(['wrap', '--job-id', 'v', '--out-dir', 'o', '--', 'sh', '-c', 'exit 3']);
    expect(bad.code).toBe(1);
    expect(bad.stderr).toContain('E_ADAPTER_FAIL');
    const [job, pack, footer = ''] = bad.stdout.trimEnd().split('\n');
    expect([job, pack]).toEqual(['job_id=v', `jobpack=${home.path('o/jobpacks/jobpack_v.zip')}`]);
    expect(footer.replace('footer=', '')).toMatch(FOOTER);
    expect(await home.json(['verify', 'v', '--out-dir', 'o'])).toMatchObject({ job_id: 'v' });
    const failing = await home.run(['wrap', '--job-id', 'u', '--json', '--', './none']);
    expect(failing).toMatchObject({ code: 1, error: { code: 'E_ADAPTER_FAIL' } });
    expect(failing.json.footer).toMatch(FOOTER);
  });

  test('I9 what was redacted is in no pack', async ({ session: home }) => {
    await home.run([
      'wrap',
      '--job-id',
      'w',
      '--redact',
      'tok_[a-z]+',
      '--',
      'sh',
      '-c',
      'echo "$1"; exit 4',
      'x',
      'tok_secret',
    ]);
    const pack = await readFile(home.path('wrkr-out/jobpacks/jobpack_w.zip'));
    expect(pack.includes('tok_secret')).toBe(false);
  });

  test('demo prints the three lines of its verified pack and nothing else on stdout', async ({ home }) => {
    const { stdout, stderr, code } = await home.run(['demo']);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.split('=')[0])).toEqual(['job_id', 'jobpack', 'footer']);
    expect(stderr).toContain('1. ');
    const json: Any = await home.json(['demo', '--out-dir', 'o']);
    expect(Object.keys(json)).toEqual(['job_id', 'jobpack', 'footer', 'manifest']);
    expect(await home.json(['verify', json.jobpack])).toMatchObject({
      job_id: json.job_id,
      manifest_sha256: json.manifest,
    });
  });
});
