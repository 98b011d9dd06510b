/** What services of ARP read of the environment (contract arp §5). */
import type { Authenticate, RouteGroup } from '../../doors/http.ts';
import { baseUrlOf, type ServiceAddress } from '../../doors/arp/clients/http-client.ts';
import { ReeveError } from '../../model/errors.ts';
import type { AuthSettings, CallerSettings } from '../../policy/auth/settings.ts';
import type { TokenSource } from '../../policy/auth/token-source.ts';
import type { CliContext } from '../command.ts';
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

/** Undefined: not set, or blank. */
export function setting(ctx: Pick<CliContext, 'env'>, name: string): string | undefined {
  const text = ctx.env[name]?.trim();
  return text === '' ? undefined : text;
}

/** Services that others ask, and the audience of a token for each, if nothing else is said. */
const AUDIENCES = {
  ATOMIC_EXECUTOR: 'arp-jarvis-atomicexecutor',
  COMPOSITE_EXECUTOR: 'arp-jarvis-compositeexecutor',
  EVENT_STREAM: 'arp-jarvis-eventstream',
  NODE_REGISTRY: 'arp-jarvis-noderegistry',
  PDP: 'arp-jarvis-pdp',
  RUN_COORDINATOR: 'arp-run-coordinator',
  RUN_STORE: 'arp-jarvis-runstore',
  RUN_GATEWAY: 'arp-run-gateway',
  SELECTION: 'arp-jarvis-selection',
} as const;
export type Callee = keyof typeof AUDIENCES;

/**
 * Where a service is, and how it is asked for a token; undefined: it is not configured.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA
 */
export async function addressOf(
  ctx: CliContext,
  callee: Callee,
  auth: AuthSettings | undefined,
): Promise<Omit<ServiceAddress, 'name'> | undefined> {
  const variable = [`JARVIS_${callee}_URL`, `ARP_${callee}_URL`].find(
    (name) => setting(ctx, name) !== undefined,
  );
  if (variable === undefined) return undefined;
  const baseUrl = baseUrlOf(setting(ctx, variable) ?? '', variable);
  const issued = auth === undefined ? undefined : await tokensFor(ctx, auth, callee);
  return { baseUrl, ...(await serviceToken(ctx, issued)) };
}

export function audienceOf(ctx: CliContext, callee: Callee): string {
  return setting(ctx, `JARVIS_${callee}_AUDIENCE`) ?? AUDIENCES[callee];
}

/** As whom we ask a service (contract arp §5.2). @throws ReeveError E_INVALID_INPUT_SCHEMA: there are no credentials. */
async function tokensFor(
  ctx: CliContext,
  auth: AuthSettings,
  callee: Callee,
): Promise<() => Promise<string | undefined>> {
  const source = await tokenSource(ctx, auth);
  const audience = audienceOf(ctx, callee);
  return () => source.own({ audience });
}

export async function tokenSource(ctx: CliContext, auth: CallerSettings): Promise<TokenSource> {
  const { clientSettings } = await import('../../policy/auth/client-settings.ts');
  const { TokenSource } = await import('../../policy/auth/token-source.ts');
  return new TokenSource(clientSettings(ctx.env, auth, true), () => Date.now());
}

export function isOn(ctx: CliContext, name: string): boolean {
  return ['1', 'true', 'yes', 'on'].includes(setting(ctx, name)?.toLowerCase() ?? '');
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function positive(
  ctx: CliContext,
  variable: string,
  kind: 'any' | 'whole' = 'any',
): number | undefined {
  const text = setting(ctx, variable);
  if (text === undefined) return undefined;
  const form = kind === 'whole' ? /^\d{1,9}$/ : /^\d{1,12}(\.\d{1,6})?$/;
  const value = form.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable} must be a ${kind === 'whole' ? 'whole ' : ''}number above 0, not ${JSON.stringify(text)}`,
    {
      variable,
      value: text.slice(0, 100),
    },
  );
}

/** The same, where what cannot be read is as good as unset; it is told. */
export function positiveOrOff(ctx: CliContext, name: string, isWhole: boolean): number | undefined {
  const text = setting(ctx, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0 && (!isWhole || Number.isSafeInteger(value))) return value;
  ctx.stderr.write(`${name} is ${JSON.stringify(text.slice(0, 100))}: no limit\n`);
  return undefined;
}
