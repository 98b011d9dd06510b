// Many processes writing one store, and writers that are killed (contract wrkr §d, durability).
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { BIN, DECISION, test, until, type Home } from './rig.ts';

/**
 * Emits `count` checkpoints named `<name>-<n>`, opening and closing the store for each as a command does, in one process
 * to save starting Node for every one.
 */
const EMITTER = `
const [entry, name, count] = process.argv.slice(1);
const { main } = await import(entry);
process.stdout.setMaxListeners(0);
process.stderr.setMaxListeners(0);
for (let n = 1; n <= Number(count); n += 1) {
  const code = await main(['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', name + '-' + n], 'wrkr');
  if (code !== 0) process.exit(code);
}`;
const ENTRY = new URL('../../dist/cli/main.js', import.meta.url).href;

function emitter(home: Home, name: string, count: number) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', EMITTER, ENTRY, name, String(count)], {
    cwd: home.cwd,
    env: home.env(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return {
    child,
    /** Ids of the checkpoints that were acknowledged. */
    acknowledged: () => [...stdout.matchAll(/^checkpoint=cp_(\d+) /gm)].map(([, seq]) => Number(seq)),
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stderr })),
  };
}

async function expectWhole(home: Home): Promise<number> {
  const events = await home.events('j');
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
  return events.length;
}

describe('many writers', () => {
  test('W6 8 processes with 40 appends each: numbered without gap, none lost, none fails', async ({
    home,
  }) => {
    await home.submit('j', [DECISION]);
    const before = (await home.events('j')).length;
    const emitters = Array.from({ length: 8 }, (_, at) => emitter(home, `p${at}`, 40));
    for (const end of await Promise.all(emitters.map(({ ended }) => ended)))
      expect(end).toEqual({ code: 0, stderr: '' });
    const acknowledged = emitters.flatMap((each) => each.acknowledged());
    expect(new Set(acknowledged).size).toBe(320);
    const checkpoints = await home.checkpoints('j');
    const summaries = checkpoints
      .filter(({ summary }) => /^p\d-\d+$/.test(summary))
      .map(({ summary }) => summary);
    expect(new Set(summaries).size).toBe(320);
    expect(await expectWhole(home)).toBe(before + 320);
  });

  test('W6 80 commands at once: all succeed', async ({ home }) => {
    await home.submit('j', [DECISION]);
    const before = (await home.events('j')).length;
    const results = await Promise.all(
      Array.from({ length: 80 }, (_, at) =>
        home.run(['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', `c${at}`]),
      ),
    );
    for (const { code, stderr } of results) expect([code, stderr]).toEqual([0, '']);
    expect(await expectWhole(home)).toBe(before + 80);
  });

  test('W11 W13 kill -9 while appending: nothing acknowledged is lost, and the next writer is not held up', async ({
    home,
  }) => {
    await home.submit('j', [DECISION]);
    const acknowledged: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      const all = [emitter(home, `a${round}`, 1000), emitter(home, `b${round}`, 1000)];
      await until(() => all.every((each) => each.acknowledged().length > round * 2), 'some appends');
      for (const { child } of all) child.kill('SIGKILL');
      const killedAtMs = performance.now();
      await home.json(['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', `after ${round}`]);
      // The reference waits 120 s here, and we for 10 s before we say "busy".
      expect(performance.now() - killedAtMs).toBeLessThan(8000);
      await Promise.all(all.map(({ ended }) => ended));
      acknowledged.push(...all.flatMap((each) => each.acknowledged()));
    }
    const ids = new Set((await home.checkpoints('j')).map(({ checkpoint_id: id }) => id));
    expect(acknowledged.filter((seq) => !ids.has(`cp_${seq}`))).toEqual([]);
    expect(new Set(acknowledged).size).toBe(acknowledged.length);
    // Appended and not told: at most one for each process that was killed.
    const emitted = (await home.checkpoints('j')).filter(({ summary }) => /^[ab]\d-/.test(summary));
    expect(emitted.length).toBeLessThanOrEqual(acknowledged.length + 12);
    await expectWhole(home);
    expect(await home.run(['store', 'check'])).toMatchObject({ code: 0 });
  });

  test('W8 W10 a torn line, a broken or foreign snapshot in the directory of a job of ours: mended, nothing changes', async ({
    home,
  }) => {
    await home.submit('j', [DECISION]);
    const bytes = await home.bytes('j');
    const before = [await home.status('j'), await home.checkpoints('j')];
    await appendFile(join(home.jobDir('j'), 'events.jsonl'), '{"seq":12,"created_at":"2026');
    const emit = ['checkpoint', 'emit', 'j', '--type', 'progress', '--summary', 'later'];
    await home.json(emit);
    const length = await expectWhole(home);
    for (const snapshot of [
      'no json',
      JSON.stringify({ last_seq: 999, created_at: '2026-01-01T00:00:00Z', state: { status: 'completed' } }),
      '',
    ]) {
      await home.write(join('..', '.wrkr', 'jobs', 'j', 'snapshot.json'), snapshot);
      expect((await home.status('j')).status).toBe('blocked_decision');
    }
    await home.json(emit);
    expect(await expectWhole(home)).toBe(length + 1);
    expect((await home.bytes('j')).startsWith(bytes.split('\0')[0]!)).toBe(true);
    expect(before[0]).toMatchObject({ status: 'blocked_decision' });
    const snapshot = JSON.parse((await home.bytes('j')).split('\0')[1]!);
    expect(snapshot).toMatchObject({ last_seq: length + 1, state: { status: 'blocked_decision' } });
  });

  const canMount = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0;
  test.skipIf(!canMount)(
    'a full disk: E_STORE_FULL, what was acknowledged is there, the store is whole',
    async ({ home }) => {
      await home.spec([{}]);
      const script = `
mkdir "$HOME/.wrkr" && mount -t tmpfs -o size=900k tmpfs "$HOME/.wrkr" || exit 99
node ${BIN}wrkr.js submit job.json --job-id j --queue > submitted || exit 98
node --input-type=module -e "$EMITTER" ${ENTRY} "$(head -c 1900 /dev/zero | tr '\\0' x)" 1000 > emitted 2> refused
echo $? > code
node ${BIN}wrkr.js checkpoint list j --json > listed
node ${BIN}wrkr.js store check --json > checked`;
      const end = spawn('unshare', ['-rm', 'sh', '-c', script], {
        cwd: home.cwd,
        env: home.env({ EMITTER }),
        stdio: 'ignore',
      });
      expect(await once(end, 'close')).toEqual([0, null]);
      expect(await home.read('code')).toBe('1\n');
      expect(await home.read('refused')).toMatch(/^E_STORE_FULL: /m);
      const acknowledged = await home.lines('emitted');
      expect(acknowledged.length).toBeGreaterThan(20);
      expect(JSON.parse(await home.read('listed'))).toHaveLength(acknowledged.length);
      expect(JSON.parse(await home.read('checked'))).toMatchObject({ ok: true, findings: [] });
    },
  );
});
