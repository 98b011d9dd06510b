// replay, diff and report html as they are used: real jobs, real packs, no store where none is needed.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { openEvents } from '../../src/engine/event-codec.ts';
import { PackReplay } from '../../src/evidence/replay.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { evolve } from '../../src/model/evolve.ts';
import { encodeSnapshot } from '../../src/model/snapshot.ts';
import { emptyState } from '../../src/model/state.ts';
import { openStore } from '../../src/store/open-store.ts';
import { referencePack } from '../evidence/support.ts';
import { DECISION, type Any, type Home } from './rig.ts';
import { test } from './session.ts';

const STEPS = [
  { id: 'make', command: 'echo made > made.txt', artifacts: ['made.txt'] },
  DECISION,
  { id: 'end', command: 'true' },
];
/** The other program, with the store of the first one. */
function reeve(home: Home) {
  return { program: 'reeve', env: { REEVE_HOME: home.store } } as const;
}

async function toDecision(home: Home, jobId: string, steps: readonly object[] = STEPS): Promise<string> {
  await home.submit(jobId, steps);
  return (await home.checkpoints(jobId)).at(-1).checkpoint_id;
}

async function toEnd(
  home: Home,
  jobId: string,
  by = 'ann',
  steps: readonly object[] = STEPS,
): Promise<string> {
  const checkpoint = await toDecision(home, jobId, steps);
  await home.json(['approve', jobId, '--checkpoint', checkpoint, '--reason', 'fine', '--approved-by', by]);
  await home.json(['resume', jobId]);
  return checkpoint;
}

async function exported(home: Home, jobId: string): Promise<string> {
  return (await home.json(['export', jobId])).path;
}

function ndjson(text: string): Any[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line): Any => JSON.parse(line));
}

/** What `status` says without what only a store knows: when the lease ends, and what to type now. */
function shown(text: string): string {
  return (text.split('\nNext\n')[0] ?? '')
    .split('\n')
    .filter((line) => !/^worker |reeve approve /.test(line))
    .join('\n')
    .replace(/updated .*/, 'updated')
    .replaceAll(/(?:just now|\d+s ago)\s+/g, '')
    .trimEnd();
}

describe.concurrent('replay', () => {
  test('I3 at every version the pack gives the state that the events of the store give', async ({
    session: home,
  }) => {
    await toEnd(home, 'j');
    const path = await exported(home, 'j');
    const store = await openStore(home.store, { create: false });
    const folded: string[] = [];
    try {
      const state = emptyState('j');
      for (const event of await openEvents(await store.runs.events('j', 0, 10_000), store.blobs)) {
        evolve(state, event);
        folded.push(canonicalJson(JSON.parse(encodeSnapshot(state))));
        state.fresh.length = 0;
      }
    } finally {
      await store.close();
    }
    const pack = await PackReplay.open(path, 'verify');
    const replayed: string[] = [];
    try {
      const fold = pack.fold();
      for await (const event of pack.events()) {
        fold.add(event);
        replayed.push(canonicalJson(JSON.parse(encodeSnapshot(fold.state))));
      }
    } finally {
      await pack.close();
    }
    expect(folded.length).toBeGreaterThan(20);
    expect(replayed).toEqual(folded);
  });

  test('--at says what status said then, as JSON and as text', async ({ session: home }) => {
    const checkpoint = await toDecision(home, 'j');
    const [blocked, text] = [await home.status('j'), (await home.run(['status', 'j'], reeve(home))).stdout];
    const version = (await home.events('j')).length;
    await home.json(['approve', 'j', '--checkpoint', checkpoint, '--reason', 'fine', '--approved-by', 'ann']);
    await home.json(['resume', 'j']);
    const [completed, endText] = [
      await home.status('j'),
      (await home.run(['status', 'j'], reeve(home))).stdout,
    ];
    await exported(home, 'j');
    const end = (await home.events('j')).length;
    expect(await home.json(['replay', 'j', '--at', `evt_${version}`])).toEqual(blocked);
    expect(await home.json(['replay', 'j', '--at', `evt_${end}`])).toEqual(completed);
    expect(await home.json(['replay', 'j', '--at', '+300h'])).toEqual(completed);
    const past = await home.run(['replay', 'j', '--at', `evt_${version}`], reeve(home));
    expect(past.stdout).toContain('awaits approval');
    expect(shown(past.stdout)).toBe(shown(text));
    const last = await home.run(['replay', 'j', '--at', `evt_${end}`], reeve(home));
    expect(shown(last.stdout)).toBe(shown(endText));
    // Nothing can be done about the past.
    expect(past.stdout).not.toMatch(/reeve approve|^Next$/m);
  });

  test('a line for each event, and no store is asked for or made', async ({ home }) => {
    const checkpoint = await toEnd(home, 'j');
    const path = await exported(home, 'j');
    const alone = { program: 'reeve', env: { REEVE_HOME: join(home.dir, 'none') } } as const;
    const text = (await home.run(['replay', path], alone)).stdout.trimEnd().split('\n');
    expect(text).toHaveLength((await home.events('j')).length);
    expect(text[0]).toMatch(/^\S+Z evt_1 queued 0\/3 created with 3 steps by tester$/);
    expect(text.some((line) => line.includes(`${checkpoint} approved by ann: fine`))).toBe(true);
    const lines = ndjson((await home.run(['replay', path, '--json'], alone)).stdout);
    expect(lines).toHaveLength(text.length);
    expect(lines.at(-1)).toMatchObject({ status: 'completed', steps: 3, steps_done: 3, open_decisions: 0 });
    expect(lines.map(({ event_id: id }) => id)).toEqual(text.map((_, at) => `evt_${at + 1}`));
    await expect(readFile(join(home.dir, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('without a pack the run of the store is replayed, and no pack is left', async ({ home }) => {
    await toEnd(home, 'j');
    const fromStore = (await home.run(['replay', 'j', '--json'])).stdout;
    await expect(readFile(home.path('wrkr-out/jobpacks/jobpack_j.zip'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await exported(home, 'j');
    expect((await home.run(['replay', 'j', '--json'])).stdout).toBe(fromStore);
  });

  test('a damaged pack is 2; a place that is not there, or a terminal that is none, is 6', async ({
    session: home,
  }) => {
    await toEnd(home, 'j');
    const path = await exported(home, 'j');
    const bytes = await readFile(path);
    const at = bytes.indexOf('"reason":"fine"');
    bytes.write('"reason":"evil"', at);
    const damaged = await home.write('damaged.zip', bytes);
    for (const words of [
      ['replay', damaged],
      ['diff', path, damaged],
      ['report', 'html', damaged, '--out', 'x.html'],
    ])
      expect(await home.fails(words), words.join(' ')).toMatchObject({
        code: 'E_VERIFY_HASH_MISMATCH',
        exit_code: 2,
      });
    await expect(readFile(home.path('x.html'))).rejects.toMatchObject({ code: 'ENOENT' });
    for (const words of [
      ['replay', path, '--at', '2001-01-01T00:00:00Z'],
      ['replay', path, '--at', 'evt_4000'],
      ['replay', path, '--at', 'soon'],
      ['replay', path, '--step'],
      ['replay', path, '--speed', '0'],
      ['replay', path, '--max-pause', 'never'],
      ['replay', 'nobody'],
      ['diff', 'nobody', path],
      ['report', 'html', path, '--out', ''],
    ])
      expect(await home.fails(words), words.join(' ')).toMatchObject({ exit_code: 6 });
  });

  test('W34 an imported job is replayed from its first line on', async ({ home }) => {
    const fixture = new URL('../fixtures/reference-store/jobs/demo_completed', import.meta.url);
    await cp(fixture, home.jobDir('demo_completed'), { recursive: true });
    const replay = async (place: string): Promise<string> =>
      (await home.run(['replay', 'demo_completed', '--at', place], reeve(home))).stdout;
    expect(await replay('cp_11')).toMatch(/2 of 3 steps done[\s\S]*judge +awaits approval/);
    expect(await replay('evt_17')).toMatch(/publish +running/);
    // More than status says of it: that reads only what came after the import.
    expect(await replay('+1h')).toMatch(
      /completed[\s\S]*publish +done +1 [\s\S]*cp_11[^\n]*approved by lead/,
    );
  });

  test('a pack of the reference is replayed from its lines', async ({ home }) => {
    await writeFile(home.path('ref.zip'), referencePack());
    const { stdout } = await home.run(['replay', 'ref.zip'], reeve(home));
    expect(stdout.trimEnd().split('\n')).toHaveLength(6);
    expect(stdout).toContain('evt_5 running 0/1 cp_4 approved by ann: read it');
    expect(stdout).toContain('evt_6 running 1/1 a done');
  });
});

describe.concurrent('diff', () => {
  test('the same job in two stores is the same; the exit code is 0', async ({ session: home }) => {
    await toEnd(home, 'one');
    const [a, elsewhere] = [await exported(home, 'one'), join(home.dir, 'elsewhere')];
    const there = { env: { REEVE_HOME: elsewhere } };
    await home.submit('two', STEPS, { file: 'one' }, there);
    const [checkpoint] = (await home.json(['checkpoint', 'list', 'two'], there)).slice(-1);
    const approve = ['approve', 'two', '--checkpoint', checkpoint.checkpoint_id, '--reason', 'fine'];
    await home.json([...approve, '--approved-by', 'ann'], there);
    await home.json(['resume', 'two'], there);
    const b = (await home.json(['export', 'two'], there)).path;
    const { stdout, code } = await home.run(['diff', a, b, '--exit-code'], reeve(home));
    expect(stdout).toMatch(/^Same: /);
    expect(code).toBe(0);
    expect(await home.json(['diff', a, b])).toMatchObject({ same: true, differs_in: [], spec: [] });
  });

  test('what differs is told in words, and as an exit code only when asked for', async ({
    session: home,
  }) => {
    await toEnd(home, 'good');
    const bad = [...STEPS.slice(0, 2), { id: 'end', command: 'exit 3' }];
    const checkpoint = await toDecision(home, 'bad', bad);
    await home.json(['approve', 'bad', '--checkpoint', checkpoint, '--reason', 'hm', '--approved-by', 'bob']);
    await home.run(['resume', 'bad']);
    const { stdout, code } = await home.run(['diff', 'good', 'bad'], reeve(home));
    expect(code).toBe(0);
    expect(stdout).toContain('/inputs/steps/2/command: "true" → "exit 3"');
    expect(stdout).toContain('end: done → failed (exit 3)');
    expect(stdout).toContain('1: approvals: ann: fine → bob: hm');
    expect((await home.run(['diff', 'good', 'bad', '--exit-code'], reeve(home))).code).toBe(1);
    const json = await home.json(['diff', 'good', 'bad']);
    expect(json.status).toEqual({ a: 'completed', b: 'blocked_error' });
    expect(json.steps).toContainEqual({ step: 'end', what: 'exit', a: 0, b: 3 });
    expect(await home.json(['diff', 'good', 'bad'])).toEqual(json);
  });
});

describe.concurrent('report html', () => {
  test('I10 a run that was killed and resumed becomes one page, the same from pack and store', async ({
    home,
  }) => {
    const demo = await home.json(['demo']);
    const made = await home.json(['report', 'html', demo.job_id]);
    expect(made).toEqual({
      job_id: demo.job_id,
      report: home.path(`wrkr-out/reports/run_${demo.job_id}.html`),
      manifest_sha256: demo.manifest,
      verified: true,
    });
    const page = await readFile(made.report, 'utf8');
    for (const text of ['1 lost ✕', '✓ Verified', demo.manifest, 'Approved by demo', 'reports/demo.md'])
      expect(page.includes(text), text).toBe(true);
    await home.json(['report', 'html', demo.job_id, '--out-dir', 'none', '--out', 'other.html']);
    expect(await home.read('other.html')).toBe(page);
  });

  test('what was not verified says so', async ({ home }) => {
    await toDecision(home, 'j');
    const { stdout } = await home.run(['report', 'html', 'j', '--no-verify', '--out', 'p.html'], reeve(home));
    expect(stdout).toContain('verified=no');
    expect((await home.read('p.html')).includes('✕ Not verified')).toBe(true);
  });
});
