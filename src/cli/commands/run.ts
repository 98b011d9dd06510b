/** `run`: one operational run, asked for on the command line (contract agents §3). */
import { resolve } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import { newRunId } from '../../doors/agents/ids.ts';
import type { OperationalRun, RunOutcome } from '../../doors/agents/runner/run.ts';
import { runOperational } from '../../doors/agents/runner/run.ts';
import type { CliContext, CommandHandler, CommandInput } from '../command.ts';

const TIMEOUT_S_MAX = 86_400;
const OUTPUT_BYTES = 64 * 1024 * 1024;

export const run: CommandHandler = async (ctx, input) => {
  const asked = askedFor(ctx, input);
  const onPhase = (line: string): void => {
    if (!ctx.json) ctx.stdout.write(`${line}\n`);
  };
  const outcome = await runOperational(asked, onPhase);
  return { json: documentOf(outcome), exitCode: outcome.exitCode };
};

function askedFor(ctx: CliContext, { flags, rest }: CommandInput): OperationalRun {
  const action = flags.text('action');
  if (action === undefined) throw usage('--action is missing', { flag: '--action' });
  const command = rest.length > 0 ? rest : flags.text('command');
  if (command === undefined)
    throw usage('there is nothing to run: give --command, --skill, or a command after --', {
      flag: '--command',
    });
  const timeoutS = flags.number('timeout');
  if (timeoutS !== undefined && (timeoutS < 1 || timeoutS > TIMEOUT_S_MAX))
    throw usage(`--timeout is ${timeoutS}, not 1 to ${TIMEOUT_S_MAX} seconds`, {
      flag: '--timeout',
      value: timeoutS,
      limit: TIMEOUT_S_MAX,
    });
  return {
    runId: flags.text('run-id') ?? newRunId(Date.now()),
    action,
    argv: command,
    cwd: ctx.cwd,
    ...(timeoutS === undefined ? {} : { timeoutMs: timeoutS * 1_000 }),
    maxOutputBytes: flags.number('max-output') ?? OUTPUT_BYTES,
    env: ctx.env,
    envRefs: envRefsOf(ctx, flags.texts('env-ref')),
    runsDir: resolve(ctx.cwd, flags.text('runs-dir') ?? ctx.env['RUNS_DIR'] ?? 'runs'),
    signal: ctx.signal,
  };
}

function envRefsOf(ctx: CliContext, names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of names) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) || name.startsWith('JARVAS_'))
      throw usage(`--env-ref ${JSON.stringify(name)} names no variable that a command may get`, {
        flag: '--env-ref',
        value: name,
      });
    const value = ctx.env[name];
    if (value === undefined)
      throw usage(`--env-ref ${name} is not set`, { flag: '--env-ref', value: name });
    values[name] = value;
  }
  return values;
}

function documentOf({ summary, outcome, reason, directory }: RunOutcome): unknown {
  return { ...summary, outcome, ...(reason === undefined ? {} : { reason }), directory };
}

function usage(message: string, details: Readonly<Record<string, unknown>>): ReeveError {
  return new ReeveError('E_USAGE', message, details);
}
