import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect } from 'vitest';
import { JobReplay, parsePlace, replayTo } from '../../src/doors/jobs/replay.ts';
import { PackReplay, type Trust } from '../../src/evidence/replay.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { evolve } from '../../src/model/evolve.ts';
import { encodeSnapshot } from '../../src/model/snapshot.ts';
import { emptyState } from '../../src/model/state.ts';
import { PackJob } from './pack-job.ts';
import {
  editDocument,
  editLine,
  expectRefused,
  filesIn,
  referencePack,
  rehashed,
  test,
  write,
} from './support.ts';

/** Every state of a pack's run, as text. */
async function statesOf(path: string, trust: Trust = 'verify'): Promise<string[]> {
  const pack = await PackReplay.open(path, trust);
  try {
    const fold = pack.fold();
    const states: string[] = [];
    for await (const event of pack.events()) {
      fold.add(event);
      states.push(plain(encodeSnapshot(fold.state)));
    }
    return states;
  } finally {
    await pack.close();
  }
}

/** Whatever the order of keys. */
function plain(snapshot: string): string {
  return canonicalJson(JSON.parse(snapshot));
}

async function at(path: string, place: string) {
  const pack = await PackReplay.open(path, 'verify');
  try {
    const { replay, nowMs } = await replayTo(pack, parsePlace(place));
    return { view: replay.view(nowMs), response: replay.response(), nowMs };
  } finally {
    await pack.close();
  }
}

async function put(dir: string, bytes: Uint8Array): Promise<string> {
  const path = join(dir, 'given.zip');
  await writeFile(path, bytes);
  return path;
}

const STEP = fc.record({
  decision_needed: fc.boolean(),
  artifacts: fc.array(fc.constantFrom('a.txt', 'b/c.txt'), { maxLength: 2 }),
});

describe('replay', () => {
  test('I3 the state at every event is the fold of the events up to it, whatever the job', async ({
    dir,
  }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(STEP, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        async (steps, isWhole) => {
          const named = steps.map((step, index) => ({
            id: `s${index}`,
            summary: 'x',
            command: 'true',
            ...step,
          }));
          const job = new PackJob('job_p', named).toDecision();
          const hasDecision = job.events.some(
            ({ event }) => event.type === 'phase_changed' && event.to.phase === 'held',
          );
          if (isWhole && hasDecision) {
            const checkpoint = job.events.find(
              ({ event }) => event.type === 'checkpoint_emitted' && event.checkpoint === 'decision-needed',
            );
            job.must({ type: 'approve', checkpoint: checkpoint?.seq ?? 0, by: 'ann', reason: 'read it' });
          }
          const { path } = await write(dir, job.source());
          const state = emptyState('job_p');
          const folded = job.events.map((event) => {
            evolve(state, event);
            state.fresh.length = 0;
            return plain(encodeSnapshot(state));
          });
          expect(await statesOf(path)).toEqual(folded);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('--at: an event, a checkpoint, a time and an offset name the same moment', async ({ dir }) => {
    const job = new PackJob().toEnd();
    const { path } = await write(dir, job.source());
    const decision = job.events.find(
      ({ event }) => event.type === 'checkpoint_emitted' && event.checkpoint === 'decision-needed',
    );
    const [first] = job.events;
    if (decision === undefined || first === undefined) throw new Error('no decision');
    // The last event of that instant, so that times name it too.
    const last = job.events.findLast(({ atMs }) => atMs === decision.atMs);
    const moment = await at(path, `evt_${last?.seq}`);
    expect(moment.view).toMatchObject({ openDecisions: [`cp_${decision.seq}`], status: 'blocked_decision' });
    expect(await at(path, new Date(decision.atMs).toISOString())).toEqual(moment);
    expect(await at(path, `+${decision.atMs - first.atMs}ms`)).toEqual(moment);
    expect((await at(path, `cp_${decision.seq}`)).view.version).toBe(decision.seq);
    // Half a second later nothing has happened, and the view's clock has gone on.
    const later = await at(path, `+${decision.atMs - first.atMs + 500}ms`);
    expect(later.nowMs).toBe(decision.atMs + 500);
    expect(later.view.version).toBe(last?.seq);
  });

  test('--at: after the last event is the end; before the first, and what is not there, is 6', async ({
    dir,
  }) => {
    const job = new PackJob().toEnd();
    const { path } = await write(dir, job.source());
    const end = await at(path, `evt_${job.events.length}`);
    expect(end.view.status).toBe('completed');
    expect(await at(path, '2099-01-01T00:00:00Z')).toEqual(end);
    expect(await at(path, '+1000h')).toEqual(end);
    expect((await at(path, '+0s')).nowMs).toBe(job.events[0]?.atMs);
    for (const place of ['2020-01-01T00:00:00Z', 'evt_999', 'cp_1', 'cp_999'])
      await expect(at(path, place), place).rejects.toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA' });
    for (const place of ['', 'evt_0', 'evt_01', '+', '+-1s', 'yesterday', '-5s'])
      expect(() => parsePlace(place), place).toThrow(expect.objectContaining({ exitCode: 6 }));
  });

  test('a pack of the reference is folded from its lines', async ({ dir }) => {
    const path = await put(dir, referencePack());
    const open = await at(path, 'cp_4');
    expect(open.view).toMatchObject({
      jobId: 'job_v',
      status: 'running',
      openDecisions: ['cp_4'],
      steps: [{ name: 'a', state: 'running', attempts: 1, awaitsApproval: true }],
    });
    const end = await at(path, 'evt_6');
    expect(end.view).toMatchObject({
      openDecisions: [],
      steps: [{ state: 'succeeded', lastOutcome: 'succeeded' }],
      checkpoints: [{ id: 'cp_4', type: 'decision-needed', approvedBy: 'ann' }],
    });
    expect(end.view.budget).toContainEqual({ key: 'steps', used: 1 });
    expect(end.response).toMatchObject({ job_id: 'job_v', status: 'running' });
  });

  test('a damaged pack is refused unless nobody wants it verified', async ({ dir }) => {
    const { bytes } = await write(dir, new PackJob().toEnd().source());
    const files = editDocument(filesIn(bytes), 'job.json', (job) => {
      job.status = 'paused';
    });
    const damaged = rehashed(files);
    await expectRefused(dir, damaged, 2);
    const path = await put(dir, damaged);
    await expect(PackReplay.open(path, 'verify')).rejects.toMatchObject({ exitCode: 2 });
    expect(await statesOf(path, 'no-verify')).toHaveLength(new PackJob().toEnd().events.length);
  });

  test('events that no run can have are the fault of the pack, not of the reader', async ({ dir }) => {
    const { bytes } = await write(dir, new PackJob().toDecision().source());
    const files = editLine(filesIn(bytes), 'reeve/events.jsonl', -1, (line) => {
      line.body.event = { type: 'usage_charged', node: 'nowhere', attempt: 1, usage: {} };
    });
    const forged = await put(dir, rehashed(files));
    await expect(statesOf(forged, 'no-verify')).rejects.toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH' });
  });

  test('a job replay says in a line what each event did', async ({ dir }) => {
    const { path } = await write(dir, new PackJob().toEnd().source());
    const pack = await PackReplay.open(path, 'verify');
    try {
      const job = new JobReplay(pack);
      const told: string[] = [];
      for await (const event of pack.events()) told.push(job.add(event).summary);
      expect(told).toContain('collect started');
      expect(told).toContain('collect done');
      expect(told.some((text) => /^cp_\d+ approved by ann: read it$/.test(text))).toBe(true);
      expect(told).toContain('running → blocked_decision');
    } finally {
      await pack.close();
    }
  });
});
