/** What the environment, CONFIG_DIR and flags tell an agent (contract agents §3). */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { idProblem } from '../../doors/agents/ids.ts';
import type { AgentSettings } from '../../doors/agents/agent/settings.ts';
import { readLocalConfig } from '../../doors/agents/runner/local-config.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, Flags } from '../command.ts';
import { setting } from '../environment.ts';
import { CONTROL_URL_DEFAULT, controlTls, controlUrl } from './control-client.ts';
import { dataDir, trustPathsOf } from './run-asked.ts';
import { requireToken, tokenIn } from '../serve/settings.ts';

const PARALLEL_MAX = 1000;

/** @throws ReeveError E_USAGE, E_INVALID_INPUT_SCHEMA */
export async function agentSettings(ctx: CliContext, flags: Flags): Promise<AgentSettings> {
  const configDir = setting(ctx, 'CONFIG_DIR');
  const inConfig = (name: string): string | undefined =>
    configDir === undefined ? undefined : resolve(ctx.cwd, configDir, name);
  const config = await readLocalConfig(inConfig('config.json'));
  const url = flags.text('url');
  const baseUrl = controlUrl(
    url ?? setting(ctx, 'CONTROL_URL') ?? config.controlUrl ?? CONTROL_URL_DEFAULT,
    url === undefined ? 'CONTROL_URL' : '--url',
  );
  const agentId =
    setting(ctx, 'JARVAS_AGENT_ID') ?? `${hostname().replaceAll(/[^A-Za-z0-9._-]/g, '-')}-agent`;
  const tenant = setting(ctx, 'JARVAS_TENANT') ?? 'default';
  for (const [variable, id] of [
    ['JARVAS_AGENT_ID', agentId],
    ['JARVAS_TENANT', tenant],
  ] as const) {
    const problem = idProblem(id);
    if (problem !== undefined) throw usage(variable, `is ${JSON.stringify(id)}, which ${problem}`);
  }
  const [agentToken, enrolToken] = [
    await tokenOf(ctx, 'JARVAS_AGENT_TOKEN'),
    await tokenOf(ctx, 'JARVAS_ENROL_TOKEN'),
  ];
  const tls = controlTls(ctx);
  return {
    control: { baseUrl, ...(tls === undefined ? {} : { tls }) },
    agentId,
    tenant,
    labels: labelsOf(ctx),
    ...(agentToken === undefined ? {} : { agentToken }),
    ...(enrolToken === undefined ? {} : { enrolToken }),
    pollS: numberOf(ctx, 'JARVAS_POLL_S', 10, 0.1, 3600),
    maxParallel: parallelOf(ctx, flags),
    dataDir: join(dataDir(ctx), 'agent'),
    runsDir: resolve(ctx.cwd, flags.text('runs-dir') ?? setting(ctx, 'RUNS_DIR') ?? 'runs'),
    trustPaths: trustPathsOf(ctx, inConfig('trust.json')),
    threshold: config.threshold,
    allowRaw: config.allowRaw,
    sandboxRequired: config.sandboxRequired,
    isStrict: setting(ctx, 'JARVAS_STRICT') === '1',
    secrets: config.secrets,
    env: ctx.env,
    keepDays: numberOf(ctx, 'JARVAS_KEEP_DAYS', 7, 0, 3650),
    drainS: numberOf(ctx, 'JARVAS_DRAIN_S', 30, 0, 86_400),
    version: ctx.version,
  };
}

/** From the variable, or from the file that `<variable>_FILE` names. @throws ReeveError E_INVALID_INPUT_SCHEMA */
async function tokenOf(ctx: CliContext, variable: string): Promise<string | undefined> {
  const file = setting(ctx, `${variable}_FILE`);
  if (file !== undefined)
    return requireToken(await tokenIn(resolve(ctx.cwd, file), `${variable}_FILE`), `${variable}_FILE`);
  const token = setting(ctx, variable);
  return token === undefined ? undefined : requireToken(token, variable);
}

/** `site=fra,ring=0`. @throws ReeveError E_USAGE */
function labelsOf(ctx: CliContext): Readonly<Record<string, string>> {
  const pairs = (setting(ctx, 'JARVAS_LABELS') ?? '').split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^\s*([^=\s]{1,128})\s*=\s*(.{0,256}?)\s*$/.exec(pair) ?? [];
      if (name === undefined || value === undefined)
        throw usage(
          'JARVAS_LABELS',
          `holds ${JSON.stringify(pair)}; labels are written name=text, with commas between them`,
        );
      return [name, value] as const;
    }),
  );
}

function parallelOf(ctx: CliContext, flags: Flags): number {
  const given = flags.number('parallel');
  if (given === undefined) return numberOf(ctx, 'JARVAS_PARALLEL', 1, 1, PARALLEL_MAX);
  if (given >= 1 && given <= PARALLEL_MAX) return given;
  throw new ReeveError('E_USAGE', `--parallel must be 1 to ${PARALLEL_MAX}, not ${given}`, {
    flag: '--parallel',
    value: given,
    limit: PARALLEL_MAX,
  });
}

function numberOf(ctx: CliContext, variable: string, standard: number, least: number, most: number): number {
  const text = setting(ctx, variable);
  const value = text === undefined ? standard : Number(text);
  if (value >= least && value <= most) return value;
  throw usage(variable, `is ${JSON.stringify(text)}, not a number from ${least} to ${most}`);
}

function usage(variable: string, problem: string): ReeveError {
  return new ReeveError('E_USAGE', `${variable} ${problem}`, { variable });
}
