// docs/commands.md, from the commands as data. `test/house/reference.test.ts` fails when the page is not current.
import { realpathSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CommandSpec, CommandTopic, FlagSpec } from '../src/cli/command.ts';
import { TOPICS } from '../src/cli/commands/index.ts';
import { argumentText } from '../src/cli/help.ts';

const PAGE = new URL('../docs/commands.md', import.meta.url);

const INTRO = `# Commands

<!-- Made by scripts/write-command-reference.ts. Change src/cli/commands/table and run: node scripts/write-command-reference.ts -->

\`reeve <command> [arguments] [flags]\`. \`reeve help\` prints the map, \`reeve <command> --help\` one command. A flag's value
follows as the next word or after \`=\`. What is \`<required>\` must be given, what is \`[optional]\` may be.

These may stand anywhere, but before \`--\`:

| flag | what it does |
| --- | --- |
| \`--json\` | prints results and errors as JSON; data on stdout, errors on stderr |
| \`--explain\` | says what the command would do, and does nothing |
| \`--store <dir>\` | the store, or the URL of one in PostgreSQL; else \`REEVE_STORE_URL\`, \`REEVE_HOME\`, \`~/.reeve\` |

\`wrkr\` takes the same commands under the program's contract name; its store is \`~/.wrkr\`.

Exit codes are in [errors.md](errors.md): 0 is success, 4 means that a person has to decide, 6 that the command or its
input is wrong. A submit that stops at a decision exits with 0: it went as planned. An interrupted command exits with 130
(SIGINT) or 143 (other signals) and can be resumed.
`;

export function commandReference(topics: readonly CommandTopic[]): string {
  const listed = topics.map(({ title, commands }) => ({
    title,
    commands: commands.filter(({ path }) => path[0] !== 'help'),
  }));
  const map = listed.flatMap(({ title, commands }) => [
    `| **${title}** | |`,
    ...commands.map(
      ({ path, summary }) => `| [\`${path.join(' ')}\`](#${path.join('-')}) | ${cell(summary)} |`,
    ),
  ]);
  const sections = listed.flatMap(({ commands }) => commands.map(section));
  return [INTRO, ['| command | |', '| --- | --- |', ...map, ''].join('\n'), ...sections].join('\n');
}

function section({ path, intent, args, rest, flags, examples }: CommandSpec): string {
  const name = path.join(' ');
  const usage = [
    'reeve',
    name,
    ...args.map(argumentText),
    ...(Object.keys(flags).length > 0 ? ['[flags]'] : []),
    ...(rest === undefined ? [] : [rest.optional === true ? `[-- ${rest.name}...]` : `-- ${rest.name}...`]),
  ].join(' ');
  const rows = [
    ...args.map((arg) => [argumentText(arg), arg.help]),
    ...(rest === undefined ? [] : [[`-- ${rest.name}...`, rest.help]]),
    ...Object.entries(flags).map(([flag, spec]) => [
      flagText(flag, spec),
      spec.repeated === true ? `${spec.help} (repeatable)` : spec.help,
    ]),
  ];
  return [
    `## ${name}`,
    '',
    `\`${usage}\``,
    '',
    `${intent[0]?.toUpperCase()}${intent.slice(1)}.`,
    '',
    ...(rows.length === 0
      ? []
      : [
          '| | |',
          '| --- | --- |',
          ...rows.map(([left = '', help = '']) => `| \`${left}\` | ${cell(help)} |`),
          '',
        ]),
    ...(examples.length === 0 ? [] : ['```sh', ...examples.map((example) => `reeve ${example}`), '```', '']),
  ].join('\n');
}

function flagText(name: string, { kind, value }: FlagSpec): string {
  if (kind === 'switch') return `--${name}`;
  return `--${name} <${value ?? (kind === 'text' ? 'text' : 'n')}>`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, commandReference(TOPICS));
}
