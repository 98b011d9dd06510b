/** What `run` was asked for: flags and variables, checked before anything is made (contract agents §3). */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { actionProblem, idProblem, newRunId } from '../../doors/agents/ids.ts';
import type { OperationalRun } from '../../doors/agents/runner/run.ts';
import type { LocalRules } from '../../doors/agents/runner/verification.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandInput, Flags } from '../command.ts';
import { setting } from '../environment.ts';

const TIMEOUT_S_MAX = 86_400;
const OUTPUT_BYTES = 64 * 1024 * 1024;

export interface Asked {
  /** Of a skill without its program. */
  readonly run: OperationalRun;
  readonly skill?: AskedSkill;
  readonly isVerified: boolean;
  readonly rules: Omit<LocalRules, 'threshold'>;
  /** `config.json`; undefined without CONFIG_DIR. */
  readonly configPath: string | undefined;
  /** Where somebody may have put an approval of this run. */
  readonly approvalPath: string | undefined;
}

export interface AskedSkill {
  readonly name: string;
  readonly version: string;
  readonly args: Readonly<Record<string, string>>;
  /** Of its package. */
  readonly path: string;
}

/** @throws ReeveError E_USAGE */
export function askedFor(ctx: CliContext, { flags, rest }: CommandInput): Asked {
  const action = flags.text('action');
  if (action === undefined) throw usage('--action is missing', '--action');
  refuse('--action', action, actionProblem(action));
  const runId = flags.text('run-id') ?? newRunId(Date.now());
  refuse('--run-id', runId, idProblem(runId));
  const timeoutS = wholeFrom1(flags, 'timeout', TIMEOUT_S_MAX);
  const maxOutputBytes = wholeFrom1(flags, 'max-output', Number.MAX_SAFE_INTEGER) ?? OUTPUT_BYTES;
  const skill = skillOf(ctx, flags, rest);
  const command = rest.length > 0 ? rest : flags.text('command');
  if (skill === undefined && (command === undefined || command === ''))
    throw usage('there is nothing to run: give --command, --skill, or a command after --', '--command');
  const configDir = setting(ctx, 'CONFIG_DIR');
  const at = (name: string): string | undefined =>
    configDir === undefined ? undefined : resolve(ctx.cwd, configDir, name);
  return {
    run: {
      runId,
      action,
      argv: skill === undefined ? (command ?? '') : '',
      cwd: ctx.cwd,
      ...(timeoutS === undefined ? {} : { timeoutMs: timeoutS * 1_000 }),
      maxOutputBytes,
      env: ctx.env,
      envRefs: envRefsOf(ctx, flags.texts('env-ref')),
      secrets: ['JARVAS_AGENT_TOKEN', 'JARVAS_ENROL_TOKEN'].flatMap((name) => setting(ctx, name) ?? []),
      runsDir: resolve(ctx.cwd, flags.text('runs-dir') ?? setting(ctx, 'RUNS_DIR') ?? 'runs'),
      signal: ctx.signal,
    },
    ...(skill === undefined ? {} : { skill }),
    isVerified: isVerified(ctx, at('allowlist.json')),
    rules: {
      allowListPath: at('allowlist.json'),
      trustPaths: trustPathsOf(ctx, at('trust.json')),
      tenant: setting(ctx, 'JARVAS_TENANT') ?? 'default',
      serialPath: join(dataDir(ctx), 'allowlist-serials.json'),
    },
    configPath: at('config.json'),
    approvalPath: at(`approvals/${runId}.json`),
  };
}

/** A list that is there counts whatever the variable says; a word that is none must not switch it off unnoticed. */
function isVerified(ctx: CliContext, allowListPath: string | undefined): boolean {
  const asked = setting(ctx, 'JARVAS_VERIFY') ?? 'off';
  if (asked !== 'on' && asked !== 'off')
    throw usage(`JARVAS_VERIFY is ${JSON.stringify(asked)}, not on or off`, 'JARVAS_VERIFY');
  return asked === 'on' || (allowListPath !== undefined && existsSync(allowListPath));
}

/** Paths, with commas between them: trust files or public keys. */
export function trustPathsOf(ctx: CliContext, standard: string | undefined): string[] {
  const asked = setting(ctx, 'JARVAS_TRUST_KEYS');
  if (asked === undefined) return standard !== undefined && existsSync(standard) ? [standard] : [];
  const paths = asked.split(',').map((path) => path.trim());
  return paths.filter((path) => path !== '').map((path) => resolve(ctx.cwd, path));
}

function skillOf(ctx: CliContext, flags: Flags, rest: readonly string[]): AskedSkill | undefined {
  const text = flags.text('skill');
  const given = flags.texts('arg');
  if (text === undefined) {
    if (given.length > 0) throw usage('--arg needs --skill', '--arg');
    return undefined;
  }
  if (rest.length > 0 || flags.text('command') !== undefined)
    throw usage('--skill and a command exclude each other', '--skill');
  const [, name, version] =
    /^([a-z][a-z0-9_]{1,63})@(\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]{1,64})?)$/.exec(text) ?? [];
  if (name === undefined || version === undefined)
    throw usage(`--skill ${JSON.stringify(text)} is not name@version`, '--skill');
  const args: Record<string, string> = {};
  for (const pair of given) {
    const equals = pair.indexOf('=');
    const key = pair.slice(0, equals);
    // The value is not shown: it may be a secret.
    if (equals < 1 || !/^[a-z][a-z0-9_-]{0,63}$/.test(key)) throw usage('--arg is not key=value', '--arg');
    if (Object.hasOwn(args, key)) throw usage(`--arg ${key} is given twice`, '--arg');
    args[key] = pair.slice(equals + 1);
  }
  return { name, version, args, path: join(dataDir(ctx), 'skills', `${name}-${version}.tar.gz`) };
}

function envRefsOf(ctx: CliContext, names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of names) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) || name.startsWith('JARVAS_'))
      throw usage(`--env-ref ${JSON.stringify(name)} names no variable that a command may get`, '--env-ref');
    const value = ctx.env[name];
    if (value === undefined) throw usage(`--env-ref ${name} is not set`, '--env-ref');
    values[name] = value;
  }
  return values;
}

function wholeFrom1(flags: Flags, name: string, limit: number): number | undefined {
  const value = flags.number(name);
  if (value !== undefined && (value < 1 || value > limit))
    throw usage(`--${name} is ${value}, not 1 to ${limit}`, `--${name}`, { value, limit });
  return value;
}

export function dataDir(ctx: CliContext): string {
  return resolve(ctx.cwd, setting(ctx, 'DATA_DIR') ?? 'data');
}

function refuse(flag: string, value: string, problem: string | undefined): void {
  if (problem !== undefined) throw usage(`${flag} ${JSON.stringify(value)} ${problem}`, flag, { value });
}

function usage(message: string, flag: string, more: Readonly<Record<string, unknown>> = {}): ReeveError {
  return new ReeveError('E_USAGE', message, { flag, ...more });
}
