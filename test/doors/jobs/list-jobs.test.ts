import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test as base } from 'vitest';
import type { Jobs } from '../../../src/doors/jobs/jobs.ts';
import { listJobs } from '../../../src/doors/jobs/read.ts';
import { toRun } from '../../../src/doors/jobs/to-run.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { systemChance, systemClock } from '../../../src/engine/system.ts';
import { openStore } from '../../../src/store/open-store.ts';
import { specOf, WHERE } from './support.ts';

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('jobs', async ({}, { onCleanup }) => {
  const root = await mkdtemp(join(tmpdir(), 'reeve-list-jobs-'));
  const store = await openStore(root);
  onCleanup(async () => {
    await store.close();
    await rm(root, { recursive: true, force: true });
  });
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  return { engine, root, note: () => undefined } as unknown as Jobs;
});

test('every job is on one page, whatever of other kinds lies between', async ({ jobs }) => {
  // Newest first: a, then one of agents, then the others.
  const spec = toRun(specOf(), WHERE);
  for (const id of ['e', 'd', 'c', 'b', 'task', 'a']) {
    const queue = id === 'task' ? 'agents' : 'foreground';
    await jobs.engine.execute(id, { type: 'create', spec: { ...spec, queue } });
  }
  for (const limit of [1, 2, 3, 4, 5, 6]) {
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await listJobs(jobs, { statuses: [], limit, ...(cursor === undefined ? {} : { cursor }) });
      pages.push(page.jobs.map(({ job_id: id }) => id));
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    expect(pages.flat(), `${limit} on a page`).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(pages.every((page) => page.length <= limit)).toBe(true);
  }
});
