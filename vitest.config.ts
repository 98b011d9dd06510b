import { configDefaults, defineConfig } from 'vitest/config';

const slow = 'test/**/*.slow.test.ts';

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: '100%', // most tests wait for processes of their own: one core less would leave the others idle
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    restoreMocks: true,
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
