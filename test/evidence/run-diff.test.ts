import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { diffJson } from '../../src/cli/ui/diff.ts';
import { diffRuns, readSide, type RunDiff } from '../../src/evidence/run-diff.ts';
import { PackJob } from './pack-job.ts';
import { referencePack, test, write } from './support.ts';

const STEPS = [
  { id: 'collect', summary: 'collected', command: 'true', artifacts: ['a.txt'] },
  { id: 'publish', summary: 'published', command: 'true', artifacts: ['b.txt'] },
];

async function diff(dir: string, a: PackJob, b: PackJob): Promise<RunDiff> {
  const [x, y] = [await write(dir, a.source(), 'a.zip'), await write(dir, b.source(), 'b.zip')];
  return diffRuns(await readSide(x.path, 'verify'), await readSide(y.path, 'verify'));
}

/** The same run at another time, as another job. */
function later(steps?: readonly object[]): PackJob {
  const job = new PackJob('another', steps);
  job.nowMs += 86_400_000;
  return job;
}

describe('diff of runs', () => {
  test('the same run at another time, under another id, is the same', async ({ dir }) => {
    const found = await diff(dir, new PackJob().toEnd(), later().toEnd());
    expect(found.differsIn).toEqual([]);
    expect(found.events).toEqual({ isSame: true, isReordered: false });
  });

  test('a changed input is named by its field', async ({ dir }) => {
    const changed = [STEPS[0] ?? {}, { ...STEPS[1], command: 'true # now' }];
    const found = await diff(dir, new PackJob('j', STEPS).toDecision(), later(changed).toDecision());
    expect(found.spec).toEqual([{ field: '/inputs/steps/1/command', a: 'true', b: 'true # now' }]);
    expect(found.differsIn).toEqual(['spec']);
  });

  test('a step more is a step, an event and an artifact more', async ({ dir }) => {
    const more = [...STEPS, { id: 'extra', summary: 'more', command: 'true', artifacts: ['c.txt'] }];
    const found = await diff(dir, new PackJob('j', STEPS).toDecision(), later(more).toDecision());
    expect(found.differsIn).toEqual(['spec', 'events', 'steps', 'artifacts', 'usage']);
    expect(found.steps).toEqual([{ step: 'extra', what: 'presence', a: undefined, b: 'there' }]);
    expect(found.artifacts).toMatchObject({ added: ['c.txt'], removed: [] });
    expect(found.events.first).toMatchObject({ b: { text: 'extra started' } });
    expect(found.usage).toContainEqual({ key: 'steps', a: 2, b: 3, percent: 50 });
  });

  test('how far they got, and who approved, are told', async ({ dir }) => {
    const found = await diff(dir, new PackJob().toDecision(), later().toEnd());
    expect(found.status).toEqual({ a: 'blocked_decision', b: 'completed' });
    expect(found.decisions).toEqual([{ decision: 1, what: 'approvals', a: '', b: 'ann: read it' }]);
    expect(found.events.first).toEqual({
      seq: new PackJob().toDecision().events.length + 1,
      a: undefined,
      b: expect.objectContaining({ type: 'approval_recorded' }),
    });
    expect(found.steps).toContainEqual({ step: 'publish', what: 'state', a: 'waiting', b: 'succeeded' });
  });

  test('a crash is what happened, and no other outcome', async ({ dir }) => {
    const found = await diff(dir, new PackJob('j', STEPS).toDecision(), later(STEPS).toDecision('dies'));
    expect(found.differsIn).toEqual(['events']);
    expect(found.events.first).toMatchObject({
      a: { text: 'collect done' },
      b: { text: 'dispatch-1 was lost; its lease on the job ended' },
    });
    expect(found.times.unattended).toEqual({ a: 0, b: 32_000 });
  });

  test('other records of a door are told, their envelope aside', async ({ dir }) => {
    const [a, b] = [new PackJob().toEnd(), later().toEnd()];
    a.note({ verdict: 'allow', rule: 'r1', created_at: '2025-01-01T00:00:00Z', job_id: 'demo' });
    b.note({ verdict: 'deny', rule: 'r1', created_at: '2026-01-01T00:00:00Z', job_id: 'another' });
    const found = await diff(dir, a, b);
    expect(found.records).toEqual([{ field: '/note/0/verdict', a: 'allow', b: 'deny' }]);
    expect(found.differsIn).toEqual(['events', 'records']);
  });

  test('steps side by side that end in another order make no difference', async ({ dir }) => {
    const [a, b] = [new PackJob('j', STEPS).toDecision(), new PackJob('j', STEPS).toDecision()];
    const [x, y] = [await write(dir, a.source(), 'a.zip'), await write(dir, b.source(), 'b.zip')];
    const [sideA, sideB] = [await readSide(x.path, 'verify'), await readSide(y.path, 'verify')];
    const events = [...sideB.events];
    const [first, second] = events.splice(5, 2);
    if (first === undefined || second === undefined) throw new Error('too few events');
    events.splice(5, 0, second, first);
    const found = diffRuns(sideA, { ...sideB, events });
    expect(found.events).toMatchObject({ isSame: false, isReordered: true, first: { seq: 6 } });
    expect(found.differsIn).toEqual([]);
  });

  test('I10 the same packs give the same answer, and the other way round the same sections', async ({
    dir,
  }) => {
    const [one, two] = [new PackJob().toDecision(), later().toEnd()];
    const forth = await diff(dir, one, two);
    expect(JSON.stringify(diffJson(await diff(dir, one, two)))).toBe(JSON.stringify(diffJson(forth)));
    expect((await diff(dir, two, one)).differsIn).toEqual(forth.differsIn);
  });

  test('a pack of the reference can be compared with one of ours', async ({ dir }) => {
    const path = join(dir, 'reference.zip');
    await writeFile(path, referencePack());
    const { path: ours } = await write(dir, new PackJob().toEnd().source());
    const found = diffRuns(await readSide(path, 'verify'), await readSide(ours, 'verify'));
    expect(found.differsIn).toContain('spec');
    const itself = diffRuns(await readSide(path, 'verify'), await readSide(path, 'verify'));
    expect(itself.differsIn).toEqual([]);
  });
});
