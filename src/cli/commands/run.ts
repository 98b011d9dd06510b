/** `run`: one operational run, asked for on the command line (contract agents §3, §5). */
import { readFile } from 'node:fs/promises';
import { readLocalConfig } from '../../doors/agents/runner/local-config.ts';
import { type Judgement, prepareSkill, verifyCommand } from '../../doors/agents/runner/prepare.ts';
import {
  failBeforehand,
  type OnPhase,
  type OperationalRun,
  refuse,
  type RunOutcome,
  runOperational,
} from '../../doors/agents/runner/run.ts';
import { loadAllowList, loadTrust } from '../../doors/agents/runner/verification.ts';
import { ReeveError } from '../../model/errors.ts';
import { Refusal } from '../../policy/allow-list/refusal.ts';
import { digestOfBytes } from '../../policy/allow-list/sign.ts';
import type { CliContext, CommandHandler } from '../command.ts';
import { errorText, escapeControls } from '../output.ts';
import { type Asked, askedFor } from '../agents/run-asked.ts';

export const run: CommandHandler = async (ctx, input) => {
  const asked = askedFor(ctx, input);
  const onPhase = (line: string): void => {
    if (!ctx.json) ctx.stdout.write(`${line}\n`);
  };
  const bytes = asked.skill === undefined ? undefined : await packageOf(asked);
  const { exitCode, outcome, reason, summary, directory } = await carryOut(ctx, asked, bytes, onPhase);
  if (outcome === 'failed' && reason !== undefined && !ctx.json)
    ctx.stderr.write(`${escapeControls(reason)}\n`);
  const json = { ...summary, outcome, ...(reason === undefined ? {} : { reason }), directory };
  return { json, exitCode };
};

/** Whatever stops it from here on, the run's files tell. */
async function carryOut(
  ctx: CliContext,
  asked: Asked,
  bytes: Buffer | undefined,
  onPhase: OnPhase,
): Promise<RunOutcome> {
  const { skill } = asked;
  const named =
    skill === undefined || bytes === undefined
      ? asked.run
      : {
          ...asked.run,
          skill: { name: skill.name, version: skill.version, digest: digestOfBytes(bytes) },
        };
  let prepared: OperationalRun;
  try {
    prepared = await prepare(asked, bytes);
  } catch (error) {
    if (!(error instanceof ReeveError) || error.code === 'E_USAGE') throw error;
    if (!(error instanceof Refusal)) return kept(failBeforehand(named, error.message, onPhase));
    // Without verification nobody refuses: the arguments are wrong.
    if (!asked.isVerified) throw new ReeveError('E_USAGE', error.message, error.details);
    ctx.stderr.write(errorText(error));
    return kept(refuse(named, error.reason, onPhase));
  }
  return kept(runOperational(prepared, onPhase));
}

/** What cannot be kept ends with the runner's own exit code. */
async function kept(running: Promise<RunOutcome>): Promise<RunOutcome> {
  try {
    return await running;
  } catch (cause) {
    const { code, message, details } = cause as Partial<ReeveError>;
    if (code === 'E_USAGE') throw cause;
    throw new ReeveError('E_RUN_NOT_KEPT', message ?? String(cause), details, { cause });
  }
}

/** @throws Refusal: it does not run. ReeveError: it cannot. */
async function prepare(asked: Asked, bytes: Buffer | undefined): Promise<OperationalRun> {
  const { run: base, skill, rules } = asked;
  const nowMs = Date.now();
  const config = await readLocalConfig(asked.configPath);
  const list = asked.isVerified
    ? await loadAllowList({ ...rules, threshold: config.threshold }, nowMs)
    : undefined;
  const judgement: Judgement = { list, allowRaw: config.allowRaw, envRefs: base.envRefs, nowMs };
  if (skill === undefined) {
    if (typeof base.argv !== 'function') verifyCommand(base.argv, judgement);
    return base;
  }
  if (bytes === undefined)
    throw new Refusal('not_listed', `there is no package of ${skill.name}@${skill.version}`);
  const approval = {
    taskId: base.runId,
    bytes: await readIfThere(asked.approvalPath),
    keys: list === undefined ? [] : await loadTrust(rules.trustPaths),
  };
  const { timeoutMs, sandbox, ...own } = prepareSkill(bytes, { ...skill, approval }, judgement);
  return {
    ...base,
    ...own,
    timeoutMs: base.timeoutMs ?? timeoutMs,
    sandbox: { ...sandbox, required: config.sandboxRequired },
  };
}

/** @returns undefined where a run has to be refused for it. @throws ReeveError E_USAGE */
async function packageOf({ skill, isVerified }: Asked): Promise<Buffer | undefined> {
  const bytes = await readIfThere(skill?.path);
  if (bytes === undefined && !isVerified) {
    const name = `${skill?.name}@${skill?.version}`;
    throw new ReeveError('E_USAGE', `there is no package of ${name} at ${skill?.path}`, {
      flag: '--skill',
      value: name,
      path: skill?.path,
    });
  }
  return bytes;
}

async function readIfThere(path: string | undefined): Promise<Buffer | undefined> {
  return path === undefined ? undefined : readFile(path).catch(() => undefined);
}
