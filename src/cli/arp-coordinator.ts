/** Opens the Run Coordinator and the Run Gateway by what the environment says (contract arp §5). */
import { healthOf } from '../doors/arp/clients/health-client.ts';
import type { CoordinatorAddress } from '../doors/arp/gateway/relay.ts';
import { checked } from '../doors/arp/services.ts';
import type { HealthCheck } from '../doors/arp/wire/common.ts';
import { ReeveError } from '../model/errors.ts';
import type { AuthSettings } from '../policy/auth/settings.ts';
import {
  addressOf,
  audienceOf,
  setting,
  tokenSource,
  type Inbound,
  type OpenService,
  type World,
} from './arp-settings.ts';
import type { CliContext } from './command.ts';

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a variable that cannot be read; E_STORE_* */
export async function openCoordinator(
  ctx: CliContext,
  world: World,
  { jwt, authenticate }: Inbound,
): Promise<OpenService> {
  const { assignmentKey } = await import('../doors/arp/coordinator/assignment-key.ts');
  const { AssignmentTokens } = await import('../doors/arp/coordinator/assignment-tokens.ts');
  const { Coordinator } = await import('../doors/arp/coordinator/coordinator.ts');
  const { allowsByVariables } = await import('../doors/arp/coordinator/policy.ts');
  const { coordinatorService } = await import('../doors/arp/coordinator/routes.ts');
  const { pdpClient } = await import('../doors/arp/clients/pdp-client.ts');
  const { registryClient } = await import('../doors/arp/clients/registry-client.ts');
  const registry = await addressOf(ctx, 'NODE_REGISTRY', jwt);
  const pdp = await addressOf(ctx, 'PDP', jwt);
  const jobs = await ctx.jobs();
  const { engine, root } = jobs;
  const assignments = new AssignmentTokens(await assignmentKey(root));
  const coordinator = new Coordinator({
    engine,
    ...(registry === undefined ? {} : { nodeTypes: registryClient(registry) }),
    policy: {
      ...(pdp === undefined ? {} : { pdp: pdpClient(pdp) }),
      allowsWithout: () => allowsByVariables(ctx.env),
    },
    autoDispatch: dispatches(ctx),
    extensionKeys: extensionKeys(ctx),
  });
  const probe = (): Promise<unknown> => engine.store.list({ limit: 1 });
  const group = coordinatorService(coordinator, {
    ...world,
    assignments,
    ...(authenticate === undefined ? {} : { authenticate }),
    checks: async (): Promise<readonly HealthCheck[]> =>
      Promise.all([
        checked('store', probe),
        ...(registry === undefined ? [] : [healthOf({ ...registry, name: 'node_registry' })]),
        ...(pdp === undefined ? [] : [healthOf({ ...pdp, name: 'pdp' })]),
      ]),
  });
  return {
    group,
    async isReady() {
      await probe();
      return true;
    },
    close: () => undefined, // the store is closed with the process
  };
}

export async function openGateway(
  ctx: CliContext,
  world: World,
  { jwt }: Pick<Inbound, 'jwt'>,
): Promise<OpenService> {
  const { gatewayService } = await import('../doors/arp/gateway/routes.ts');
  const address = await addressOf(ctx, 'RUN_COORDINATOR', undefined);
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
  const audience = audienceOf(ctx, 'RUN_COORDINATOR');
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

function extensionKeys(ctx: CliContext): 'bare' | 'namespaced' {
  const text = setting(ctx, 'REEVE_ARP_EXTENSIONS') ?? 'bare';
  if (text === 'bare' || text === 'namespaced') return text;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `REEVE_ARP_EXTENSIONS is bare or namespaced, not ${JSON.stringify(text.slice(0, 100))}`,
    { variable: 'REEVE_ARP_EXTENSIONS' },
  );
}
