// A short campaign on each store, as part of every run of the tests; the long one is `npm run crash` (docs/testing.md).
import { describe, expect, test } from 'vitest';
import { whyNoPostgres } from '../support/postgres.ts';
import { campaign } from './fire/campaign.ts';
import { faultsOf } from './fire/report.ts';

const missing = await whyNoPostgres();
const isLinux = process.platform === 'linux'; // processes are found in /proc

describe.skipIf(!isLinux)('I1 I4 I5 under fire', () => {
  test.for(['sqlite', 'postgres'] as const)(
    'on %s: nothing is lost, and nothing is done twice without a word',
    { timeout: 240_000 },
    async (store, { skip }) => {
      if (store === 'postgres' && missing !== undefined) skip(missing);
      const deeds = { kills: 10, servers: 3, freezes: 1, restarts: 1 };
      const report = await campaign({ store, seed: 20_261, limitMs: 15_000, ...deeds });
      expect(faultsOf(report)).toEqual([]);
      expect(report.killed.workers).toBeGreaterThan(0);
      expect(report.attempts).toBeGreaterThan(0);
      expect(report.acknowledged).toBeGreaterThan(0);
    },
  );
});
