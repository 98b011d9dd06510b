// What help prints. The files of snapshots/ are the review: `npx vitest run test/cli/help.test.ts -u` writes them anew.
import { describe, expect, test } from 'vitest';
import type { Program } from '../../src/cli/command.ts';
import { COMMANDS, TOPICS } from '../../src/cli/commands/index.ts';
import { commandText, mapText } from '../../src/cli/help.ts';
import { findCommand, parseInput, takeGlobals } from '../../src/cli/parse.ts';

const PROGRAMS: readonly Program[] = ['reeve', 'wrkr'];

test.each(PROGRAMS)('%s: the command map', async (program) => {
  await expect(mapText(program, TOPICS, '0.0.0')).toMatchFileSnapshot(`snapshots/${program}-map.txt`);
});

test.each(PROGRAMS)('%s: the help of each command', async (program) => {
  const texts = COMMANDS.map(
    (command) => `$ ${program} ${command.path.join(' ')} --help\n${commandText(program, command)}`,
  );
  await expect(texts.join('\n')).toMatchFileSnapshot(`snapshots/${program}-commands.txt`);
});

describe.each(COMMANDS.map((command) => [command.path.join(' '), command] as const))(
  '%s',
  (name, command) => {
    test('says what it is, and does', () => {
      expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
      expect(command.intent).toMatch(/^[a-z].*[^.]$/);
      for (const { help } of [...command.args, ...Object.values(command.flags)])
        expect(help).toMatch(/^\S.*[^.\s]$/);
    });

    test.skipIf(name === 'help')('has examples that parse', () => {
      expect(command.examples.length).toBeGreaterThan(0);
      for (const example of command.examples) {
        const { words } = takeGlobals(shellWords(example));
        const found = findCommand(COMMANDS, words);
        expect(found.command).toBe(command);
        parseInput(found.command, found.words);
      }
    });
  },
);

/** The words of a command line as a shell splits it, up to a redirection. */
function shellWords(line: string): string[] {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? '',
  );
  const end = words.findIndex((word) => /^(?:>>?|<|\|)$/.test(word));
  return end < 0 ? words : words.slice(0, end);
}
