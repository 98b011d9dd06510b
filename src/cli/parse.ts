import { ReeveError } from '../model/errors.ts';
import { Flags, type CommandInput, type CommandSpec, type FlagSpec } from './command.ts';

export interface GlobalFlags {
  readonly json: boolean;
  readonly explain: boolean;
  readonly store?: string;
}

/**
 * Takes the global flags out of the words, wherever they stand (contract wrkr §b). After `--`, `--explain` and `--store`
 * belong to the child; `--json` is still ours there, unless it also stood before: then the child gets it.
 * @param asIs commands that leave all that follows `--` to the child.
 */
export function takeGlobals(
  words: readonly string[],
  asIs: ReadonlySet<string> = new Set(),
): { globals: GlobalFlags; words: readonly string[] } {
  const split = words.indexOf('--');
  const ours = split < 0 ? words : words.slice(0, split);
  const child = split < 0 ? [] : words.slice(split);
  const rest: string[] = [];
  let json = false;
  let explain = false;
  let store: string | undefined;
  for (let at = 0; at < ours.length; at += 1) {
    const word = ours[at] ?? '';
    if (word === '--json') json = true;
    else if (word === '--explain') explain = true;
    else if (word === '--store') {
      store = ours[at + 1];
      if (store === undefined) throw usage('--store needs a value', { flag: '--store' });
      at += 1;
    } else if (word.startsWith('--store=')) store = word.slice('--store='.length);
    else rest.push(word);
  }
  const isAsIs = asIs.has(rest[0] ?? '');
  const childJson = child.includes('--json') && !json && !isAsIs;
  const childWords = childJson ? child.filter((word) => word !== '--json') : child;
  return {
    globals: { json: json || childJson, explain, ...(store === undefined ? {} : { store }) },
    words: [...rest, ...childWords],
  };
}

/** The command that the first words name, and the words after it. */
export function findCommand(
  commands: readonly CommandSpec[],
  words: readonly string[],
): { command: CommandSpec; words: readonly string[] } {
  const [first = '', second = ''] = words;
  const group = commands.filter(({ path }) => path[0] === first);
  const exact = group.find(({ path }) => path[1] === second);
  const alone = group.find(({ path }) => path.length === 1);
  // A word that is neither subcommand nor argument is a mistyped subcommand.
  const isMistyped = alone?.args.length === 0 && group.length > 1 && /^[^-]/.test(second);
  const command = exact ?? (isMistyped ? undefined : alone);
  if (command !== undefined) return { command, words: words.slice(command.path.length) };
  if (group.length > 0) {
    const known = group.flatMap(({ path }) => path[1] ?? []);
    throw usage(
      second === ''
        ? `${first} needs a subcommand: ${known.join(', ')}`
        : `unknown subcommand '${first} ${second}'; known: ${known.join(', ')}`,
      { command: first, subcommand: second, nearest: nearest(second, known) },
    );
  }
  throw usage(`unknown command '${first}'`, {
    command: first,
    nearest: nearest(
      first,
      commands.map(({ path }) => path[0] ?? ''),
    ),
  });
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, or what the command calls it */
export function parseInput(command: CommandSpec, words: readonly string[]): CommandInput {
  try {
    return parse(command, words);
  } catch (error) {
    if (command.usageError === undefined || !(error instanceof ReeveError)) throw error;
    throw new ReeveError(command.usageError, error.message, error.details);
  }
}

function parse(command: CommandSpec, words: readonly string[]): CommandInput {
  const values = new Map<string, string[]>();
  const args: string[] = [];
  let rest: readonly string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (word === '--') {
      rest = words.slice(at + 1);
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      args.push(word);
      continue;
    }
    const [name, given] = splitFlag(word);
    const spec = Object.hasOwn(command.flags, name) ? command.flags[name] : undefined;
    if (!word.startsWith('--') || spec === undefined) {
      throw usage(`unknown flag '${word}' for ${command.path.join(' ')}`, {
        flag: word,
        nearest: nearest(name, Object.keys(command.flags), '--'),
      });
    }
    let value = given;
    if (spec.kind === 'switch') {
      if (value !== undefined && value !== 'true' && value !== 'false') {
        throw usage(`--${name} takes no value`, { flag: `--${name}`, value });
      }
      if (value !== 'false') values.set(name, []);
      continue;
    }
    if (value === undefined) {
      at += 1;
      value = words[at];
      if (value === undefined || value === '--')
        throw usage(`--${name} needs a value`, { flag: `--${name}` });
    }
    values.set(name, [
      ...(spec.repeated === true ? (values.get(name) ?? []) : []),
      checked(name, spec, value),
    ]);
  }
  checkArity(command, args, rest, words.includes('--'));
  return { args, rest, flags: new Flags(values) };
}

function splitFlag(word: string): [string, string?] {
  const bare = word.slice(2);
  const equals = bare.indexOf('=');
  return equals < 0 ? [bare] : [bare.slice(0, equals), bare.slice(equals + 1)];
}

function checked(name: string, spec: FlagSpec, value: string): string {
  const isCount = spec.kind === 'count';
  const pattern = isCount ? /^\d{1,15}$/ : /^\d{1,12}(\.\d{1,9})?$/;
  if (spec.kind !== 'text' && !pattern.test(value)) {
    throw usage(`--${name} needs ${isCount ? 'a whole number' : 'a number'} ≥ 0, not '${value}'`, {
      flag: `--${name}`,
      value,
    });
  }
  return value;
}

function checkArity(
  command: CommandSpec,
  args: readonly string[],
  rest: readonly string[],
  hasRest: boolean,
): void {
  const name = command.path.join(' ');
  const missing = command.args.slice(args.length).find(({ required }) => required);
  if (missing !== undefined) throw usage(`${name} needs <${missing.name}>`, { argument: missing.name });
  if (args.length > command.args.length && command.args.at(-1)?.repeated !== true) {
    const [unexpected = ''] = args.slice(command.args.length);
    const most = command.args.length === 0 ? 'no argument' : `${command.args.length} argument(s)`;
    throw usage(`${name} takes ${most}, not ${args.length}: '${unexpected}' is one too many`, { unexpected });
  }
  if (command.rest === undefined && hasRest)
    throw usage(`${name} takes nothing after --`, { argument: '--' });
  if (command.rest !== undefined && command.rest.optional !== true && rest.length === 0)
    throw usage(
      `${name} needs a ${command.rest.name} after --, such as: ${name} -- ${command.rest.name} arguments`,
      {
        argument: command.rest.name,
      },
    );
}

function usage(message: string, details: Readonly<Record<string, unknown>>): ReeveError {
  const shown = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined));
  const suggestion = typeof shown['nearest'] === 'string' ? `; did you mean '${shown['nearest']}'?` : '';
  return new ReeveError('E_INVALID_INPUT_SCHEMA', message + suggestion, shown);
}

/** The known word that a mistyped one is nearest to, if it is near at all. */
function nearest(word: string, known: readonly string[], prefix = ''): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.ceil(word.length / 2) + 1);
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best === undefined ? undefined : prefix + best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
