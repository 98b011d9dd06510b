/** All services of ARP in one process, where the hops between them are calls (contract arp §1). */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inProcessCallbacks } from '../../doors/arp/coordinator/in-process.ts';
import type { Coordinator } from '../../doors/arp/coordinator/coordinator.ts';
import { Artifacts } from '../../doors/arp/artifact-store/artifacts.ts';
import { artifactStoreService } from '../../doors/arp/artifact-store/routes.ts';
import { publishTypes } from '../../doors/arp/atomic/publish.ts';
import { CompositeExecutor } from '../../doors/arp/composite/executor.ts';
import { compositeService } from '../../doors/arp/composite/routes.ts';
import { compositeSettings } from '../../doors/arp/composite/settings.ts';
import { decisionPoint } from '../../doors/arp/pdp/pdp.ts';
import { pdpService } from '../../doors/arp/pdp/routes.ts';
import { openLlm } from '../../doors/arp/llm/settings.ts';
import type { PolicyDecisionPoint } from '../../doors/arp/ports.ts';
import { builtinTypes, STACK_VERSION } from '../../doors/arp/registry/builtin-types.ts';
import { NodeRegistry } from '../../doors/arp/registry/registry.ts';
import { registryService } from '../../doors/arp/registry/routes.ts';
import { selectionRoutes } from '../../doors/arp/selection/routes.ts';
import { selectionService } from '../../doors/arp/selection/selection.ts';
import type { RouteGroup } from '../../doors/http.ts';
import { mounted } from '../../server/mount.ts';
import { assembleAtomic } from './atomic.ts';
import { strategyOf } from './composite.ts';
import { assembleCoordinator, mirroredBy } from './coordinator.ts';
import { deniesAll, policyChoice } from './policy.ts';
import { configuredLlm, selectionDefaults } from './services.ts';
import { setting } from '../environment.ts';
import { type Inbound } from './settings.ts';
import type { CliContext, Flags } from '../command.ts';

/** Where composites call back: here that is no address, and nobody connects to it. */
const HERE = 'reeve:in-process';
/**
 * Limits of composites where nobody states any (contract arp §5, samples). Children may take long: what they wait for is
 * on record, and survives this process.
 */
const COMPOSITE_LIMITS = {
  JARVIS_COMPOSITE_MAX_STEPS: '8',
  JARVIS_COMPOSITE_MAX_DEPTH: '4',
  JARVIS_COMPOSITE_POLL_TIMEOUT_SEC: '86400',
};

export interface StackOptions {
  readonly authenticate: Inbound['authenticate'];
  readonly jwt: Inbound['jwt'];
  /** Policy file; undefined: what the environment says. */
  readonly policy: string | undefined;
  /** Everything is allowed. */
  readonly devAllow: boolean;
  /** Which nodes there are. */
  readonly flags: Flags;
  note(text: string): void;
}

export interface Stack {
  /** The coordinator at the root, and every service below a path of its own. */
  readonly groups: readonly RouteGroup[];
  /** No policy is configured: every run will be denied. */
  readonly deniesAll: boolean;
  isReady(): Promise<boolean>;
  stop(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, E_ADAPTER_FAIL, E_STORE_* */
export async function openStack(ctx: CliContext, options: StackOptions): Promise<Stack> {
  const world = { version: ctx.version, nowMs: () => Date.now() };
  const { root } = await ctx.jobs();
  const dir = join(root, 'arp');
  const ends: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    return await assemble(ctx, options, { world, dir, ends, close });
  } catch (error) {
    await close();
    throw error;
  }
}

interface Ground {
  readonly world: { readonly version: string; nowMs(): number };
  readonly dir: string;
  readonly ends: (() => unknown)[];
  close(): Promise<void>;
}

async function assemble(ctx: CliContext, options: StackOptions, ground: Ground): Promise<Stack> {
  const { world, dir, ends, close } = ground;
  const { flags, note } = options;
  const stackVersion = setting(ctx, 'STACK_VERSION') ?? STACK_VERSION;
  const registry = new NodeRegistry(join(dir, 'node_registry.sqlite'));
  ends.push(() => registry.close());
  registry.seed(builtinTypes(stackVersion));

  const atomic = await assembleAtomic(ctx, world, { flags, dir: join(dir, 'atomic_executor'), note });
  ends.push(() => atomic.close());
  await publishTypes(registry, atomic.types);

  const llm = await configuredLlm(ctx);
  const selecting = {
    ...world,
    ...selectionDefaults(ctx),
    strategy: setting(ctx, 'JARVIS_SELECTION_STRATEGY') ?? (llm === undefined ? 'deterministic' : 'llm'),
    nodeTypes: registry,
    ...(llm === undefined ? {} : { llm }),
  };
  const opened: { coordinator?: Coordinator } = {};
  const settings = compositeSettings({ ...COMPOSITE_LIMITS, ...ctx.env });
  const composite = new CompositeExecutor({
    selection: selectionService(selecting),
    nodeTypes: registry,
    // One model for both: what it answers from a file it answers in order.
    strategy: await strategyOf(ctx, settings, async (model) => llm ?? openLlm(model, ctx.cwd)),
    settings,
    clock: { nowMs: world.nowMs, pause: (ms, signal) => delay(ms, undefined, { signal }) },
    coordinator() {
      if (opened.coordinator === undefined)
        throw new TypeError('a composite began before there was a coordinator');
      return inProcessCallbacks(opened.coordinator);
    },
    note,
  });

  const choice = policyChoice(ctx, options);
  // A mistyped name would deny every run; later changes of the file are looked at as they come.
  if (options.policy !== undefined) await choice.policy?.();
  const decide = decisionPoint({ ...choice, nodeTypes: registry });
  const pdp: PolicyDecisionPoint = { decide };
  const artifacts = new Artifacts({ dir: join(dir, 'artifacts') });
  ends.push(() => artifacts.close());
  const { coordinator, service } = await assembleCoordinator(ctx, {
    world,
    authenticate: options.authenticate,
    policy: { pdp },
    nodeTypes: registry,
    atomic: { endpoint: `${HERE}/atomic-executor`, execution: atomic.executor },
    composite: { endpoint: `${HERE}/composite-executor`, execution: composite },
    publicUrl: HERE,
    checks: () => atomic.checks(),
    ...(await mirroredBy(ctx, options.jwt)),
  });
  ends.push(() => service.close());
  opened.coordinator = coordinator;
  return {
    groups: [
      service.group,
      ...[
        service.group,
        registryService(registry, world),
        selectionRoutes(selecting),
        pdpService(decide, world),
        atomic.group,
        compositeService(composite, world),
        artifactStoreService(artifacts, world),
      ].map((group) => mounted(group, `/${group.name}`)),
    ],
    deniesAll: deniesAll(choice),
    isReady: () => service.isReady(),
    async stop(graceMs) {
      await Promise.all([service.stop?.(graceMs), composite.stop(), atomic.executor.stop(graceMs)]);
    },
    close,
  };
}
