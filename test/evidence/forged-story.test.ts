// Whoever forges a pack can hash. Its events may hold anything, and whatever reads them ends with one of our errors.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { JobReplay } from '../../src/doors/jobs/replay.ts';
import { htmlReport } from '../../src/evidence/html/page.ts';
import { readStory } from '../../src/evidence/read-story.ts';
import { PackReplay } from '../../src/evidence/replay.ts';
import { diffRuns, readSide } from '../../src/evidence/run-diff.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { PackJob } from './pack-job.ts';
import { filesIn, jcs, rehashed, test, write, type Any } from './support.ts';

const VALUE = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(-1, 1e300, 0.5, '__proto__', '0:collect', 'job', null, { toString: 1 }),
);

/** Sets the value at a random place of the document. */
function spoil(document: Any, turns: readonly number[], value: unknown): void {
  let at = document;
  for (const turn of turns) {
    const keys = Object.keys(at);
    const key = keys[turn % keys.length] ?? '';
    const next = at[key];
    const isLeaf = typeof next !== 'object' || next === null || Object.keys(next).length === 0;
    if (isLeaf || turn === turns.at(-1)) {
      at[key] = value;
      return;
    }
    at = next;
  }
}

async function readAll(path: string): Promise<void> {
  const story = await readStory(path, 'no-verify');
  expect(htmlReport(story).includes('<script')).toBe(false);
  const side = await readSide(path, 'no-verify');
  diffRuns(side, side);
  const pack = await PackReplay.open(path, 'no-verify');
  try {
    const job = new JobReplay(pack);
    for await (const event of pack.events()) job.add(event);
    job.view(job.atMs);
  } finally {
    await pack.close();
  }
}

test('spoiled events are told as they are, or refused', { timeout: 120_000 }, async ({ dir }) => {
  const { bytes } = await write(dir, new PackJob().toEnd().source());
  const files = filesIn(bytes);
  const lines = (files.get('reeve/events.jsonl') ?? '').trimEnd().split('\n');
  const path = join(dir, 'forged.zip');
  await fc.assert(
    fc.asyncProperty(
      fc.nat(lines.length - 1),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
      VALUE,
      async (index, turns, value) => {
        const line = JSON.parse(lines[index] ?? '');
        spoil(line.body.event, turns, value);
        const spoiled = lines.with(index, jcs(line));
        await writeFile(path, rehashed(new Map(files).set('reeve/events.jsonl', `${spoiled.join('\n')}\n`)));
        await readAll(path).catch((error: unknown) => {
          if (!(error instanceof ReeveError)) throw error;
        });
      },
    ),
    { numRuns: 120 },
  );
});
