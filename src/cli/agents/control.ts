/** Opens the control plane of agents by flags and the environment (docs/agents.md). */
import { join, resolve } from 'node:path';
import type { ControlPlane } from '../../doors/agents/control/service.ts';
import { ReeveError } from '../../model/errors.ts';
import { readSmallFile } from '../../policy/key-source.ts';
import { publicKeyFrom, type PublicKey } from '../../policy/keys.ts';
import { trustFrom } from '../../policy/trust.ts';
import type { Metrics } from '../../telemetry/prometheus.ts';
import { filesOfRuns } from './control-files.ts';
import { controlTokens } from './control-tokens.ts';
import { positive, setting } from '../environment.ts';
import type { CliContext, Flags } from '../command.ts';

/** Each agent that waits for a task has a connection, and an upload may take its time. */
export const CONTROL_LIMITS = { requestMs: 600_000, connections: 16_384 } as const;

export interface ControlChoices {
  /** Nobody else reaches it. */
  readonly isLocal: boolean;
  readonly metrics: Metrics | undefined;
  /** Beside others it says nothing of tokens and keys. */
  readonly isBeside?: true;
  note(text: string): void;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, E_UNSAFE_OPERATION; E_STORE_BUSY while another process serves this store */
export async function controlPlane(
  ctx: CliContext,
  flags: Flags,
  { isLocal, metrics, isBeside, note }: ControlChoices,
): Promise<ControlPlane> {
  const { openControlPlane } = await import('../../doors/agents/control/service.ts');
  const { packagesPart } = await import('../../doors/agents/control/packages/part.ts');
  const { rolloutsPart } = await import('../../doors/agents/control/rollouts/part.ts');
  const isOpen = isWithoutTokens(ctx, isLocal);
  const jobs = await ctx.jobs({ meter: metrics, note });
  const dir = join(jobs.root, 'agents');
  const keys = await trustedKeys(ctx, flags);
  const threshold = positive(ctx, 'JARVAS_TRUST_THRESHOLD', 'whole');
  if (threshold !== undefined && keys.length > 0 && threshold > keys.length)
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `JARVAS_TRUST_THRESHOLD is ${threshold}, and ${keys.length} keys are trusted: no list could ever be signed`,
      { variable: 'JARVAS_TRUST_THRESHOLD', value: threshold, limit: keys.length },
    );
  const pollS = positive(ctx, 'JARVAS_POLL_S', 'whole');
  const leaseS = positive(ctx, 'JARVAS_LEASE_S', 'whole');
  const files = await filesOfRuns(ctx, flags, { dir, note });
  const plane = await openControlPlane({
    engine: jobs.engine,
    file: join(dir, 'agents.sqlite'),
    tokens: await controlTokens(ctx, flags, { dir, isLocal, ...(isBeside === true ? {} : { note }) }),
    open: isOpen,
    keys,
    parts: [files, rolloutsPart({ files: files.files, note }), packagesPart],
    meter: metrics,
    note,
    ...(threshold === undefined ? {} : { threshold }),
    ...(pollS === undefined ? {} : { pollS }),
    ...(leaseS === undefined ? {} : { leaseS }),
  }).catch((error: unknown) => {
    if (!(error instanceof ReeveError) || error.code !== 'E_STORE_BUSY') throw error;
    const problem = `another process serves the control plane of the store ${jobs.root}`;
    throw new ReeveError(error.code, problem, { store: jobs.root }, { cause: error });
  });
  if (keys.length === 0 && isBeside !== true)
    note('no key is trusted (--trust-keys), so no allow-list can be published, and no task be queued');
  metrics?.beforeText(() => plane.measure());
  return plane;
}

/**
 * Beside other services: left out, and that is told, where another process serves it on this store, or where others reach
 * it and nobody gave tokens for it.
 * @throws ReeveError as above, otherwise
 */
export async function controlPlaneBeside(
  ctx: CliContext,
  flags: Flags,
  choices: ControlChoices,
): Promise<ControlPlane | undefined> {
  try {
    return await controlPlane(ctx, flags, { ...choices, isBeside: true });
  } catch (error) {
    const isLeftOut =
      error instanceof ReeveError &&
      (error.code === 'E_STORE_BUSY' ||
        (error.code === 'E_UNSAFE_OPERATION' && error.details?.['flag'] === '--tokens'));
    if (!isLeftOut) throw error;
    choices.note(`the control plane of agents is left out: ${error.message}`);
    return undefined;
  }
}

/** @throws ReeveError E_UNSAFE_OPERATION where others reach it */
function isWithoutTokens(ctx: CliContext, isLocal: boolean): boolean {
  const asked = setting(ctx, 'JARVAS_AUTH') ?? 'on';
  if (asked !== 'on' && asked !== 'off')
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `JARVAS_AUTH is on or off, not ${JSON.stringify(asked)}`, {
      variable: 'JARVAS_AUTH',
      value: asked.slice(0, 100),
    });
  if (asked === 'off' && !isLocal)
    throw new ReeveError(
      'E_UNSAFE_OPERATION',
      'JARVAS_AUTH=off is for loopback only: others would register agents and queue tasks without a token',
      { variable: 'JARVAS_AUTH' },
    );
  return asked === 'off';
}

/** Trust files or public keys in PEM, by flags, else by a list in the environment. @throws ReeveError E_INVALID_INPUT_SCHEMA */
async function trustedKeys(ctx: CliContext, flags: Flags): Promise<readonly PublicKey[]> {
  const flagged = flags.texts('trust-keys');
  const listed = setting(ctx, 'JARVAS_TRUST_KEYS')?.split(',') ?? [];
  const files =
    flagged.length > 0 ? flagged : listed.map((path) => path.trim()).filter((path) => path !== '');
  const known = new Map<string, PublicKey>();
  for (const file of files) {
    const from = `--trust-keys ${file}`;
    const { text } = await readSmallFile(resolve(ctx.cwd, file), '--trust-keys');
    const keys = text.trimStart().startsWith('{')
      ? trustFrom(text, from).map(({ publicKey }) => publicKey)
      : [publicKeyFrom(text, from)];
    for (const key of keys) known.set(key.keyId, key);
  }
  return [...known.values()];
}
