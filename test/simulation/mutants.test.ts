import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MUTANTS } from './mutants.ts';

test('each mutant fits the source as it is, once', () => {
  const root = new URL('../../', import.meta.url);
  const wrong = MUTANTS.flatMap(({ file, find, says }) => {
    const count = readFileSync(fileURLToPath(new URL(file, root)), 'utf8').split(find).length - 1;
    return count === 1 ? [] : [`${file}: '${says}' fits ${count} times`];
  });
  expect(wrong).toEqual([]);
  expect(MUTANTS.length).toBeGreaterThanOrEqual(40);
  expect(new Set(MUTANTS.map(({ says }) => says)).size).toBe(MUTANTS.length);
});
