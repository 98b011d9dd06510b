/** Opens the Run Coordinator and the Run Gateway by what the environment says (contract arp §5). */
import { healthOf } from '../../doors/arp/clients/health-client.ts';
import type { Coordinator } from '../../doors/arp/coordinator/coordinator.ts';
import type { Target } from '../../doors/arp/coordinator/dispatch/admission.ts';
import type { PolicyOptions } from '../../doors/arp/coordinator/policy.ts';
import type { CoordinatorAddress } from '../../doors/arp/gateway/relay.ts';
import type { AtomicExecution, CompositeExecution } from '../../doors/arp/ports.ts';
import type { NodeTypes } from '../../doors/arp/registry/node-types.ts';
import { checked, type ServiceKey } from '../../doors/arp/services.ts';
import type { HealthCheck } from '../../doors/arp/wire/common.ts';
import { ReeveError } from '../../model/errors.ts';
import { escapeControls } from '../../model/visible-text.ts';
import type { AuthSettings } from '../../policy/auth/settings.ts';
import { setting } from '../environment.ts';
import {
  addressOf,
  audienceOf,
  tokenSource,
  urlIn,
  type Inbound,
  type OpenService,
  type World,
} from './settings.ts';
import type { MirrorTargets } from './mirror.ts';
import type { CliContext } from '../command.ts';

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a variable that cannot be read; E_STORE_* */
export async function openCoordinator(
  ctx: CliContext,
  world: World,
  { jwt, authenticate }: Inbound,
): Promise<OpenService> {
  const { atomicClient } = await import('../../doors/arp/clients/atomic-client.ts');
  const { compositeClient } = await import('../../doors/arp/clients/composite-client.ts');
  const { allowsByVariables } = await import('../../doors/arp/coordinator/policy.ts');
  const { pdpClient } = await import('../../doors/arp/clients/pdp-client.ts');
  const { registryClient } = await import('../../doors/arp/clients/registry-client.ts');
  const registry = await addressOf(ctx, 'node-registry', jwt);
  const pdp = await addressOf(ctx, 'pdp', jwt);
  const atomic = await addressOf(ctx, 'atomic-executor', jwt);
  const composite = await addressOf(ctx, 'composite-executor', jwt);
  const publicUrl = publicUrlOf(ctx);
  const target = (service: ServiceKey, { baseUrl: endpoint }: { readonly baseUrl: string }): Target =>
    jwt === undefined ? { endpoint } : { endpoint, audience: audienceOf(ctx, service) };
  const { service } = await assembleCoordinator(ctx, {
    world,
    authenticate,
    policy: {
      ...(pdp === undefined ? {} : { pdp: pdpClient(pdp) }),
      allowsWithout: () => allowsByVariables(ctx.env),
    },
    ...(registry === undefined ? {} : { nodeTypes: registryClient(registry) }),
    ...(atomic === undefined
      ? {}
      : { atomic: { ...target('atomic-executor', atomic), execution: atomicClient(atomic) } }),
    ...(composite === undefined
      ? {}
      : { composite: { ...target('composite-executor', composite), execution: compositeClient(composite) } }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(await mirroredBy(ctx, jwt)),
    checks: () =>
      Promise.all([
        ...(registry === undefined ? [] : [healthOf({ ...registry, name: 'node_registry' })]),
        ...(pdp === undefined ? [] : [healthOf({ ...pdp, name: 'pdp' })]),
        ...(atomic === undefined ? [] : [healthOf({ ...atomic, name: 'atomic_executor' })]),
        ...(composite === undefined ? [] : [healthOf({ ...composite, name: 'composite_executor' })]),
      ]),
  });
  return service;
}

/** Stores of a foreign stack that runs are written to as well (contract arp §5). @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function mirroredBy(
  ctx: CliContext,
  jwt: AuthSettings | undefined,
): Promise<Pick<CoordinatorParts, 'mirrored'>> {
  const runStore = await addressOf(ctx, 'run-store', jwt);
  const eventStream = await addressOf(ctx, 'event-stream', jwt);
  return runStore === undefined && eventStream === undefined ? {} : { mirrored: { runStore, eventStream } };
}

export interface CoordinatorParts {
  readonly world: World;
  readonly authenticate: Inbound['authenticate'];
  readonly policy: PolicyOptions;
  readonly nodeTypes?: Pick<NodeTypes, 'get'>;
  readonly atomic?: Target & { readonly execution: AtomicExecution };
  readonly composite?: Target & { readonly execution: CompositeExecution };
  readonly publicUrl?: string;
  /** Where others read what this one does. */
  readonly mirrored?: MirrorTargets;
  /** Of what it depends on, beside its store. */
  checks(): Promise<readonly HealthCheck[]>;
}

/** A coordinator on the store of this process, and, unless that is turned off, the worker that dispatches for it. */
export async function assembleCoordinator(
  ctx: CliContext,
  { world, authenticate, checks, mirrored, ...parts }: CoordinatorParts,
): Promise<{ readonly service: OpenService; readonly coordinator: Coordinator }> {
  const { assignmentKey } = await import('../../doors/arp/coordinator/assignment-key.ts');
  const { AssignmentTokens } = await import('../../doors/arp/coordinator/assignment-tokens.ts');
  const { Coordinator } = await import('../../doors/arp/coordinator/coordinator.ts');
  const { Dispatcher } = await import('../../doors/arp/coordinator/dispatch/dispatcher.ts');
  const { coordinatorService } = await import('../../doors/arp/coordinator/routes.ts');
  const { QUEUE } = await import('../../doors/arp/coordinator/spec.ts');
  const { progressCheck, PROGRESS_LIMIT_MS } = await import('../../doors/progress.ts');
  const { policy, nodeTypes, atomic, composite } = parts;
  const { engine, root } = await ctx.jobs();
  const assignments = new AssignmentTokens(await assignmentKey(root));
  const autoDispatch = dispatches(ctx);
  const coordinator = new Coordinator({
    engine,
    policy,
    autoDispatch,
    extensionKeys: extensionKeys(ctx),
    recovery: recovery(ctx),
    executors: {
      ...(atomic === undefined ? {} : { atomic: atomic.execution }),
      ...(composite === undefined ? {} : { composite: composite.execution }),
    },
    ...(nodeTypes === undefined ? {} : { nodeTypes }),
  });
  const dispatcher = autoDispatch
    ? new Dispatcher({
        ...parts,
        engine,
        views: coordinator.views,
        assignmentToken: (runId) => assignments.mint(runId),
        note: (text) => void ctx.stderr.write(`${escapeControls(text)}\n`),
      })
    : undefined;
  const probe = (): Promise<unknown> => engine.store.list({ limit: 1 });
  const work = {
    store: engine.store,
    queues: [QUEUE],
    nowMs: () => engine.clock.nowMs(),
    limitMs: PROGRESS_LIMIT_MS,
  };
  const mirror =
    mirrored === undefined
      ? undefined
      : (await import('./mirror.ts')).openMirror(ctx, mirrored, {
          engine,
          views: coordinator.views,
          root,
        });
  const group = coordinatorService(coordinator, {
    ...world,
    assignments,
    ...(authenticate === undefined ? {} : { authenticate }),
    checks: async (): Promise<readonly HealthCheck[]> => [
      await checked('store', probe),
      ...(dispatcher === undefined ? [] : [await progressCheck(work)]),
      ...(await checks()),
      ...(mirror === undefined ? [] : [mirror.health()]),
    ],
  });
  dispatcher?.start();
  mirror?.start();
  return {
    coordinator,
    service: {
      group,
      async isReady() {
        await probe();
        return true;
      },
      async stop() {
        await dispatcher?.stop();
        await mirror?.stop();
      },
      close: async () => mirror?.close(), // the store is closed with the process
    },
  };
}

/** Where composite executors call back (contract arp §4.7). @throws ReeveError E_INVALID_INPUT_SCHEMA */
function publicUrlOf(ctx: CliContext): string | undefined {
  return urlIn(ctx, ['JARVIS_RUN_COORDINATOR_PUBLIC_URL', 'JARVIS_RUN_COORDINATOR_URL'])?.baseUrl;
}

export async function openGateway(
  ctx: CliContext,
  world: World,
  { jwt }: Pick<Inbound, 'jwt'>,
): Promise<OpenService> {
  const { gatewayService } = await import('../../doors/arp/gateway/routes.ts');
  const address = await addressOf(ctx, 'run-coordinator', undefined);
  if (address === undefined)
    ctx.stderr.write('warning: JARVIS_RUN_COORDINATOR_URL is not set; every run request is answered 503\n');
  const coordinator: CoordinatorAddress | undefined =
    address === undefined
      ? undefined
      : { baseUrl: address.baseUrl, authorization: await authorization(ctx, jwt) };
  return { group: gatewayService(coordinator, world), isReady: async () => true, close: () => undefined };
}

/**
 * On behalf of whoever asks, by an exchange of their token; for who brings none, as ourselves. Where no issuer's tokens
 * are asked for, what came is handed on: both services know the same one.
 */
async function authorization(
  ctx: CliContext,
  jwt: AuthSettings | undefined,
): Promise<CoordinatorAddress['authorization']> {
  if (jwt === undefined)
    return async ({ headers }) => {
      const given = headers['authorization'];
      return given === undefined ? undefined : String(given);
    };
  const source = await tokenSource(ctx, jwt);
  const audience = audienceOf(ctx, 'run-coordinator');
  return async ({ principal }) => {
    const subjectToken = principal?.token;
    const token =
      subjectToken === undefined
        ? await source.own({ audience })
        : await source.exchanged({ audience, subjectToken });
    return token === undefined ? undefined : `Bearer ${token}`;
  };
}

/** Off only for these words (contract arp §5). */
function dispatches(ctx: CliContext): boolean {
  const text = setting(ctx, 'JARVIS_RUN_COORDINATOR_AUTO_DISPATCH')?.toLowerCase() ?? '';
  return !['0', 'false', 'no', 'off'].includes(text);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
function recovery(ctx: CliContext): 'act' | 'record' {
  return word(ctx, 'REEVE_ARP_RECOVERY', ['record', 'act']);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
function extensionKeys(ctx: CliContext): 'bare' | 'namespaced' {
  return word(ctx, 'REEVE_ARP_EXTENSIONS', ['bare', 'namespaced']);
}

/** One of some words; the first unless the variable says another. */
function word<const Word extends string>(
  ctx: CliContext,
  variable: string,
  words: readonly [Word, ...Word[]],
): Word {
  const text = setting(ctx, variable) ?? words[0];
  const found = words.find((one) => one === text);
  if (found !== undefined) return found;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable} is ${words.join(' or ')}, not ${JSON.stringify(text.slice(0, 100))}`,
    { variable, value: text.slice(0, 100) },
  );
}
