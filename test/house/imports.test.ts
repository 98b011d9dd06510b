import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { checkImports, importsOf, readSources } from '../../scripts/check-imports.ts';

const problemsOf = (path: string, text: string): readonly string[] => checkImports([{ path, text }]).problems;

describe('an edge against the table is reported', () => {
  test.each([
    ['telemetry/log.ts', '../model/ids.ts'],
    ['model/decide.ts', '../telemetry/log.ts'],
    ['model/decide.ts', '../store/port.ts'],
    ['model/decide.ts', 'node:crypto'],
    ['model/decide.ts', 'fs'],
    ['model/decide.ts', 'yaml'],
    ['policy/keys.ts', '../store/port.ts'],
    ['store/sqlite/store.ts', '../../policy/keys.ts'],
    ['store/sqlite/store.ts', '../../engine/engine.ts'],
    ['engine/engine.ts', '../executors/process/process.ts'],
    ['engine/engine.ts', '../evidence/pack.ts'],
    ['executors/process/process.ts', '../../store/port.ts'],
    ['executors/process/process.ts', '../agent/agent.ts'],
    ['executors/common.ts', './agent/agent.ts'],
    ['evidence/pack.ts', '../engine/engine.ts'],
    ['doors/jobs/map.ts', '../arp/map.ts'],
    ['doors/common.ts', './arp/map.ts'],
    ['doors/jobs/map.ts', '../../server/app.ts'],
    ['doors/jobs/map.ts', '../../cli/main.ts'],
    ['server/app.ts', '../cli/main.ts'],
    ['cli/main.ts', '../index.ts'],
    ['cli/main.ts', '../../scripts/build.mjs'],
    ['cli/main.ts', 'reeve/model'],
    ['cli/main.ts', '#model'],
    ['misc/thing.ts', 'node:fs'],
  ])('%s -> %s', (path, specifier) => {
    const problems = problemsOf(path, `import { x } from '${specifier}';\nexport const y = x;\n`);
    expect(problems.filter((problem) => problem.startsWith(`src/${path}`))).not.toEqual([]);
  });
});

describe('an edge of the table is not reported', () => {
  test.each([
    ['model/decide.ts', './evolve.ts'],
    ['model/hash.ts', 'canonicalize'],
    ['policy/keys.ts', '../model/ids.ts'],
    ['policy/keys.ts', '../telemetry/log.ts'],
    ['store/sqlite/store.ts', '../port.ts'],
    ['store/sqlite/store.ts', 'better-sqlite3'],
    ['engine/engine.ts', '../store/port.ts'],
    ['executors/process/process.ts', '../../engine/executor.ts'],
    ['executors/process/process.ts', './pid.ts'],
    ['executors/process/process.ts', '../common.ts'],
    ['evidence/pack.ts', '../store/port.ts'],
    ['doors/jobs/map.ts', '../../evidence/pack.ts'],
    ['doors/jobs/map.ts', './parts/deep.ts'],
    ['server/app.ts', '../doors/arp/routes.ts'],
    ['cli/main.ts', '../server/app.ts'],
    ['index.ts', './cli/main.ts'],
  ])('%s -> %s', (path, specifier) => {
    expect(problemsOf(path, `import { x } from '${specifier}';\nexport const y = x;\n`)).toEqual([]);
  });
});

test('every way to write an import is seen, and nothing in comments, strings or patterns', () => {
  const text = `
    // import 'comment-1';
    /* import 'comment-2'; */
    const s = "import 'string'", t = \`import('template')\`, r = /import('regexp')/;
    import 'a';
    import b from 'b';
    import type { C } from 'c';
    import { type D } from 'd';
    export * from 'e';
    export { f } from 'f';
    export type { G } from 'g';
    const h = await import('h');
    let i: import('i').I;
    let j: typeof import('j');
    const k = require('k');
    const l = \`\${await import('l')}\`;
    await import(s);
  `;
  const specifiers = importsOf({ path: 'cli/x.ts', text }).map((found) => found.specifier);
  expect(specifiers).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', undefined]);
});

test('the rules hold for types, re-exports and dynamic imports too, and name the line', () => {
  for (const text of [
    "import type { X } from '../store/port.ts';",
    "export * from '../store/port.ts';",
    "let x: import('../store/port.ts').X;",
    "void import('../store/port.ts');",
    'void import(name);',
  ]) {
    expect(problemsOf('model/x.ts', `\n${text}\n`)[0]).toMatch(/^src\/model\/x\.ts:2: /);
  }
});

test('a cycle between files is reported once, a diamond is not', () => {
  const file = (path: string, ...targets: string[]) => ({
    path,
    text: `${targets.map((target) => `import '${target}';`).join('\n')}\nexport {};\n`,
  });
  const cycle = [file('model/a.ts', './b.ts'), file('model/b.ts', './c.ts'), file('model/c.ts', './a.ts')];
  expect(checkImports(cycle).problems).toEqual([
    'cycle: src/model/a.ts -> src/model/b.ts -> src/model/c.ts -> src/model/a.ts',
  ]);
  const diamond = [
    file('model/a.ts', './b.ts', './c.ts'),
    file('model/b.ts', './d.ts'),
    file('model/c.ts', './d.ts'),
    file('model/d.ts'),
  ];
  expect(checkImports(diamond).problems).toEqual([]);
});

test('checking nothing is a failure', () => {
  expect(checkImports([]).problems).not.toEqual([]);
  expect(problemsOf('model/a.ts', 'export const a = 1;\n')).not.toEqual([]);
});

test('the tree as it is keeps the rules', () => {
  const report = checkImports(readSources(fileURLToPath(new URL('../../src', import.meta.url))));
  expect(report.problems).toEqual([]);
});
