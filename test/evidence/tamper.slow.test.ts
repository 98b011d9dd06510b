// Long runs of what tamper.test.ts does briefly: both verifiers, on damage of every kind, within bounded memory.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { ReeveError } from '../../src/model/errors.ts';
import { measured } from './measured.ts';
import { finishedPack, referencePack, seeded, test, verifyBytes } from './support.ts';
import { tamperCases } from './tamper-cases.ts';
import { mutated } from './tamper-mutations.ts';

test('W54 10,000 damaged packs: one of two errors, the same from both', async ({ dir }) => {
  const packs = [await finishedPack(dir), referencePack()];
  const random = seeded(10_000);
  for (let n = 0; n < 10_000; n += 1) {
    const bytes = mutated(packs, random);
    await verifyBytes(dir, bytes, `mutation ${n}`).catch((error: unknown) => {
      if (!(error instanceof ReeveError)) throw error;
    });
  }
});

// One at a time is measured in large.slow.test.ts; here nothing may be left behind by any of 1,500.
test('W55 damaged packs, one after the other in one process, stay within 160 MiB in all', async ({ dir }) => {
  const folder = join(dir, 'damaged');
  await mkdir(folder);
  const ours = await finishedPack(dir);
  const random = seeded(55);
  const all = [
    ...tamperCases(ours).map(({ bytes }) => bytes()),
    ...Array.from({ length: 500 }, () => mutated([ours, referencePack()], random)),
  ];
  for (const [n, bytes] of all.entries()) await writeFile(join(folder, `${n}.zip`), bytes);
  const { code, peakMiB } = await measured('verify-all', folder, 48);
  expect(code).toBe('ok');
  expect(peakMiB).toBeLessThan(160);
});
