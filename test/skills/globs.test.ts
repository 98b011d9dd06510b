// Globs of skills: which paths are meant.

import { expect, test } from 'vitest';
import { like, likeOrBelow } from '../../skills/lib/globs.mjs';

test.each([
  ['*.tar.gz', ['a.tar.gz', '.a.tar.gz'], ['a.tar', 'x/a.tar.gz', 'a_tar.gz']],
  ['docs/**', ['docs/a', 'docs/.b/c.md'], ['docs', 'x/docs/a']],
  ['**/*.md', ['a.md', 'x/y/a.md'], ['a.mdx']],
  ['db-?.[a-c]', ['db-1.a'], ['db-12.a', 'db-1.d']],
  ['[!a]*', ['b1'], ['a1']],
  ['{a,b*}.sql', ['a.sql', 'bb.sql'], ['c.sql', '{a,b*}.sql']],
  ['a+(b)|$^\\', ['a+(b)|$^\\'], ['aab']],
  ['[', ['['], ['a']],
])('%s', (glob, inside, outside) => {
  for (const path of inside) expect(like(glob).test(path), path).toBe(true);
  for (const path of outside) expect(like(glob).test(path), path).toBe(false);
});

test('what is left out is left out with all below it', () => {
  for (const path of ['docs', 'docs/a/.b']) expect(likeOrBelow('docs/').test(path)).toBe(true);
  expect(likeOrBelow('docs').test('docs2/a')).toBe(false);
});
