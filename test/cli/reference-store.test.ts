// Directories that the reference wrote (contract wrkr §d). The fixtures are made by hand; see their README.
import { appendFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import type { Home } from './rig.ts';
import { test } from './session.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/reference-store/jobs/', import.meta.url));

async function take(home: Home, ...names: string[]): Promise<void> {
  await mkdir(join(home.store, 'jobs'), { recursive: true });
  for (const name of names) await cp(join(FIXTURES, name), home.jobDir(name), { recursive: true });
}

const GOOD = ['demo_blocked', 'demo_completed', 'demo_torn', 'demo_mute', 'demo_bypassed', 'demo_wrapped'];

describe.concurrent('a store of the reference', () => {
  test('W34 status, list and checkpoints of every good job; the log keeps its lines', async ({
    session: home,
  }) => {
    await take(home, ...GOOD);
    const { jobs } = await home.json(['list']);
    expect(jobs.map(({ job_id: id }: { job_id: string }) => id).toSorted()).toEqual(GOOD.toSorted());
    const statuses = new Map<string, string>();
    for (const id of GOOD) {
      const { status } = await home.status(id);
      statuses.set(id, status);
      const checkpoints = await home.checkpoints(id);
      expect(checkpoints.length, id).toBeGreaterThan(0);
      const first = checkpoints[0].checkpoint_id;
      expect(await home.json(['checkpoint', 'show', id, first])).toEqual(checkpoints[0]);
      const original = await readFile(join(FIXTURES, id, 'events.jsonl'), 'utf8');
      const whole = original.slice(0, original.lastIndexOf('\n') + 1);
      expect((await readFile(join(home.jobDir(id), 'events.jsonl'), 'utf8')).startsWith(whole), id).toBe(
        true,
      );
    }
    expect(Object.fromEntries(statuses)).toMatchObject({
      demo_blocked: 'blocked_decision',
      demo_completed: 'completed',
      demo_mute: 'blocked_decision',
      demo_wrapped: 'blocked_error',
    });
  });

  test('W34 approve and resume: the job goes on at its cursor, its log is continued', async ({ home }) => {
    await take(home, 'demo_blocked');
    // The reference's fingerprint names its Go version: a job that moves to us does not match, rightly.
    const force = ['resume', 'demo_blocked', '--force-env', '--reason', 'moved to reeve'];
    expect(await home.fails(force)).toMatchObject({ exit_code: 4, details: { checkpoint_id: 'cp_11' } });
    const approve = ['approve', 'demo_blocked', '--checkpoint', 'cp_11', '--reason', 'fine'];
    expect(await home.json(approve)).toMatchObject({ checkpoint_id: 'cp_11' });
    expect(await home.fails(['resume', 'demo_blocked'])).toMatchObject({
      code: 'E_ENV_FINGERPRINT_MISMATCH',
    });
    await home.json(force);
    expect(await home.status('demo_blocked')).toMatchObject({ status: 'completed' });
    const events = await home.events('demo_blocked');
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
    const original = await readFile(join(FIXTURES, 'demo_blocked', 'events.jsonl'), 'utf8');
    expect(
      (await readFile(join(home.jobDir('demo_blocked'), 'events.jsonl'), 'utf8')).startsWith(original),
    ).toBe(true);
    const later = events.slice(original.trim().split('\n').length);
    const ran = later.filter(({ type }) => type === 'adapter_step').map(({ payload }) => payload.step_index);
    expect(ran, 'steps below the cursor never rerun').toEqual([2]);
    expect(await home.run(['store', 'check'])).toMatchObject({ code: 0 });
  });

  test('W25 W26 W34 a mute decision and a bypassed one still need their approval', async ({ home }) => {
    await take(home, 'demo_mute', 'demo_bypassed');
    for (const id of ['demo_mute', 'demo_bypassed']) {
      const first = await home.run(['resume', id, '--force-env', '--reason', 'moved', '--json']);
      const status = (await home.status(id)).status;
      expect([first.code, status], id).not.toEqual([0, 'completed']);
      if (first.code !== 0) expect(first.error, id).toMatchObject({ exit_code: 4 });
      else expect(status, id).toBe('blocked_decision');
    }
  });

  test('W8 a torn last line is ignored and cut off, and later appends keep the log readable', async ({
    home,
  }) => {
    await take(home, 'demo_torn');
    const original = await readFile(join(FIXTURES, 'demo_torn', 'events.jsonl'), 'utf8');
    expect(original.endsWith('\n')).toBe(false);
    const { stderr, code } = await home.run(['status', 'demo_torn']);
    expect([code, stderr]).toEqual([0, expect.stringContaining('demo_torn')]);
    await home.json(['checkpoint', 'emit', 'demo_torn', '--type', 'progress', '--summary', 'after the tear']);
    const events = await home.events('demo_torn');
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
  });

  test('W9 an undecodable line, a gap, a duplicate, an unknown type: E_STORE_CORRUPT with file, line and reason', async ({
    session: home,
  }) => {
    const bad = ['corrupt_line', 'corrupt_gap', 'corrupt_duplicate', 'corrupt_type'];
    await take(home, 'demo_completed', ...bad);
    for (const id of bad) {
      const before = await home.bytes(id);
      for (const words of [
        ['status', id],
        ['resume', id],
        ['checkpoint', 'list', id],
        ['cancel', id],
      ]) {
        const error = await home.fails(words);
        expect(error, words.join(' ')).toMatchObject({ code: 'E_STORE_CORRUPT', exit_code: 1 });
        expect(error.details).toMatchObject({
          file: join(home.jobDir(id), 'events.jsonl'),
          reason: expect.any(String),
        });
        expect(error.details.line).toBeGreaterThanOrEqual(3);
      }
      expect(await home.bytes(id), `${id} is left as it was`).toBe(before);
    }
    const list = await home.run(['list', '--json']);
    expect(list.code, 'a damaged job does not hide the others').toBe(0);
    expect(list.json.jobs).toMatchObject([{ job_id: 'demo_completed' }]);
    for (const id of bad) expect(list.stderr).toContain(id);
  });

  test('W10 a snapshot that is broken, ahead, empty or absent changes nothing', async ({ home }) => {
    const seen: unknown[] = [];
    for (const [id, snapshot] of [
      ['a', undefined],
      ['b', '{"last_seq": 99'],
      ['c', '{"last_seq":99,"created_at":"2026-01-01T00:00:00Z","state":{"status":"queued"}}'],
      ['d', ''],
      ['e', null],
    ] as const) {
      const dir = home.jobDir(`copy_${id}`);
      await mkdir(join(home.store, 'jobs'), { recursive: true });
      await cp(join(FIXTURES, 'demo_blocked'), dir, { recursive: true });
      if (snapshot === null) await rm(join(dir, 'snapshot.json'));
      else if (snapshot !== undefined) await writeFile(join(dir, 'snapshot.json'), snapshot);
      const { job_id: _, ...status } = await home.status(`copy_${id}`);
      seen.push(status);
    }
    for (const status of seen) expect(status).toEqual(seen[0]);
  });

  test('a live lock of the reference is honoured, a dead one is passed over', async ({ home }) => {
    await take(home, 'demo_completed');
    const dead = home.start(['version']);
    await dead.ended;
    await appendFile(join(home.jobDir('demo_completed'), 'append.lock'), `pid=${dead.pid};ts=1\n`);
    expect(await home.status('demo_completed')).toMatchObject({ status: 'completed' });
    await take(home, 'demo_blocked');
    await writeFile(join(home.jobDir('demo_blocked'), 'append.lock'), `pid=${process.pid};ts=1\n`);
    const waiting = home.start(['status', 'demo_blocked', '--json']);
    await home.run(['status', 'demo_completed']); // the wait of one holds up no other
    expect(waiting.isOver).toBe(false);
    await rm(join(home.jobDir('demo_blocked'), 'append.lock'));
    expect((await waiting.ended).json).toMatchObject({ status: 'blocked_decision' });
  });

  test('store import takes all, tells of the damaged, and is nothing the second time', async ({ home }) => {
    await take(home, 'demo_blocked', 'demo_completed', 'corrupt_gap');
    const first = await home.run(['store', 'import', '--json']);
    expect(first.code).toBe(1);
    expect(first.error).toMatchObject({ code: 'E_STORE_CORRUPT', exit_code: 1 });
    expect(first.json?.imported.toSorted()).toEqual(['demo_blocked', 'demo_completed']);
    expect(first.json?.failed).toMatchObject([{ job_id: 'corrupt_gap', code: 'E_STORE_CORRUPT' }]);
    await rm(home.jobDir('corrupt_gap'), { recursive: true });
    expect(await home.json(['store', 'import'])).toEqual({ imported: [], failed: [] });
  });
});
