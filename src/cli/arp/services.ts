/** Opens a service of ARP by what the environment says (contract arp §5). Each loads only what it needs. */
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { RouteGroup } from '../../doors/http.ts';
import type { Llm } from '../../doors/arp/llm/llm.ts';
import type { SelectionOptions } from '../../doors/arp/selection/selection.ts';
import type { NodeTypes } from '../../doors/arp/registry/node-types.ts';
import type { ServiceKey } from '../../doors/arp/services.ts';
import { isOn, positive, setting } from '../environment.ts';
import { addressOf, type Inbound, type OpenService, type World } from './settings.ts';
import { sqliteFileOf } from '../../store/sqlite/service-database.ts';
import type { CliContext, Flags } from '../command.ts';

const MEBIBYTE = 1_048_576;
const DAY_MS = 86_400_000;
const SWEEP_MS = 3_600_000;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a variable that cannot be read; E_STORE_* */
export async function openService(
  service: ServiceKey,
  ctx: CliContext,
  inbound: Inbound,
  flags: Flags,
): Promise<OpenService> {
  const world = { version: ctx.version, nowMs: () => Date.now() };
  switch (service) {
    case 'run-gateway':
      return (await import('./coordinator.ts')).openGateway(ctx, world, inbound);
    case 'run-coordinator':
      return (await import('./coordinator.ts')).openCoordinator(ctx, world, inbound);
    case 'composite-executor':
      return (await import('./composite.ts')).openCompositeExecutor(ctx, world, inbound.jwt);
    case 'atomic-executor':
      return (await import('./atomic.ts')).openAtomicExecutor(ctx, world, { flags, jwt: inbound.jwt });
    case 'node-registry':
      return openRegistry(ctx, world);
    case 'selection':
      return openSelection(ctx, world, inbound);
    case 'pdp':
      return openPdp(ctx, world, inbound);
    case 'run-store':
      return openRunStore(ctx, world);
    case 'event-stream':
      return openEventStream(ctx, world);
    case 'artifact-store':
      return openArtifactStore(ctx, world);
  }
}

async function openRegistry(ctx: CliContext, world: World): Promise<OpenService> {
  const { NodeRegistry } = await import('../../doors/arp/registry/registry.ts');
  const { registryService } = await import('../../doors/arp/registry/routes.ts');
  const registry = new NodeRegistry(databaseFile(ctx, 'JARVIS_NODE_REGISTRY_DB_URL', 'jarvis_node_registry'));
  if (isOn(ctx, 'JARVIS_NODE_REGISTRY_SEED')) {
    const { builtinTypes, STACK_VERSION } = await import('../../doors/arp/registry/builtin-types.ts');
    const added = registry.seed(builtinTypes(setting(ctx, 'STACK_VERSION') ?? STACK_VERSION));
    ctx.stderr.write(`seeded ${added} node types\n`);
  }
  return served(registry, registryService(registry, world));
}

async function openSelection(
  ctx: CliContext,
  world: World,
  { jwt }: Pick<Inbound, 'jwt'>,
): Promise<OpenService> {
  const { selectionRoutes } = await import('../../doors/arp/selection/routes.ts');
  const strategy = setting(ctx, 'JARVIS_SELECTION_STRATEGY') ?? 'llm';
  const llm = strategy === 'llm' ? await configuredLlm(ctx) : undefined;
  const nodeTypes = await configuredRegistry(ctx, jwt);
  const group = selectionRoutes({
    ...world,
    ...selectionDefaults(ctx),
    strategy,
    ...(llm === undefined ? {} : { llm }),
    ...(nodeTypes === undefined ? {} : { nodeTypes }),
  });
  return { group, isReady: async () => true, close: () => undefined };
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function selectionDefaults(ctx: CliContext): Pick<SelectionOptions, 'topDefault' | 'plannerId'> {
  const topDefault = positive(ctx, 'JARVIS_SELECTION_TOP_K_DEFAULT', 'whole');
  const plannerId = setting(ctx, 'JARVIS_SELECTION_PLANNER_NODE_TYPE_ID');
  return {
    ...(topDefault === undefined ? {} : { topDefault }),
    ...(plannerId === undefined ? {} : { plannerId }),
  };
}

/** Undefined: no variable `ARP_LLM_…` is set. */
export async function configuredLlm(ctx: CliContext): Promise<Llm | undefined> {
  const { llmSettings, openLlm } = await import('../../doors/arp/llm/settings.ts');
  const settings = llmSettings(ctx.env);
  return settings === undefined ? undefined : openLlm(settings, ctx.cwd);
}

/** The registry over HTTP, asked with a token of our own (H30); undefined: none is configured. */
async function configuredRegistry(ctx: CliContext, jwt: Inbound['jwt']): Promise<NodeTypes | undefined> {
  const address = await addressOf(ctx, 'node-registry', jwt);
  if (address === undefined) return undefined;
  const { registryClient } = await import('../../doors/arp/clients/registry-client.ts');
  return registryClient(address);
}

async function openPdp(ctx: CliContext, world: World, { jwt }: Pick<Inbound, 'jwt'>): Promise<OpenService> {
  const { decisionPoint } = await import('../../doors/arp/pdp/pdp.ts');
  const { pdpService } = await import('../../doors/arp/pdp/routes.ts');
  const { policyChoice } = await import('./policy.ts');
  const nodeTypes = await configuredRegistry(ctx, jwt);
  const decide = decisionPoint({
    ...policyChoice(ctx),
    ...(nodeTypes === undefined ? {} : { nodeTypes }),
  });
  return { group: pdpService(decide, world), isReady: async () => true, close: () => undefined };
}

async function openRunStore(ctx: CliContext, world: World): Promise<OpenService> {
  const { RunRecords } = await import('../../doors/arp/run-store/records.ts');
  const { runStoreService } = await import('../../doors/arp/run-store/routes.ts');
  const bytesMax = bytesOf(ctx, 'JARVIS_RUN_STORE_MAX_SIZE_MB');
  const records = new RunRecords({
    file: databaseFile(ctx, 'JARVIS_RUN_STORE_DB_URL', 'jarvis_run_store'),
    ...(bytesMax === undefined ? {} : { bytesMax }),
  });
  return served(records, runStoreService(records, world));
}

async function openEventStream(ctx: CliContext, world: World): Promise<OpenService> {
  const { EventLog } = await import('../../doors/arp/event-stream/log.ts');
  const { eventStreamService } = await import('../../doors/arp/event-stream/routes.ts');
  const days = positive(ctx, 'JARVIS_EVENT_RETENTION_DAYS');
  const log = new EventLog(databaseFile(ctx, 'JARVIS_EVENT_STORE_DB_URL', 'jarvis_event_store'));
  const sweep = sweeping(ctx, days, async (before) => log.removeBefore(before));
  return served(log, eventStreamService(log, world), sweep);
}

async function openArtifactStore(ctx: CliContext, world: World): Promise<OpenService> {
  const { Artifacts } = await import('../../doors/arp/artifact-store/artifacts.ts');
  const { artifactStoreService } = await import('../../doors/arp/artifact-store/routes.ts');
  const { baseUrlOf } = await import('../../doors/arp/clients/http-client.ts');
  const bytesMax = bytesOf(ctx, 'JARVIS_ARTIFACT_MAX_SIZE_MB');
  const days = positive(ctx, 'JARVIS_ARTIFACT_RETENTION_DAYS');
  const url = setting(ctx, 'JARVIS_ARTIFACT_STORE_URL');
  const artifacts = new Artifacts({
    dir: resolve(ctx.cwd, setting(ctx, 'JARVIS_ARTIFACT_DIR') ?? './artifacts'),
    ...(bytesMax === undefined ? {} : { bytesMax }),
  });
  await artifacts.removeLeftovers();
  const sweep = sweeping(ctx, days, (before) => artifacts.removeUnlinkedBefore(before));
  const publicUrl = url === undefined ? {} : { publicUrl: baseUrlOf(url, 'JARVIS_ARTIFACT_STORE_URL') };
  return served(artifacts, artifactStoreService(artifacts, { ...world, ...publicUrl }), sweep);
}

interface Closable {
  probe(): void;
  close(): void;
}

function served(store: Closable, group: RouteGroup, stopSweeping: () => void = () => undefined): OpenService {
  return {
    group,
    async isReady() {
      store.probe();
      return true;
    },
    close() {
      stopSweeping();
      store.close();
    },
  };
}

/** Removes what is older than some days, now and every hour, until nothing of it is left. */
function sweeping(
  ctx: CliContext,
  days: number | undefined,
  removeBefore: (ms: number) => Promise<number>,
): () => void {
  if (days === undefined) return () => undefined;
  const over = new AbortController();
  const sweep = async (): Promise<void> => {
    try {
      while (!over.signal.aborted && (await removeBefore(Date.now() - days * DAY_MS)) > 0)
        await setImmediate();
    } catch (error) {
      ctx.stderr.write(`retention failed, and is tried again in an hour: ${(error as Error).message}\n`);
    }
  };
  void sweep();
  const timer = setInterval(() => void sweep(), SWEEP_MS);
  return () => {
    over.abort();
    clearInterval(timer);
  };
}

function databaseFile(ctx: CliContext, variable: string, name: string): string {
  return sqliteFileOf(setting(ctx, variable) ?? `sqlite:///./runs/${name}.sqlite`, ctx.cwd, variable);
}

function bytesOf(ctx: CliContext, variable: string): number | undefined {
  const mebibytes = positive(ctx, variable);
  return mebibytes === undefined ? undefined : Math.floor(mebibytes * MEBIBYTE);
}
