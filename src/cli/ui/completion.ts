/**
 * Completion scripts, made of the commands' data. All three shells follow the same plan: find the command among the words
 * before the cursor, then offer what its next argument, or the flag before the cursor, takes.
 */
import { STATUSES } from '../../doors/jobs/map.ts';
import { USAGE_SOURCES } from '../../doors/jobs/schema.ts';
import { CHECKPOINT_TYPES } from '../../model/node.ts';
import type { CommandSpec, FlagSpec } from '../command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What may stand at a place: words, or what the scripts look up; nothing is offered for `@any`. */
type Kind = '@jobs' | '@files' | '@dirs' | '@any' | { readonly words: readonly string[] };

const GLOBAL_SWITCHES: Readonly<Record<string, string>> = {
  json: 'Print results and errors as JSON',
  explain: 'Say what the command would do, and do nothing',
  help: 'Help on the command',
};
const JOBS_MAX = 100;

export function completionScript(shell: Shell, program: string, commands: readonly CommandSpec[]): string {
  switch (shell) {
    case 'bash':
      return bashScript(program, commands);
    case 'zsh':
      return zshScript(program, commands);
    case 'fish':
      return fishScript(program, commands);
    default:
      return shell satisfies never;
  }
}

function argumentKind(name: string): Kind {
  if (name === 'job') return '@jobs';
  if (name === 'shell') return { words: SHELLS };
  return name === 'spec' || name === 'path' || name === 'file' ? '@files' : '@any';
}

/** Undefined for a switch, which takes no value. */
function flagKind({ kind, value }: FlagSpec): Kind | undefined {
  if (kind === 'switch') return undefined;
  switch (value) {
    case 'status':
      return { words: STATUSES };
    case 'type':
      return { words: CHECKPOINT_TYPES };
    case 'source':
      return { words: USAGE_SOURCES };
    case 'dir':
      return '@dirs';
    case 'file':
    case 'path':
      return '@files';
    default:
      return '@any';
  }
}

function kindText(kind: Kind): string {
  return typeof kind === 'string' ? kind : kind.words.join(' ');
}

function valueFlags(commands: readonly CommandSpec[]): { at: string; kind: Kind }[] {
  return commands.flatMap(({ path, flags }) =>
    Object.entries(flags).flatMap(([name, spec]) => {
      const kind = flagKind(spec);
      return kind === undefined ? [] : [{ at: `${path.join(' ')} --${name}`, kind }];
    }),
  );
}

/** The second words of commands that have two, by the first. */
function groups(commands: readonly CommandSpec[]): ReadonlyMap<string, readonly CommandSpec[]> {
  return Map.groupBy(
    commands.filter(({ path }) => path.length > 1),
    ({ path }) => path[0] ?? '',
  );
}

function firstWords(commands: readonly CommandSpec[]): string[] {
  return [...new Set(commands.map(({ path }) => path[0] ?? ''))];
}

function flagWords({ flags }: CommandSpec): string[] {
  return [...Object.keys(flags), ...Object.keys(GLOBAL_SWITCHES), 'store'].map((name) => `--${name}`);
}

/** Branches of a shell's `case`; patterns with the same body share one. */
function cases(entries: readonly (readonly [pattern: string, body: string])[], indent: string): string {
  return [...Map.groupBy(entries, ([, body]) => body)]
    .map(([body, same]) => `${indent}${same.map(([pattern]) => `'${pattern}'`).join(' | ')}) ${body} ;;`)
    .join('\n');
}

/** Parts of a shell script that both bash and zsh read: variables set by the command, and by the flag before the cursor. */
function shellTables(commands: readonly CommandSpec[]): {
  flags: string;
  args: string;
  values: string;
  subcommands: string;
} {
  return {
    flags: cases(
      commands.map((command) => [command.path.join(' '), `flags='${flagWords(command).join(' ')}'`]),
      '    ',
    ),
    args: cases(
      commands.flatMap(({ path, args }) =>
        args.map(
          ({ name }, at) => [`${path.join(' ')} ${at}`, `takes='${kindText(argumentKind(name))}'`] as const,
        ),
      ),
      '    ',
    ),
    values: cases(
      valueFlags(commands).map(({ at, kind }) => [at, `takes='${kindText(kind)}'`]),
      '        ',
    ),
    subcommands: cases(
      [...groups(commands)].map(([first, group]) => [
        first,
        `takes='${group.map(({ path }) => path[1]).join(' ')}'`,
      ]),
      '    ',
    ),
  };
}

/** Prints job ids, one a line: bounded in number and in time, silent when anything is wrong. */
function listJobs(program: string, indent: string): string {
  return [
    `local limit=''`,
    `command -v timeout >/dev/null 2>&1 && limit='timeout 3'`,
    `command $limit ${program} "\${store[@]}" list --json --limit ${JOBS_MAX} 2>/dev/null </dev/null |`,
    `  sed -n 's/^ *"job_id": "\\([A-Za-z0-9._-]*\\)".*/\\1/p'`,
  ].join(`\n${indent}`);
}

/** Works with the bash 3.2 of macOS. */
function bashScript(program: string, commands: readonly CommandSpec[]): string {
  const { flags, args, values, subcommands } = shellTables(commands);
  const name = `_${program}`;
  return `# bash completion for ${program}: source <(${program} completion bash)
${name}_jobs() {
  ${listJobs(program, '  ').replace('"${store[@]}"', '${store[@]+"${store[@]}"}').replace('command $limit', '$limit')}
}

${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} word command='' takes='' flags='' at count=0
  local store=() IFS=$' \\t\\n'
  COMPREPLY=()
  [ "$cur" = '=' ] && cur=''
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [ "$word" = '=' ]; then continue; fi
    if [ -n "$takes" ]; then
      [ "$takes" = '@store' ] && store=(--store "\${word/#\\~/$HOME}")
      takes=''
      continue
    fi
    case $word in
      --) takes='@files'; break ;;
      --store) takes='@store' ;;
      -*)
        case "$command $word" in
${values}
        esac
        ;;
      *)
        case $command in
          ${groupPattern(commands)}) command="$command $word" ;;
          '') command=$word ;;
          *) count=$((count + 1)) ;;
        esac
        ;;
    esac
  done
  if [ -z "$takes" ]; then
    case $command in
${flags}
    esac
    case $command in
    '') takes='${firstWords(commands).join(' ')}' ;;
${subcommands}
    esac
    case "$command $count" in
${args}
    esac
    case $cur in
      -*) takes="\${flags:---json --explain --help --store}" ;;
    esac
  fi
  case $takes in
    '' | @any) ;;
    @jobs) COMPREPLY=($(compgen -W "$(${name}_jobs)" -- "$cur")) ;;
    @files) IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")) ;;
    @dirs | @store) IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "$takes" -- "$cur")) ;;
  esac
}

complete -F ${name} ${program}
`;
}

/** A shell pattern of first words that need a second one. */
function groupPattern(commands: readonly CommandSpec[]): string {
  return [...groups(commands).keys()].map((word) => `'${word}'`).join(' | ');
}

function zshScript(program: string, commands: readonly CommandSpec[]): string {
  const { flags, args, values } = shellTables(commands);
  const name = `_${program}`;
  const described = (entries: readonly (readonly [string, string])[]): string =>
    entries.map(([word, help]) => `'${word}:${zshText(help)}'`).join(' ');
  const heads = firstWords(commands).map((word): [string, string] => {
    const command = commands.find(({ path }) => path.length === 1 && path[0] === word);
    return [
      word,
      command?.summary ?? (groups(commands).get(word) ?? []).map(({ path }) => path[1]).join(', '),
    ];
  });
  const subcommands = cases(
    [...groups(commands)].map(([first, group]) => [
      first,
      `described=(${described(group.map(({ path, summary }) => [path[1] ?? '', summary]))})`,
    ]),
    '    ',
  );
  return `#compdef ${program}
# zsh completion for ${program}: source <(${program} completion zsh), after compinit
${name}_jobs() {
  ${listJobs(program, '  ').replace('command $limit', '${=limit}')}
}

${name}() {
  local cur=\${words[CURRENT]} word command='' takes='' flags='' prefix=''
  local -i at count=0
  local -a store described jobs
  for ((at = 2; at < CURRENT; at++)); do
    word=\${(Q)words[at]}
    if [[ -n $takes ]]; then
      [[ $takes == @store ]] && store=(--store "\${word/#\\~/$HOME}")
      takes=''
      continue
    fi
    case $word in
      --) takes='@files'; break ;;
      --store) takes='@store' ;;
      --*=*) ;;
      -*)
        case "$command $word" in
${values}
        esac
        ;;
      *)
        case $command in
          ${groupPattern(commands)}) command="$command $word" ;;
          '') command=$word ;;
          *) count+=1 ;;
        esac
        ;;
    esac
  done
  if [[ -z $takes && $cur == --*=* ]]; then
    word=\${cur%%=*}
    compset -P '*='
    case "$command $word" in
${values}
    esac
    [[ $word == --store ]] && takes='@store'
  fi
  if [[ -z $takes ]]; then
    case $command in
${flags}
    esac
    case $command in
    '') described=(${described(heads)}) ;;
${subcommands}
    esac
    case "$command $count" in
${args}
    esac
    case $cur in
      -*) described=(); takes="\${flags:---json --explain --help --store}" ;;
    esac
  fi
  if ((\${#described})); then
    _describe 'command' described
    return
  fi
  case $takes in
    ''|@any) ;;
    @jobs) jobs=(\${(f)"$(${name}_jobs)"}); compadd -a jobs ;;
    @files) _files ;;
    @dirs|@store) _files -/ ;;
    *) compadd -- \${=takes} ;;
  esac
}

if [[ \${funcstack[1]} == ${name} ]]; then ${name} "$@"; else compdef ${name} ${program}; fi
`;
}

function zshText(text: string): string {
  return text.replaceAll("'", String.raw`'\''`).replaceAll(':', String.raw`\:`);
}

function fishScript(program: string, commands: readonly CommandSpec[]): string {
  const name = `__${program}`;
  const line = (condition: string, rest: string): string =>
    `complete -c ${program} -n '${condition}' ${rest}`;
  const offer = (kind: Kind): string => {
    if (kind === '@jobs') return ` -xa '(${name}_jobs)'`;
    if (kind === '@files') return ' -rF';
    if (kind === '@dirs') return ` -xa '(__fish_complete_directories)'`;
    return kind === '@any' ? ' -x' : ` -xa ${fishText(kind.words.join(' '))}`;
  };
  const heads = firstWords(commands).map((word) => {
    const summary = commands.find(({ path }) => path.length === 1 && path[0] === word)?.summary;
    return line(`${name}_at`, `-fa ${word}${summary === undefined ? '' : ` -d ${fishText(summary)}`}`);
  });
  const subcommands = [...groups(commands)].flatMap(([first, group]) =>
    group.map(({ path, summary }) => line(`${name}_at ${first}`, `-fa ${path[1]} -d ${fishText(summary)}`)),
  );
  const details = commands.flatMap(({ path, args, flags }) => [
    ...Object.entries(flags).map(([flag, spec]) => {
      const kind = flagKind(spec);
      return line(
        `${name}_in ${path.join(' ')}`,
        `-l ${flag} -d ${fishText(spec.help)}${kind === undefined ? '' : offer(kind)}`,
      );
    }),
    ...args.slice(0, 1).flatMap(({ name: argument }) => {
      const kind = argumentKind(argument);
      if (kind === '@any') return [];
      const rest = kind === '@files' ? '-F' : offer(kind).trim().replace('-xa', '-fa');
      return [line(`${name}_at ${path.join(' ')}`, rest)];
    }),
  ]);
  return `# fish completion for ${program}: ${program} completion fish | source
# The words before the cursor that are neither flags nor values of flags.
function ${name}_words
    set -l skip 0
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        if test $skip -eq 1
            set skip 0
            continue
        end
        switch $word
            case --
                return
            case '--*=*'
            case ${['store', ...new Set(valueFlags(commands).map(({ at }) => at.replace(/.* --/, '')))].map((flag) => `--${flag}`).join(' ')}
                set skip 1
            case '-*'
            case '*'
                echo $word
        end
    end
end
# Exactly these words stand before the cursor.
function ${name}_at
    test "$(${name}_words | string join ' ')" = "$argv"
end
# The words before the cursor begin with these.
function ${name}_in
    string match -q -- "$argv *" "$(${name}_words | string join ' ') "
end
function ${name}_jobs
    command ${program} list --json --limit ${JOBS_MAX} 2>/dev/null </dev/null | string replace -rf '^ *"job_id": "([A-Za-z0-9._-]*)".*' '$1'
end

complete -c ${program} -f
complete -c ${program} -l store -d 'The store' -xa '(__fish_complete_directories)'
${Object.entries(GLOBAL_SWITCHES)
  .map(([flag, help]) => `complete -c ${program} -l ${flag} -d ${fishText(help)}`)
  .join('\n')}
${[...heads, ...subcommands, ...details].join('\n')}
`;
}

function fishText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
