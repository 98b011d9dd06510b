// What ARP_AUTH_… may say, and what a service refuses to start with (contract arp §5.1, §5.2).
import { expect, test } from 'vitest';
import { clientSettings } from '../../../src/policy/auth/client-settings.ts';
import { authSettings } from '../../../src/policy/auth/settings.ts';

const KEYCLOAK = 'http://localhost:8080/realms/arp-dev';
const ISSUER = 'https://id.example.org/realms/x';

/** Without the prefix, for brevity. */
function env(variables: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [`ARP_AUTH_${name}`, value]));
}

function settings(variables: Record<string, string>) {
  const { keys, exemptPaths, ...rest } = authSettings(env(variables));
  return { ...rest, keys: keys && `${keys.kind} ${keys.url.href}`, exemptPaths: [...exemptPaths] };
}

test('without any variable: required, the issuer of development, no audience', () => {
  const expected = {
    mode: 'required',
    issuer: KEYCLOAK,
    audience: undefined,
    keys: `discovery ${KEYCLOAK}/.well-known/openid-configuration`,
    algorithms: ['RS256'],
    skewSeconds: 60,
    exemptPaths: ['/v1/health', '/v1/version'],
    tenantClaim: 'tenant_id',
    devSubject: 'dev',
    anonymousSubject: 'anonymous',
  };
  expect(settings({})).toMatchObject(expected);
  expect(settings({ PROFILE: '', ISSUER: ' ' })).toMatchObject(expected); // empty is not set
  expect(authSettings({ PATH: '/bin' }).warnings.join()).toContain('ARP_AUTH_AUDIENCE is not set');
});

test.each([
  ['dev-insecure', { mode: 'disabled', issuer: undefined, keys: undefined }],
  ['DEV', { mode: 'disabled' }],
  ['Dev_Insecure', { mode: 'disabled' }],
  ['dev-secure-keycloak', { mode: 'required', issuer: KEYCLOAK, audience: 'us' }],
  ['dev_secure', { mode: 'required', issuer: KEYCLOAK }],
  ['KeyCloak', { mode: 'required', issuer: KEYCLOAK }],
])('profile %s', (profile, expected) => {
  expect(settings({ PROFILE: profile, AUDIENCE: 'us' })).toMatchObject(expected);
});

test.each(['enterprise', 'Prod', 'production'])('profile %s is required, and knows no issuer', (profile) => {
  expect(settings({ PROFILE: profile, ISSUER })).toMatchObject({ mode: 'required', issuer: ISSUER });
  expect(() => settings({ PROFILE: profile })).toThrow('ARP_AUTH_ISSUER is not set');
});

test('what is said explicitly comes before the profile', () => {
  expect(settings({ PROFILE: 'dev-insecure', MODE: 'Optional', ISSUER })).toMatchObject({ mode: 'optional' });
  expect(settings({ PROFILE: 'keycloak', MODE: 'disabled' })).toMatchObject({ mode: 'disabled' });
  expect(settings({ PROFILE: 'keycloak', ISSUER, SERVICE_ID: 'us' })).toMatchObject({
    issuer: ISSUER,
    audience: 'us',
  });
  expect(settings({ ISSUER, AUDIENCE: 'a', SERVICE_ID: 'b' })).toMatchObject({ audience: 'a' });
});

test('where the keys are: JWKS, then discovery, then the issuer', () => {
  const all = {
    JWKS_URI: 'https://a.example/keys',
    OIDC_DISCOVERY_URL: 'http://127.0.0.1:7/doc',
    ISSUER: `${ISSUER}/`,
  };
  expect(settings(all).keys).toBe('jwks https://a.example/keys');
  expect(settings({ ...all, JWKS_URI: '' }).keys).toBe('discovery http://127.0.0.1:7/doc');
  expect(settings({ ISSUER: all.ISSUER })).toMatchObject({
    keys: `discovery ${ISSUER}/.well-known/openid-configuration`,
    issuer: `${ISSUER}/`, // compared as it stands
  });
  // An issuer that is only compared need not be a URL.
  expect(settings({ JWKS_URI: all.JWKS_URI, ISSUER: 'us' }).issuer).toBe('us');
  expect(settings({ JWKS_URI: all.JWKS_URI }).warnings.join()).toContain('ARP_AUTH_ISSUER is not set');
});

test('lists and numbers', () => {
  expect(
    settings({
      ISSUER,
      ALGORITHMS: ' ES256, EdDSA ,',
      CLOCK_SKEW_SECONDS: '0',
      EXEMPT_PATHS: '/x, /y/',
      TENANT_CLAIM: 'org',
      DEV_SUBJECT: 'd',
      ANONYMOUS_SUBJECT: 'a',
    }),
  ).toMatchObject({
    algorithms: ['ES256', 'EdDSA'],
    skewSeconds: 0,
    exemptPaths: ['/x', '/y/'],
    tenantClaim: 'org',
    devSubject: 'd',
    anonymousSubject: 'a',
  });
});

test.each<[Record<string, string>, string]>([
  [{ PROFILE: 'dev-insecur' }, 'ARP_AUTH_PROFILE is "dev-insecur"; accepted is one of dev-insecure, dev'],
  [{ PROFILE: 'constructor' }, 'ARP_AUTH_PROFILE is "constructor"'],
  [{ MODE: 'off' }, 'ARP_AUTH_MODE is "off"; accepted is one of required, optional, disabled'],
  [{ PROFILE: 'keycloak' }, 'ARP_AUTH_AUDIENCE is not set, nor is ARP_AUTH_SERVICE_ID'],
  [{ MODE: 'optional' }, 'ARP_AUTH_ISSUER is not set, nor are ARP_AUTH_JWKS_URI'],
  [{ CLIENT_ID: 'only' }, 'ARP_AUTH_ISSUER is not set'],
  [{ ISSUER: 'example' }, 'ARP_AUTH_ISSUER is "example"; accepted is an https URL'],
  [{ ISSUER: 'http://id.example.org' }, 'http://id.example.org would be asked in the open'],
  [{ JWKS_URI: 'http://localhost.example.org/k' }, 'ARP_AUTH_JWKS_URI is "http://localhost.example.org/k"'],
  [{ JWKS_URI: 'file:///etc/passwd' }, 'ARP_AUTH_JWKS_URI'],
  [{ OIDC_DISCOVERY_URL: 'ftp://x/' }, 'ARP_AUTH_OIDC_DISCOVERY_URL'],
  [{ ISSUER, ALGORITHMS: 'RS256,none' }, 'ARP_AUTH_ALGORITHMS is "none"; accepted is one or more of RS256'],
  [{ ISSUER, ALGORITHMS: 'HS256' }, 'ARP_AUTH_ALGORITHMS is "HS256"'],
  [{ ISSUER, ALGORITHMS: 'rs256' }, 'ARP_AUTH_ALGORITHMS is "rs256"'],
  [{ ISSUER, ALGORITHMS: ' , ' }, 'ARP_AUTH_ALGORITHMS is ","'],
  [
    { ISSUER, CLOCK_SKEW_SECONDS: '-1' },
    'ARP_AUTH_CLOCK_SKEW_SECONDS is "-1"; accepted is a number of seconds',
  ],
  [{ ISSUER, CLOCK_SKEW_SECONDS: '1e9' }, 'ARP_AUTH_CLOCK_SKEW_SECONDS'],
  [{ ISSUER, CLOCK_SKEW_SECONDS: '3601' }, 'ARP_AUTH_CLOCK_SKEW_SECONDS'],
  [{ ISSUER, EXEMPT_PATHS: 'v1/health' }, 'ARP_AUTH_EXEMPT_PATHS is "v1/health"; accepted is paths'],
])('it does not start with %o', (variables, message) => {
  expect(() => settings(variables)).toThrow(message);
});

test('a password in a URL is refused and not repeated', () => {
  expect(() => settings({ JWKS_URI: 'https://me:hush@example.org/k' })).toThrow('it holds credentials');
  expect(() => settings({ JWKS_URI: 'https://me:hush@example.org/k' })).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining('hush') }) as Error,
  );
});

test('a name that nothing reads is warned about: it may be a check that was meant', () => {
  expect(settings({ ISSUER, AUDIENC: 'us' }).warnings).toContain(
    'ARP_AUTH_AUDIENC is set, and nothing here reads it',
  );
  expect(settings({ ISSUER, AUDIENCE: 'us', CLIENT_ID: 'x' }).warnings).toEqual([]);
});

function client(variables: Record<string, string>, required: boolean) {
  return clientSettings(env(variables), authSettings(env(variables)), required);
}

test('H25 disabled: no credentials are needed; otherwise both or neither, and who calls others needs them', () => {
  expect(client({ MODE: 'disabled' }, true)).toBeUndefined();
  expect(client({ ISSUER }, false)).toBeUndefined();
  expect(() => client({ ISSUER }, true)).toThrow(
    'ARP_AUTH_CLIENT_ID is not set, nor is ARP_AUTH_CLIENT_SECRET',
  );
  for (const required of [true, false]) {
    expect(() => client({ ISSUER, CLIENT_ID: 'x' }, required)).toThrow(
      'ARP_AUTH_CLIENT_SECRET is not set, but ARP_AUTH_CLIENT_ID is',
    );
    expect(() => client({ ISSUER, CLIENT_SECRET: 'hush' }, required)).toThrow(
      /^ARP_AUTH_CLIENT_ID is not set, but ARP_AUTH_CLIENT_SECRET is: both belong together$/,
    );
  }
});

test('the token endpoint follows from the issuer, as that of Keycloak does', () => {
  const both = { CLIENT_ID: 'x', CLIENT_SECRET: 'hush', ISSUER: `${ISSUER}/`, SERVICE_ID: 'us' };
  const found = client(both, true);
  expect(found).toMatchObject({ clientId: 'x', clientSecret: 'hush', timeoutMs: 10_000, ownAudience: 'us' });
  expect(found?.endpoint.href).toBe(`${ISSUER}/protocol/openid-connect/token`);
  const other = client({ ...both, TOKEN_ENDPOINT: 'https://sts.example.org/t', TIMEOUT_SECS: '2.5' }, true);
  expect(other).toMatchObject({ timeoutMs: 2500 });
  expect(other?.endpoint.href).toBe('https://sts.example.org/t');
  for (const [more, message] of [
    [{ TOKEN_ENDPOINT: 'http://sts.example.org/t' }, 'ARP_AUTH_TOKEN_ENDPOINT'],
    [{ TIMEOUT_SECS: '0' }, 'ARP_AUTH_TIMEOUT_SECS is "0"; accepted is a number of seconds, 0.1 to 300'],
    [{ ISSUER: '', JWKS_URI: 'https://a.example/k' }, 'ARP_AUTH_TOKEN_ENDPOINT is not set'],
  ] as const)
    expect(() => client({ ...both, ...more }, true)).toThrow(message);
});
