// What somebody changes who knows the format: both verifiers find it, and both say the same of it.
import { describe, expect } from 'vitest';
import { ReeveError } from '../../src/model/errors.ts';
import { expectRefused, finishedPack, referencePack, seeded, test, verifyBytes } from './support.ts';
import { tamperCases } from './tamper-cases.ts';
import { mutated } from './tamper-mutations.ts';

/** More of them: REEVE_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['REEVE_FUZZ_RUNS'] ?? 200);

describe('both verifiers give one answer', () => {
  test('W50–W55 to every pack of the table', async ({ dir }) => {
    const wrong: string[] = [];
    for (const { name, says, bytes } of tamperCases(await finishedPack(dir))) {
      const code = await verifyBytes(dir, bytes(), name).then(
        () => 0,
        (error: unknown) => (error instanceof ReeveError ? error.exitCode : String(error)),
      );
      if (code !== says) wrong.push(`${name}: ${code} instead of ${says}`);
    }
    expect(wrong).toEqual([]);
  });

  test('W50 to flipped bits of a pack of ours: 2, wherever they are', async ({ dir }) => {
    const pack = await finishedPack(dir);
    const random = seeded(50);
    for (let n = 0; n < RUNS; n += 1) {
      const bytes = Buffer.from(pack);
      const at = Math.floor(random() * pack.length);
      bytes[at]! ^= 1 << Math.floor(random() * 8);
      await expectRefused(dir, bytes, 2, `byte ${at}`);
    }
  });

  test('W54 to random damage, hashed again or not: one of two errors, and the same', async ({ dir }) => {
    const packs = [await finishedPack(dir), referencePack()];
    const random = seeded(54);
    let verified = 0;
    for (let n = 0; n < RUNS; n += 1) {
      const answer = await verifyBytes(dir, mutated(packs, random), `mutation ${n}`).catch(
        (error: unknown) => error,
      );
      if (!(answer instanceof Error)) verified += 1;
      else expect(answer, `mutation ${n}`).toBeInstanceOf(ReeveError);
    }
    // Damage that nobody could notice teaches nothing; damage that everybody notices at once neither.
    expect(verified).toBeLessThan(RUNS / 2);
  });
});
