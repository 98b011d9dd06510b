/** Opens the Atomic Executor: which nodes it has, its limits, and where its types are published. */
import { resolve } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import { escapeControls } from '../../model/visible-text.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import type { NodeType } from '../../doors/arp/wire/core.ts';
import type { AuthSettings } from '../../policy/auth/settings.ts';
import type { AtomicExecutor } from '../../doors/arp/atomic/executor.ts';
import type { HealthCheck } from '../../doors/arp/wire/common.ts';
import type { RouteGroup } from '../../doors/http.ts';
import { positiveOrOff, setting } from '../environment.ts';
import { addressOf, type OpenService, type World } from './settings.ts';
import type { CliContext, Flags } from '../command.ts';

export interface AtomicStart {
  readonly flags: Flags;
  readonly jwt: AuthSettings | undefined;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, E_ADAPTER_FAIL; what the registry answers when types are published */
export async function openAtomicExecutor(
  ctx: CliContext,
  world: World,
  { flags, jwt }: AtomicStart,
): Promise<OpenService> {
  const dir = resolve(ctx.cwd, setting(ctx, 'REEVE_ATOMIC_DIR') ?? './runs/jarvis_atomic_executor');
  const note = (text: string): void => void ctx.stderr.write(`${escapeControls(redactText(text))}\n`);
  const atomic = await assembleAtomic(ctx, world, { flags, dir, note });
  try {
    if (flags.on('publish')) await publish(ctx, atomic.types, jwt);
  } catch (error) {
    await atomic.close();
    throw error;
  }
  return {
    group: atomic.group,
    isReady: async () => true,
    stop: (graceMs) => atomic.executor.stop(graceMs),
    close: () => atomic.close(),
  };
}

export interface AtomicParts {
  readonly executor: AtomicExecutor;
  readonly group: RouteGroup;
  readonly types: readonly NodeType[];
  checks(): Promise<readonly HealthCheck[]>;
  close(): Promise<void>;
}

/**
 * The executor with its nodes, by flags and else by the environment.
 * @param how.dir where records of commands are kept.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA, E_ADAPTER_FAIL
 */
export async function assembleAtomic(
  ctx: CliContext,
  world: World,
  how: { readonly flags: Flags; readonly dir: string; note(text: string): void },
): Promise<AtomicParts> {
  const { assembleNodes } = await import('../../doors/arp/atomic/assemble.ts');
  const { AtomicExecutor } = await import('../../doors/arp/atomic/executor.ts');
  const { atomicService } = await import('../../doors/arp/atomic/routes.ts');
  const { STACK_VERSION } = await import('../../doors/arp/registry/builtin-types.ts');
  const { flags, dir, note } = how;
  const config = flags.text('config') ?? setting(ctx, 'REEVE_ATOMIC_CONFIG');
  const plugins = flags.texts('nodes');
  const assembly = await assembleNodes({
    ...world,
    ...(config === undefined ? {} : { configFile: resolve(ctx.cwd, config) }),
    plugins: plugins.length > 0 ? plugins : listOf(ctx, 'REEVE_ATOMIC_NODES'),
    allowedHosts: await allowedByVariable(ctx),
    cwd: ctx.cwd,
    env: ctx.env,
    dir,
    stackVersion: setting(ctx, 'STACK_VERSION') ?? STACK_VERSION,
    note,
  });
  const seconds = positiveOrOff(ctx, 'JARVIS_DEFAULT_TIMEOUT_SECS', false);
  const concurrency = positiveOrOff(ctx, 'JARVIS_MAX_CONCURRENCY', true);
  const executor = new AtomicExecutor({
    nodes: assembly.nodes,
    nowMs: () => world.nowMs(),
    note,
    cancelElsewhere: (nodeRunId) => assembly.cancel(nodeRunId),
    ...(seconds === undefined ? {} : { timeoutMs: seconds * 1000 }),
    ...(concurrency === undefined ? {} : { concurrency }),
  });
  return {
    executor,
    group: atomicService(executor, { ...world, checks: () => assembly.checks() }),
    types: assembly.types,
    checks: () => assembly.checks(),
    close: () => assembly.close(),
  };
}

async function publish(
  ctx: CliContext,
  types: readonly NodeType[],
  jwt: AuthSettings | undefined,
): Promise<void> {
  const { registryClient } = await import('../../doors/arp/clients/registry-client.ts');
  const { publishTypes } = await import('../../doors/arp/atomic/publish.ts');
  const address = await addressOf(ctx, 'node-registry', jwt);
  if (address === undefined) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      '--publish needs the registry: set JARVIS_NODE_REGISTRY_URL',
      { variable: 'JARVIS_NODE_REGISTRY_URL' },
    );
  }
  const registry = registryClient(address);
  const { published, known } = await publishTypes(registry, types);
  ctx.stderr.write(`published ${published} node types; ${known} were there already\n`);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
async function allowedByVariable(ctx: CliContext): Promise<readonly string[]> {
  const { allowedHosts } = await import('../../doors/arp/atomic/web/allowed-hosts.ts');
  const variable = 'REEVE_WEB_FETCH_ALLOW';
  const entries = listOf(ctx, variable);
  try {
    allowedHosts(entries);
    return entries;
  } catch (error) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${variable}: ${(error as Error).message}`, { variable });
  }
}

/** Parted by commas. */
function listOf(ctx: CliContext, name: string): readonly string[] {
  const parts = (setting(ctx, name) ?? '').split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '');
}
