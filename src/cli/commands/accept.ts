import { resolveUserPath } from '../../doors/jobs/paths.ts';
import { ACCEPT_CONFIG_FILE } from '../../doors/jobs/accept-config.ts';
import { acceptJob, AcceptInterrupted, type AcceptRun } from '../../doors/jobs/accept.ts';
import { EXAMPLE_ACCEPT_CONFIG } from '../../evidence/accept/config.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler, Flags } from '../command.ts';
import { interruptedBy } from '../interrupt.ts';
import { escapeControls } from '../output.ts';
import { renderAcceptance } from '../ui/acceptance.ts';
import { writeExample } from './init.ts';
import { outDirOf } from './verify.ts';

export const acceptInit: CommandHandler = async (ctx, { flags }) => {
  const path = await resolveUserPath(flags.text('path') ?? ACCEPT_CONFIG_FILE, ctx.cwd, 'path');
  await writeExample(path, EXAMPLE_ACCEPT_CONFIG, flags.on('force'));
  return { json: { config_path: path }, text: [`config=${escapeControls(path)}`] };
};

export const acceptRun: CommandHandler = async (ctx, { args, flags }) => {
  const configPath = flags.text('config');
  const junitPath = pathFlag(flags, 'junit');
  try {
    const run = await acceptJob(await ctx.jobs(), args[0] ?? '', {
      outDir: outDirOf(ctx, flags),
      ci: flags.on('ci'),
      cwd: ctx.cwd,
      env: ctx.env,
      signal: ctx.signal,
      ...(configPath === undefined ? {} : { configPath }),
      ...(junitPath === undefined ? {} : { junitPath }),
    });
    const isView = ctx.program === 'reeve' && ctx.stdout.isTTY;
    return {
      json: run,
      text: isView ? renderAcceptance(ctx, run) : lines(run),
      // Of all failures this one has no envelope: the result says it (contract wrkr §g).
      exitCode: run.accept_result.failures.length === 0 ? 0 : 5,
    };
  } catch (error) {
    if (!(error instanceof AcceptInterrupted)) throw error;
    ctx.stderr.write(`${error.message}\n`);
    return interruptedBy(ctx.signal);
  }
};

function lines(run: AcceptRun): readonly string[] {
  const { accept_result: result, junit_path: junit, summary_markdown_path: summary } = run;
  const { checks_run, checks_passed, failures } = result;
  return [
    `job=${run.job_id} checks=${checks_run} passed=${checks_passed} failures=${failures.length}`,
    `accept_result=${escapeControls(run.accept_result_path)}`,
    ...(junit === undefined ? [] : [`junit=${escapeControls(junit)}`]),
    ...(summary === undefined ? [] : [`summary=${escapeControls(summary)}`]),
    ...failures.map(({ check, message }) => `failure check=${check} message=${escapeControls(message)}`),
  ];
}

function pathFlag(flags: Flags, name: string): string | undefined {
  const given = flags.text(name);
  if (given !== undefined && (given.trim() === '' || given.includes('\0'))) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--${name} needs a path`, {
      flag: `--${name}`,
      value: given,
    });
  }
  return given;
}
