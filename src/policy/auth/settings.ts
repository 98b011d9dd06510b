/** What is asked of tokens that come in, from the variables `ARP_AUTH_…` (contract arp §5.1). */
import type { Variables } from '../key-source.ts';
import { listOf, missing, numberOf, refusal, textOf, urlOf } from './variables.ts';

export type AuthMode = 'required' | 'optional' | 'disabled';

/** As much as whoever only asks others has to know. */
export interface CallerSettings {
  readonly mode: AuthMode;
  /** Undefined: tokens of any issuer, as long as the keys fit. */
  readonly issuer: string | undefined;
  /** Undefined: tokens for any service. */
  readonly audience: string | undefined;
}

export interface AuthSettings extends CallerSettings {
  /** Where the issuer's keys are found; undefined when nothing is checked. */
  readonly keys: KeyLocation | undefined;
  readonly algorithms: readonly string[];
  /** By how much the clocks may differ, seconds. */
  readonly skewSeconds: number;
  /** Paths that need no token, exactly as they are written. */
  readonly exemptPaths: ReadonlySet<string>;
  /** The claim that names the tenant. */
  readonly tenantClaim: string;
  readonly devSubject: string;
  readonly anonymousSubject: string;
  /** What a person should know who starts a service with these. */
  readonly warnings: readonly string[];
}

export interface KeyLocation {
  /** `discovery`: the document there says where the keys are. */
  readonly kind: 'jwks' | 'discovery';
  readonly url: URL;
}

const DEV_ISSUER = 'http://localhost:8080/realms/arp-dev';
const PROFILES: Readonly<Record<string, 'dev-insecure' | 'dev-secure-keycloak' | 'enterprise'>> = {
  'dev-insecure': 'dev-insecure',
  dev: 'dev-insecure',
  'dev-secure-keycloak': 'dev-secure-keycloak',
  'dev-secure': 'dev-secure-keycloak',
  keycloak: 'dev-secure-keycloak',
  enterprise: 'enterprise',
  prod: 'enterprise',
  production: 'enterprise',
};
const MODES: readonly AuthMode[] = ['required', 'optional', 'disabled'];
/** Only those with a public key: `none` proves nothing, and with HMAC a public key would be the secret. */
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ');
/** All that is read, here and for outbound tokens. */
const NAMES = new Set(
  (
    'PROFILE MODE ISSUER AUDIENCE SERVICE_ID JWKS_URI OIDC_DISCOVERY_URL ALGORITHMS CLOCK_SKEW_SECONDS EXEMPT_PATHS ' +
    'TENANT_CLAIM DEV_SUBJECT ANONYMOUS_SUBJECT CLIENT_ID CLIENT_SECRET TOKEN_ENDPOINT TIMEOUT_SECS'
  )
    .split(' ')
    .map((name) => `ARP_AUTH_${name}`),
);

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, naming the variable, its value and what is accepted. */
export function authSettings(env: Variables): AuthSettings {
  const profile = profileOf(env);
  const { mode, issuer, audience } = callerSettings(env);
  if (mode !== 'disabled' && profile === 'dev-secure-keycloak' && audience === undefined)
    throw missing(
      'ARP_AUTH_AUDIENCE',
      `nor is ARP_AUTH_SERVICE_ID; the profile ${profile} needs one of them`,
    );
  return {
    mode,
    issuer,
    audience,
    keys: mode === 'disabled' ? undefined : keyLocation(env, issuer),
    algorithms: algorithmsOf(env),
    skewSeconds: numberOf(env, 'ARP_AUTH_CLOCK_SKEW_SECONDS', { least: 0, most: 3600, otherwise: 60 }),
    exemptPaths: exemptPathsOf(env),
    tenantClaim: textOf(env, 'ARP_AUTH_TENANT_CLAIM') ?? 'tenant_id',
    devSubject: textOf(env, 'ARP_AUTH_DEV_SUBJECT') ?? 'dev',
    anonymousSubject: textOf(env, 'ARP_AUTH_ANONYMOUS_SUBJECT') ?? 'anonymous',
    warnings: [...unknownNames(env), ...(mode === 'disabled' ? [] : uncheckedClaims(issuer, audience))],
  };
}

/** The same for a client, which checks no tokens. @throws ReeveError E_INVALID_INPUT_SCHEMA, as above */
export function callerSettings(env: Variables): CallerSettings {
  const profile = profileOf(env);
  return {
    mode: modeOf(env) ?? (profile === 'dev-insecure' ? 'disabled' : 'required'),
    issuer:
      textOf(env, 'ARP_AUTH_ISSUER') ??
      (!isConfigured(env) || profile === 'dev-secure-keycloak' ? DEV_ISSUER : undefined),
    audience: textOf(env, 'ARP_AUTH_AUDIENCE') ?? textOf(env, 'ARP_AUTH_SERVICE_ID'),
  };
}

/** Whether any of the variables is set. */
export function isConfigured(env: Variables): boolean {
  return Object.keys(env).some((name) => name.startsWith('ARP_AUTH_') && textOf(env, name) !== undefined);
}

function profileOf(env: Variables): string | undefined {
  const text = textOf(env, 'ARP_AUTH_PROFILE');
  if (text === undefined) return undefined;
  const name = text.toLowerCase().replaceAll('_', '-');
  if (Object.hasOwn(PROFILES, name)) return PROFILES[name];
  throw refusal('ARP_AUTH_PROFILE', text, `one of ${Object.keys(PROFILES).join(', ')}`);
}

function modeOf(env: Variables): AuthMode | undefined {
  const text = textOf(env, 'ARP_AUTH_MODE');
  const mode = MODES.find((name) => name === text?.toLowerCase());
  if (text !== undefined && mode === undefined)
    throw refusal('ARP_AUTH_MODE', text, `one of ${MODES.join(', ')}`);
  return mode;
}

function keyLocation(env: Variables, issuer: string | undefined): KeyLocation {
  const jwks = textOf(env, 'ARP_AUTH_JWKS_URI');
  if (jwks !== undefined) return { kind: 'jwks', url: urlOf('ARP_AUTH_JWKS_URI', jwks) };
  const discovery = textOf(env, 'ARP_AUTH_OIDC_DISCOVERY_URL');
  if (discovery !== undefined)
    return { kind: 'discovery', url: urlOf('ARP_AUTH_OIDC_DISCOVERY_URL', discovery) };
  if (issuer === undefined)
    throw missing(
      'ARP_AUTH_ISSUER',
      'nor are ARP_AUTH_JWKS_URI and ARP_AUTH_OIDC_DISCOVERY_URL: one of them must say where the keys are, or ' +
        'ARP_AUTH_MODE=disabled that no token is checked',
    );
  const base = urlOf('ARP_AUTH_ISSUER', issuer).href.replace(/\/+$/, '');
  return { kind: 'discovery', url: new URL(`${base}/.well-known/openid-configuration`) };
}

function algorithmsOf(env: Variables): readonly string[] {
  const names = listOf(env, 'ARP_AUTH_ALGORITHMS') ?? ['RS256'];
  const unknown = names.find((name) => !ALGORITHMS.includes(name));
  if (unknown !== undefined)
    throw refusal('ARP_AUTH_ALGORITHMS', unknown, `one or more of ${ALGORITHMS.join(', ')}`);
  return names;
}

function exemptPathsOf(env: Variables): ReadonlySet<string> {
  const paths = listOf(env, 'ARP_AUTH_EXEMPT_PATHS') ?? ['/v1/health', '/v1/version'];
  const wrong = paths.find((path) => !/^\/[^\s?#]*$/.test(path));
  if (wrong !== undefined)
    throw refusal('ARP_AUTH_EXEMPT_PATHS', wrong, 'paths that begin with a slash, without a query');
  return new Set(paths);
}

/** A slip in a name would drop a check without a word. */
function unknownNames(env: Variables): readonly string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('ARP_AUTH_') && !NAMES.has(name))
    .map((name) => `${name} is set, and nothing here reads it`);
}

function uncheckedClaims(issuer: string | undefined, audience: string | undefined): readonly string[] {
  return [
    ...(issuer === undefined
      ? ['ARP_AUTH_ISSUER is not set: tokens of any issuer with a known key pass']
      : []),
    ...(audience === undefined
      ? ['ARP_AUTH_AUDIENCE is not set: tokens for any other service pass, too']
      : []),
  ];
}
