// verify.mjs stands alone: an auditor copies one file, and no mistake of ours can reach it through an import.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { importsOf } from '../../scripts/check-imports.ts';

test('verify.mjs imports nothing but Node', () => {
  const text = readFileSync(new URL('../../verify.mjs', import.meta.url), 'utf8');
  const names = importsOf({ path: 'verify.mjs', text }).map(({ specifier }) => specifier ?? 'computed');
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((name) => !name.startsWith('node:'))).toEqual([]);
  expect(text).not.toMatch(/process\.(?:binding|dlopen)|getBuiltinModule|createRequire/);
});
