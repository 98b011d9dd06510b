import type { ArgumentSpec, CommandSpec, CommandTopic } from './command.ts';

const INTRO: Record<'reeve' | 'wrkr', string> = {
  reeve: 'Reeve runs agent work durably, governs it while it runs, and proves afterwards what happened.',
  wrkr: 'Durable dispatch of long-running jobs (reeve under its contract name).',
};

/** The command map. */
export function mapText(program: 'reeve' | 'wrkr', topics: readonly CommandTopic[], version: string): string {
  const width = Math.max(
    ...topics.flatMap(({ commands }) => commands.map(({ path }) => path.join(' ').length)),
  );
  return [
    `${program} ${version} - ${INTRO[program]}`,
    '',
    `Usage: ${program} <command> [arguments] [flags]`,
    '',
    ...topics.flatMap(({ title, commands }) => [
      `${title}:`,
      ...commands.map(({ path, summary }) => `  ${path.join(' ').padEnd(width)}  ${summary}`),
      '',
    ]),
    'Anywhere:',
    '  --json          print results and errors as JSON',
    '  --explain       say what the command would do, and do nothing',
    `  --store <dir>   the store, or postgres://… (default ${program === 'reeve' ? '$REEVE_STORE_URL, $REEVE_HOME or ~/.reeve' : '~/.wrkr'})`,
    '',
    `Help on one command: ${program} <command> --help`,
    '',
  ].join('\n');
}

export function commandText(program: string, command: CommandSpec): string {
  const { path, summary, args, rest, flags, examples } = command;
  const usage = [
    program,
    ...path,
    ...args.map(argumentText),
    ...(Object.keys(flags).length > 0 ? ['[flags]'] : []),
    ...(rest === undefined ? [] : [rest.optional === true ? `[-- ${rest.name}...]` : `-- ${rest.name}...`]),
  ].join(' ');
  const rows: [string, string][] = [
    ...args.map(({ name, help }): [string, string] => [`<${name}>`, help]),
    ...(rest === undefined ? [] : [[`-- ${rest.name}...`, rest.help] as [string, string]]),
  ];
  const flagRows = Object.entries(flags).map(([name, { kind, value, help, repeated }]): [string, string] => [
    `--${name}${kind === 'switch' ? '' : ` <${value ?? (kind === 'text' ? 'text' : 'n')}>`}`,
    repeated === true ? `${help} (repeatable)` : help,
  ]);
  const width = Math.max(0, ...[...rows, ...flagRows].map(([left]) => left.length));
  const table = (entries: readonly [string, string][]): string[] =>
    entries.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [
    summary,
    '',
    `Usage: ${usage}`,
    ...(rows.length > 0 ? ['', 'Arguments:', ...table(rows)] : []),
    ...(flagRows.length > 0 ? ['', 'Flags:', ...table(flagRows)] : []),
    ...(examples.length > 0
      ? ['', 'Examples:', ...examples.map((example) => `  ${program} ${example}`)]
      : []),
    '',
  ].join('\n');
}

/** Such as `<job>`, `[step]`, `<file>...`. */
export function argumentText({ name, required, repeated }: ArgumentSpec): string {
  return `${required ? `<${name}>` : `[${name}]`}${repeated === true ? '...' : ''}`;
}
