/** What services of ARP read of the environment (contract arp §5). */
import type { Authenticate, RouteGroup } from '../../doors/http.ts';
import { baseUrlOf, type ServiceAddress } from '../../doors/arp/clients/http-client.ts';
import type { ServiceKey } from '../../doors/arp/services.ts';
import type { AuthSettings, CallerSettings } from '../../policy/auth/settings.ts';
import type { TokenSource } from '../../policy/auth/token-source.ts';
import type { CliContext } from '../command.ts';
import { setting } from '../environment.ts';
import { serviceToken } from './service-token.ts';

export interface OpenService {
  readonly group: RouteGroup;
  isReady(): Promise<boolean>;
  /** Ends what runs, once it is told to stop: gives `graceMs` to what can finish. */
  stop?(graceMs: number): Promise<void>;
  close(): void | Promise<void>;
}

export interface World {
  readonly version: string;
  nowMs(): number;
}

/** Who may ask. */
export interface Inbound {
  /** Undefined: tokens of an issuer play no part. */
  readonly jwt: AuthSettings | undefined;
  /** Who asks, by whatever the server was set up with; undefined: anybody. */
  readonly authenticate: Authenticate | undefined;
}

/** The variables that say where a service is: the first that is set counts (contract arp §5). */
export const URL_VARIABLES: Readonly<Record<ServiceKey, readonly [string, ...string[]]>> = {
  'run-gateway': ['JARVIS_RUN_GATEWAY_URL', 'ARP_JARVIS_GATEWAY_URL'],
  'run-coordinator': ['JARVIS_RUN_COORDINATOR_URL', 'ARP_RUN_COORDINATOR_URL', 'ARP_JARVIS_COORDINATOR_URL'],
  'composite-executor': ['JARVIS_COMPOSITE_EXECUTOR_URL', 'ARP_COMPOSITE_EXECUTOR_URL'],
  'atomic-executor': ['JARVIS_ATOMIC_EXECUTOR_URL', 'ARP_ATOMIC_EXECUTOR_URL'],
  'node-registry': ['JARVIS_NODE_REGISTRY_URL', 'ARP_NODE_REGISTRY_URL'],
  selection: ['JARVIS_SELECTION_URL', 'ARP_SELECTION_URL'],
  pdp: ['JARVIS_PDP_URL', 'ARP_PDP_URL'],
  'run-store': ['JARVIS_RUN_STORE_URL'],
  'event-stream': ['JARVIS_EVENT_STREAM_URL'],
  'artifact-store': ['JARVIS_ARTIFACT_STORE_URL'],
};

/** The audience of a token for a service, if nothing else is said. */
const AUDIENCES: Readonly<Record<ServiceKey, string>> = {
  'run-gateway': 'arp-run-gateway',
  'run-coordinator': 'arp-run-coordinator',
  'composite-executor': 'arp-jarvis-compositeexecutor',
  'atomic-executor': 'arp-jarvis-atomicexecutor',
  'node-registry': 'arp-jarvis-noderegistry',
  selection: 'arp-jarvis-selection',
  pdp: 'arp-jarvis-pdp',
  'run-store': 'arp-jarvis-runstore',
  'event-stream': 'arp-jarvis-eventstream',
  'artifact-store': 'arp-jarvis-artifactstore',
};

export interface NamedUrl {
  readonly baseUrl: string;
  readonly variable: string;
}

/** Where the environment says that a service is; undefined: nowhere. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function urlOf(ctx: Pick<CliContext, 'env'>, service: ServiceKey): NamedUrl | undefined {
  return urlIn(ctx, URL_VARIABLES[service]);
}

/** The same of other variables. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function urlIn(ctx: Pick<CliContext, 'env'>, variables: readonly string[]): NamedUrl | undefined {
  for (const variable of variables) {
    const text = setting(ctx, variable);
    if (text !== undefined) return { baseUrl: baseUrlOf(text, variable), variable };
  }
  return undefined;
}

/**
 * Where a service is, and how it is asked for a token; undefined: it is not configured.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export async function addressOf(
  ctx: CliContext,
  service: ServiceKey,
  auth: AuthSettings | undefined,
): Promise<Omit<ServiceAddress, 'name'> | undefined> {
  const found = urlOf(ctx, service);
  if (found === undefined) return undefined;
  const issued = auth === undefined ? undefined : await tokensFor(ctx, auth, service);
  return { baseUrl: found.baseUrl, ...(await serviceToken(ctx, issued)) };
}

export function audienceOf(ctx: CliContext, service: ServiceKey): string {
  const [variable] = URL_VARIABLES[service];
  return setting(ctx, variable.replace(/_URL$/, '_AUDIENCE')) ?? AUDIENCES[service];
}

/** As whom we ask a service (contract arp §5.2). @throws ReeveError E_INVALID_INPUT_SCHEMA: there are no credentials. */
async function tokensFor(
  ctx: CliContext,
  auth: AuthSettings,
  service: ServiceKey,
): Promise<() => Promise<string | undefined>> {
  const source = await tokenSource(ctx, auth);
  const audience = audienceOf(ctx, service);
  return () => source.own({ audience });
}

export async function tokenSource(ctx: CliContext, auth: CallerSettings): Promise<TokenSource> {
  const { clientSettings } = await import('../../policy/auth/client-settings.ts');
  const { TokenSource } = await import('../../policy/auth/token-source.ts');
  return new TokenSource(clientSettings(ctx.env, auth, true), () => Date.now());
}
