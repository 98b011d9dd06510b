/** As whom tokens for other services are asked for, from the variables `ARP_AUTH_…` (contract arp §5.2). */
import type { Variables } from '../key-source.ts';
import type { CallerSettings } from './settings.ts';
import { missing, numberOf, textOf, urlOf } from './variables.ts';

export interface ClientSettings {
  readonly endpoint: URL;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Of one request for a token, milliseconds. */
  readonly timeoutMs: number;
  /** Asked for where a callee has no audience. */
  readonly ownAudience: string | undefined;
}

/** Commands that are run must not get it (I9). */
export const CLIENT_SECRET_VARIABLE = 'ARP_AUTH_CLIENT_SECRET';

/**
 * @param required The service cannot work without: it calls others.
 * @returns undefined where calls go without a token: nothing is checked (H25), or nobody is called.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA, without the secret.
 */
export function clientSettings(
  env: Variables,
  auth: CallerSettings,
  required: boolean,
): ClientSettings | undefined {
  if (auth.mode === 'disabled') return undefined;
  const clientId = textOf(env, 'ARP_AUTH_CLIENT_ID');
  const clientSecret = textOf(env, CLIENT_SECRET_VARIABLE);
  if (clientId === undefined && clientSecret === undefined && !required) return undefined;
  if (clientId === undefined)
    throw missing('ARP_AUTH_CLIENT_ID', unless(clientSecret, CLIENT_SECRET_VARIABLE));
  if (clientSecret === undefined)
    throw missing(CLIENT_SECRET_VARIABLE, unless(clientId, 'ARP_AUTH_CLIENT_ID'));
  const timeout = numberOf(env, 'ARP_AUTH_TIMEOUT_SECS', { least: 0.1, most: 300, otherwise: 10 });
  return {
    endpoint: endpointOf(env, auth.issuer),
    clientId,
    clientSecret,
    timeoutMs: Math.round(timeout * 1000),
    ownAudience: auth.audience,
  };
}

function unless(other: string | undefined, name: string): string {
  return other === undefined
    ? `nor is ${name}: this service asks others and needs both, unless ARP_AUTH_MODE=disabled`
    : `but ${name} is: both belong together`;
}

function endpointOf(env: Variables, issuer: string | undefined): URL {
  const endpoint = textOf(env, 'ARP_AUTH_TOKEN_ENDPOINT');
  if (endpoint !== undefined) return urlOf('ARP_AUTH_TOKEN_ENDPOINT', endpoint);
  if (issuer === undefined)
    throw missing('ARP_AUTH_TOKEN_ENDPOINT', 'nor is ARP_AUTH_ISSUER, from which it would follow');
  const base = urlOf('ARP_AUTH_ISSUER', issuer).href.replace(/\/+$/, '');
  return new URL(`${base}/protocol/openid-connect/token`);
}
