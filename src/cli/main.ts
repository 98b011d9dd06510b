/** The entry: finds the command, runs it, prints what it returns. The only place that prints results and errors. */
import { errorEnvelope } from '../doors/jobs/error-envelope.ts';
import { ReeveError } from '../model/errors.ts';
import type { CommandResult, Program } from './command.ts';
import { COMMANDS, TOPICS } from './commands/index.ts';
import { openContext, type OpenContext } from './context.ts';
import { commandText, mapText } from './help.ts';
import { Interruption } from './interrupt.ts';
import { errorText, jsonText } from './output.ts';
import { findCommand, parseInput, takeGlobals } from './parse.ts';
import { programVersion } from './version.ts';

/** Commands that take what follows `--` as it is. */
const AS_IS = new Set(COMMANDS.flatMap(({ path, rest }) => (rest?.asIs === true ? [path[0] ?? ''] : [])));

/** @returns the exit code, from the error table. */
export async function main(argv: readonly string[], program: Program): Promise<number> {
  const isAsIs = AS_IS.has(argv.find((word) => !word.startsWith('-')) ?? '') && argv.includes('--');
  const json = (isAsIs ? argv.slice(0, argv.indexOf('--')) : argv).includes('--json');
  process.stderr.on('error', ignoreError);
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    process.stdout.on('error', ignoreError);
    if (error.code === 'EPIPE') return; // `reeve list | head` ends the reader first; that is no failure of ours
    // What runs goes on: a job is not ended because its output has no room.
    const code = printError(unwritable(error), json);
    process.once('exit', () => (process.exitCode = code));
  });
  try {
    return await dispatch(argv, program);
  } catch (error) {
    return printError(error, json);
  }
}

async function dispatch(argv: readonly string[], program: Program): Promise<number> {
  const { globals, words } = takeGlobals(argv, AS_IS);
  const [first] = words;
  const isHelp = first === 'help' || first === '--help' || first === '-h';
  if (isHelp && !globals.explain) {
    process.stdout.write(mapText(program, TOPICS, programVersion().version));
    return 0;
  }
  const { command, words: rest } = findCommand(
    COMMANDS,
    first === undefined || first === '--version' ? ['version'] : isHelp ? ['help'] : words,
  );
  if (globals.explain) {
    const name = command.path.join(' ');
    process.stdout.write(
      globals.json
        ? `${JSON.stringify({ command: name, intent: command.intent })}\n`
        : `${program} ${name}: ${command.intent}\n`,
    );
    return 0;
  }
  const ours = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (ours.includes('--help') || ours.includes('-h')) {
    process.stdout.write(commandText(program, command));
    return 0;
  }
  const input = parseInput(command, rest);
  const interruption = new Interruption();
  // `--store-root` is what the contract calls `--store` on `store prune`.
  const store = globals.store ?? input.flags.text('store-root');
  const ctx = openContext({ program, commands: COMMANDS, json: globals.json, store, interruption });
  try {
    const handler = await command.load();
    return printResult(ctx, await handler(ctx, input));
  } catch (error) {
    // What a command has to say about its end says it; that it was cut short says nothing.
    if (interruption.exitCode === undefined || error instanceof ReeveError) throw error;
    return interruption.exitCode;
  } finally {
    interruption.off();
    await ctx.close();
  }
}

function printResult(ctx: OpenContext, result: CommandResult): number {
  if (ctx.json && result.json !== undefined) {
    ctx.stdout.write(typeof result.json === 'string' ? result.json : jsonText(result.json));
  } else if (!ctx.json && result.text !== undefined) {
    ctx.stdout.write(result.text.map((line) => `${line}\n`).join(''));
  }
  if (result.error !== undefined) return printError(result.error, ctx.json);
  return result.exitCode ?? 0;
}

function printError(cause: unknown, json: boolean): number {
  const error = cause instanceof ReeveError ? cause : defect(cause);
  process.stderr.write(
    json ? jsonText(errorEnvelope(error, Date.now(), programVersion().version)) : errorText(error),
  );
  if (process.env['REEVE_DEBUG'] === '1' && cause instanceof Error) process.stderr.write(`${cause.stack}\n`);
  return error.exitCode;
}

function defect(cause: unknown): ReeveError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const { code } = (cause ?? {}) as { code?: unknown };
  return new ReeveError(
    'E_GENERIC_FAILURE',
    message === '' ? 'unknown failure' : message,
    typeof code === 'string' ? { cause: code } : {},
    { cause },
  );
}

/** There is nowhere left to say it. */
function ignoreError(): void {}

function unwritable(cause: NodeJS.ErrnoException): ReeveError {
  const message = `standard output cannot be written (${cause.code})`;
  return new ReeveError('E_STORE_UNAVAILABLE', message, { cause: cause.code }, { cause });
}
