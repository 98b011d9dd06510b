import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const slow = 'test/**/*.slow.test.ts';

/** Where nothing is known of the last run, large files come first. These are small and take long: none should be the last. */
const LONG = /\/test\/(?:crash\/|store\/postgres\/contract|model\/properties)/;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not the one of arrays
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => (LONG.test(moduleId) ? 0 : 1);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: '100%', // most tests wait for processes of their own: one core less would leave the others idle
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    restoreMocks: true,
    sequence: { sequencer: LongFirst },
    reporters: ['default', './scripts/closing-line-reporter.mjs'],
    projects: [
      {
        extends: true,
        test: { name: 'fast', include: ['test/**/*.test.ts'], exclude: [...configDefaults.exclude, slow] },
      },
      {
        extends: true,
        test: { name: 'slow', include: [slow], testTimeout: 600_000, hookTimeout: 120_000 },
      },
    ],
  },
});
