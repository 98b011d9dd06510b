// The pages of docs/ say what the program does: made from the same data, specs that are valid, links that lead somewhere.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { COMMANDS, TOPICS } from '../../src/cli/commands/index.ts';
import { findCommand, parseInput, takeGlobals } from '../../src/cli/parse.ts';
import { parseJobSpec } from '../../src/doors/jobs/load-spec.ts';
import { parseSpecText } from '../../src/doors/jobs/spec-text.ts';
import { ERRORS } from '../../src/model/errors.ts';
import { commandReference } from '../../scripts/write-command-reference.ts';
import { errorReference } from '../../scripts/write-error-reference.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const PAGES = ['README.md', ...pagesBelow('docs'), ...pagesBelow('examples')];

function pagesBelow(folder: string): string[] {
  const paths = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return paths.filter((path) => path.endsWith('.md')).map((path) => join(folder, path));
}

/** Bodies of the fenced blocks of one language. */
function blocks(page: string, language: string): string[] {
  return [...read(page).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, body = '']) => body,
  );
}

test('docs/commands.md is current', () => {
  expect(read('docs/commands.md')).toBe(commandReference(TOPICS));
});

test('docs/errors.md is current', () => {
  expect(read('docs/errors.md')).toBe(errorReference(ERRORS));
});

test('every example of the reference, and every reeve line of the pages, is a command line that parses', () => {
  const fromPages = PAGES.filter((page) => page !== 'docs/commands.md')
    .flatMap((page) => blocks(page, 'sh'))
    .flatMap((body) => body.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').replace(/\s*(?:&|\|.*|>.*)$/, ''))
    .flatMap((line) => /^(?:[A-Z_]+=\S+ )*(?:npx )?reeve (.+)$/.exec(line)?.[1] ?? []);
  const lines = [...COMMANDS.flatMap(({ examples }) => examples), ...fromPages].map((line) =>
    line.replace(/\s+>.*$/, ''),
  );
  expect(fromPages.length).toBeGreaterThan(10);
  for (const line of lines) {
    const words = (line.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((word) =>
      word.replaceAll(/^["']|["']$/g, ''),
    );
    const { command, words: rest } = findCommand(COMMANDS, takeGlobals(words).words);
    assert.doesNotThrow(() => parseInput(command, rest), line);
  }
});

test('every job spec on the pages and in the examples is valid', async () => {
  const specs = [
    ...PAGES.flatMap((page) =>
      blocks(page, 'yaml').filter((body) => body.includes('schema_id: wrkr.jobspec')),
    ),
    ...readdirSync(join(ROOT, 'examples'))
      .map((name) => join('examples', name, 'jobspec.yaml'))
      .filter((path) => existsSync(join(ROOT, path)))
      .map(read),
  ];
  expect(specs.length).toBeGreaterThan(3);
  for (const spec of specs)
    await expect(parseSpecText(spec, 'yaml').then(parseJobSpec)).resolves.toHaveProperty('schema_id');
});

test('every relative link of the pages leads to a file', () => {
  for (const page of PAGES) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:|^#/.test(target)) continue;
      expect(existsSync(resolve(ROOT, dirname(page), target.replace(/#.*/, ''))), `${page}: ${target}`).toBe(
        true,
      );
    }
  }
});
