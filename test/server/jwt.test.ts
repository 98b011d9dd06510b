// Tokens of a real issuer at a real server: what is let in, and in which words the rest is refused (contract arp §5.1).
import { expect, test as base } from 'vitest';
import { generateSecret, SignJWT } from 'jose';
import { HttpFailure, type RouteGroup } from '../../src/doors/http.ts';
import { keysUrl } from '../../src/policy/auth/key-set.ts';
import { authSettings } from '../../src/policy/auth/settings.ts';
import { jwtAuthentication } from '../../src/server/jwt.ts';
import { startServer, type RunningServer } from '../../src/server/server.ts';
import { Issuer, Loopback, makeKey } from '../policy/auth/issuer.ts';
import { ask, statuses, talk, type Answer } from './client.ts';

const GROUP: RouteGroup = {
  name: 'who',
  description: 'Says who asks.',
  prefix: '/',
  failures: {
    schema: { type: 'object' },
    answer: (error) => ({
      status: error instanceof HttpFailure ? error.status : 500,
      body: { message: error.message, details: error.details },
    }),
  },
  routes: ['/v1/health', '/v1/who', '/v1/who/'].map((path) => ({
    method: 'GET',
    path,
    operation: path.replaceAll('/', '_'),
    summary: 'Who asks.',
    responses: { 200: { description: 'This one.' } },
    handle: async ({ principal, caller }) => ({
      json: { principal: principal ?? null, caller: caller ?? null },
    }),
  })),
};

interface Lab {
  readonly issuer: Issuer;
  /** Of the server: ahead of the true one by so much, or standing still. */
  readonly clock: { aheadSeconds: number; stoppedAtSeconds?: number };
  readonly notes: string[];
  /** Variables of the server, without their prefix; its issuer is the one above. */
  serve(variables?: Record<string, string>): Promise<Served>;
}
interface Served {
  readonly address: string;
  who(token?: string, path?: string): Promise<Answer>;
}

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('lab', async ({}, { onCleanup }): Promise<Lab> => {
  const issuer = new Issuer();
  await issuer.start();
  const running: RunningServer[] = [];
  onCleanup(async () => {
    for (const server of running) await server.stop(0);
    await issuer.http.stop();
  });
  const clock: Lab['clock'] = { aheadSeconds: 0 };
  const notes: string[] = [];
  return {
    issuer,
    clock,
    notes,
    async serve(variables = {}) {
      const all = { ISSUER: issuer.url, AUDIENCE: 'us', ...variables };
      const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [`ARP_AUTH_${name}`, value]));
      const server = await startServer({
        groups: [GROUP],
        failures: GROUP.failures,
        title: 'test',
        version: '1',
        listen: { host: '127.0.0.1', port: 0 },
        tokens: [],
        authenticate: jwtAuthentication(authSettings(env), {
          nowMs: () => 1000 * (clock.stoppedAtSeconds ?? Date.now() / 1000 + clock.aheadSeconds),
          note: (text) => notes.push(text),
        }),
        names: [],
        bodyBytesMax: 1000,
        isReady: async () => true,
        note: () => undefined,
      });
      running.push(server);
      const { address } = server;
      return {
        address,
        who: (token, path = '/v1/who') => ask(address, 'GET', path, token === undefined ? {} : { token }),
      };
    },
  };
});

function refused(error: string, message: string): object {
  return {
    status: 401,
    json: { message, details: { header: 'authorization', error } },
    headers: { 'www-authenticate': `Bearer error="${error}", error_description="${message}"` },
  };
}

const INVALID = refused('invalid_token', 'Invalid token');
const MALFORMED = refused('invalid_request', 'Invalid Authorization header');
const NO_KEYS = refused('invalid_token', 'Unable to fetch JWKS');

test('G33 a valid token gets in, and who asks is known; health is open', async ({
  lab: { issuer, serve },
}) => {
  const { who } = await serve();
  expect(issuer.http.asked).toEqual([]); // the start asks nobody (H26)
  const token = await issuer.sign({ tenant_id: 'acme', extra: 1 });
  expect((await who(token)).json).toMatchObject({
    caller: 'ana',
    principal: { via: 'token', subject: 'ana', tenant: 'acme', claims: { extra: 1, aud: 'us' }, token },
  });
  expect(await who()).toMatchObject(refused('invalid_request', 'Missing Authorization header'));
  expect(await who(undefined, '/v1/health')).toMatchObject({ status: 200, json: { principal: null } });
  expect((await who(token, '/v1/health')).json).toEqual({ principal: null, caller: null });
  // As the issuer itself gives it out.
  const answer = await fetch(`${issuer.url}/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: 'caller',
      client_secret: 'opensesame/+&=',
      audience: 'us',
    }),
  });
  const { access_token: issued } = (await answer.json()) as { access_token: string };
  expect((await who(issued)).json).toMatchObject({ caller: 'caller' });
  expect(issuer.http.asked.filter((path) => !path.endsWith('/token'))).toHaveLength(2); // once, for all of them
});

test('G33 each defect of a token has its message and its challenge', async ({ lab: { issuer, serve } }) => {
  const { who } = await serve({ ALGORITHMS: 'RS256' });
  const now = Math.floor(Date.now() / 1000);
  const good = await issuer.sign();
  const [head = '', body = '', signature = ''] = good.split('.');
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const stranger = await makeKey('key-1');
  const elliptic = await makeKey('key-1', 'ES256');
  const none = `${encoded({ alg: 'none', kid: 'key-1' })}.${body}.`;
  // The public key, which everybody has, as the secret of an HMAC.
  const publicBytes = new TextEncoder().encode(JSON.stringify(issuer.key.publicJwk));
  const confused = await new SignJWT({ iss: issuer.url, aud: 'us', sub: 'eve', exp: now + 60 })
    .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
    .sign(publicBytes);
  const symmetric = await new SignJWT({ iss: issuer.url, aud: 'us', exp: now + 60 })
    .setProtectedHeader({ alg: 'HS512', kid: 'key-1' })
    .sign(await generateSecret('HS512', { extractable: true }));
  const is = (message: string): object => refused('invalid_token', message);
  for (const [name, token, expected] of [
    ['expired', await issuer.sign({ exp: now - 120 }), is('Token expired')],
    ['without an end', await issuer.sign({ exp: undefined }), INVALID],
    ['an end in words', await issuer.sign({ exp: 'soon' }), INVALID],
    ['for somebody else', await issuer.sign({ aud: 'them' }), is('Invalid token audience')],
    ['for nobody', await issuer.sign({ aud: undefined }), is('Invalid token audience')],
    ['of another issuer', await issuer.sign({ iss: `${issuer.url}/` }), is('Invalid token issuer')],
    ['of no issuer', await issuer.sign({ iss: undefined }), is('Invalid token issuer')],
    ['not yet', await issuer.sign({ nbf: now + 120 }), INVALID],
    ['of the future', await issuer.sign({ iat: now + 120 }), INVALID],
    ['a subject that is none', await issuer.sign({ sub: 7 }), INVALID],
    ['a subject without end', await issuer.sign({ sub: 'x'.repeat(256) }), INVALID],
    ['signed by another', await issuer.sign({}, {}, stranger), INVALID],
    ['of another kind of key', await issuer.sign({}, {}, elliptic), INVALID],
    ['another algorithm of the same key', await issuer.sign({}, { alg: 'PS256' }).catch(() => none), INVALID],
    ['without a key', await issuer.sign({}, { kid: undefined }), INVALID],
    ['with an unknown key', await issuer.sign({}, { kid: 'key-2' }), INVALID],
    [
      'with what nobody understands',
      `${encoded({ alg: 'RS256', kid: 'key-1', crit: ['x'], x: 1 })}.${body}.${signature}`,
      INVALID,
    ],
    ['alg none', none, INVALID],
    ['HMAC with the public key', confused, INVALID],
    ['HMAC', symmetric, INVALID],
    [
      'another body',
      `${head}.${encoded({ iss: issuer.url, aud: 'us', sub: 'eve', exp: now + 60 })}.${signature}`,
      INVALID,
    ],
    ['no JWT', 'abc', INVALID],
    ['dots', '..', INVALID],
    ['encrypted', `${encoded({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d`, INVALID],
  ] as const)
    expect(await who(token), name).toMatchObject(expected);
  expect((await who(await issuer.sign({ aud: ['them', 'us'], sub: undefined }))).json).toMatchObject({
    caller: null,
    principal: { via: 'token' },
  });
});

test('a header is two words, the first is bearer; anything else is refused', async ({
  lab: { issuer, serve },
}) => {
  const { address } = await serve({ MODE: 'optional' });
  const token = await issuer.sign();
  const get = (authorization: string): Promise<Answer> =>
    ask(address, 'GET', '/v1/who', { headers: { authorization } });
  for (const header of [
    '',
    'Bearer',
    'Bearer ',
    token,
    `Basic ${token}`,
    `Bearer ${token} ${token}`,
    `Bearer, ${token}`,
    `Bearer\u00a0${token}`,
    `Bearer=${token}`,
  ])
    expect(await get(header), header.slice(0, 12)).toMatchObject(MALFORMED);
  for (const header of [`bEARER ${token}`, `Bearer \t  ${token}`, `  Bearer ${token}  `])
    expect((await get(header)).status, header.slice(0, 12)).toBe(200);
  const twice = `GET /v1/who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n`;
  expect(statuses(await talk(address, `${twice}\r\n`))).toEqual([200]);
  expect(statuses(await talk(address, `${twice}Authorization: Bearer ${token}\r\n\r\n`))).toEqual([401]);
});

test('modes: what is given is always verified, unless nothing is', async ({ lab: { issuer, serve } }) => {
  const optional = await serve({ MODE: 'optional', ANONYMOUS_SUBJECT: 'anon' });
  expect((await optional.who()).json).toMatchObject({
    caller: null,
    principal: { via: 'anonymous', subject: 'anon', claims: {} },
  });
  expect(await optional.who('junk')).toMatchObject(INVALID);
  expect((await optional.who(await issuer.sign())).json).toMatchObject({ caller: 'ana' });
  const asked = issuer.http.asked.length;
  const disabled = await serve({ MODE: 'disabled' });
  for (const token of [undefined, 'junk', await issuer.sign()])
    expect((await disabled.who(token)).json).toMatchObject({
      caller: null,
      principal: { via: 'disabled', subject: 'dev' },
    });
  expect((await disabled.who(undefined, '/v1/health')).json).toMatchObject({ principal: null });
  expect(issuer.http.asked).toHaveLength(asked);
});

test('exempt paths are compared exactly, and replace the default', async ({ lab: { serve } }) => {
  const { address, who } = await serve({ EXEMPT_PATHS: '/v1/who' });
  expect((await who(undefined, '/v1/who?x=1')).status).not.toBe(401); // the query is no part of it
  for (const path of [
    '/v1/health',
    '/v1/who/',
    '/v1/%77ho',
    '/v1//who',
    '//v1/who',
    '/V1/who',
    '/v1/who%2f',
    '/v1/x/../who',
  ])
    expect((await ask(address, 'GET', path)).status, path).toBe(401);
});

test('the clocks may differ by the skew, and not by more', async ({ lab: { issuer, clock, serve } }) => {
  const { who } = await serve({ CLOCK_SKEW_SECONDS: '10' });
  const at = Math.floor(Date.now() / 1000);
  const token = await issuer.sign({ iat: at, nbf: at, exp: at + 1000 });
  const whenAt = async (seconds: number): Promise<string> => {
    clock.stoppedAtSeconds = seconds;
    const { status, json } = await who(token);
    return status === 200 ? 'ok' : json.message;
  };
  expect(await whenAt(at + 1009.9)).toBe('ok');
  expect(await whenAt(at + 1010)).toBe('Token expired');
  expect(await whenAt(at - 10)).toBe('ok');
  expect(await whenAt(at - 10.1)).toBe('Invalid token');
});

test('H26 keys rotate without a restart, and made-up keys do not make us ask again and again', async ({
  lab: { issuer, clock, serve },
}) => {
  const { who } = await serve();
  const old = await issuer.sign();
  expect((await who(old)).status).toBe(200);
  await issuer.rotate('key-2');
  const fresh = await issuer.sign();
  const before = issuer.http.asked.length;
  for (let n = 0; n < 5; n += 1) expect(await who(fresh)).toMatchObject(INVALID); // asked a moment ago
  expect(issuer.http.asked).toHaveLength(before);
  clock.aheadSeconds += 11;
  const answers = await Promise.all(Array.from({ length: 20 }, () => who(fresh)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(issuer.http.asked).toHaveLength(before + 2);
  expect(await who(old)).toMatchObject(INVALID); // its key is no longer published
  const made = await issuer.sign({}, { kid: 'made-up' });
  for (let n = 0; n < 20; n += 1) expect(await who(made)).toMatchObject(INVALID);
  expect(issuer.http.asked).toHaveLength(before + 2);
});

test('H26 an issuer that is down, then up; keys that were known hold meanwhile', async ({
  lab: { issuer, clock, notes, serve },
}) => {
  const { who } = await serve();
  const { port } = issuer.http;
  await issuer.http.stop();
  const token = await issuer.sign();
  clock.stoppedAtSeconds = Date.now() / 1000;
  for (let n = 0; n < 3; n += 1) expect(await who(token)).toMatchObject(NO_KEYS);
  expect(notes).toHaveLength(1); // it was not asked again at once
  delete clock.stoppedAtSeconds;
  expect(notes.join()).toContain('ECONNREFUSED');
  await issuer.http.start(port);
  clock.aheadSeconds += 2;
  expect((await who(token)).status).toBe(200);
  await issuer.http.stop();
  clock.aheadSeconds += 1200; // no longer fresh
  const later = async () => issuer.sign({ exp: Math.floor(Date.now() / 1000) + clock.aheadSeconds + 60 });
  expect((await who(await later())).status).toBe(200);
  clock.aheadSeconds += 3600;
  expect(await who(await later())).toMatchObject(NO_KEYS);
  expect(await who(await later())).toMatchObject(NO_KEYS);
  await issuer.http.start(port);
  clock.aheadSeconds += 11;
  expect((await who(await later())).status).toBe(200);
});

test('H26 the document of discovery may lead elsewhere later, but never to what is not safe to ask', async ({
  lab: { issuer, clock, notes, serve },
}) => {
  const moved = new Loopback();
  await moved.start();
  try {
    const { who } = await serve({ OIDC_DISCOVERY_URL: `${issuer.http.url}/doc` });
    let document: unknown = { jwks_uri: `${issuer.http.url}/keys` };
    let keys: unknown = { keys: [issuer.key.publicJwk] };
    issuer.http.handle = ({ url }, response) =>
      void response.end(JSON.stringify(url === '/doc' ? document : keys));
    moved.handle = (_request, response) => void response.end(JSON.stringify({ keys: [second.publicJwk] }));
    const second = await makeKey('second');
    expect((await who(await issuer.sign())).status).toBe(200);
    document = { jwks_uri: `${moved.url}/keys` };
    clock.aheadSeconds += 11;
    expect((await who(await issuer.sign({}, {}, second))).status).toBe(200);

    const third = await makeKey('third');
    const unknown = await issuer.sign({}, {}, third);
    const asked = moved.asked.length;
    for (const [what, made, why] of [
      ['another protocol', { jwks_uri: 'file:///etc/passwd' }, 'file:// would be asked in the open'],
      [
        'another machine in the open',
        { jwks_uri: 'http://169.254.169.254/keys' },
        'http://169.254.169.254 would be asked in the open',
      ],
      ['credentials', { jwks_uri: `http://a:b@127.0.0.1:${moved.port}/keys` }, 'it holds credentials'],
      ['no URL', { jwks_uri: 7 }, 'names no jwks_uri'],
      ['no object', 'x', 'answered without a JSON object'],
    ] as const) {
      document = made;
      clock.aheadSeconds += 11;
      expect(await who(unknown), what).toMatchObject(NO_KEYS);
      expect(notes.at(-1)).toContain(why);
    }
    document = { jwks_uri: `${issuer.http.url}/keys` };
    for (const [what, made] of [
      ['no keys', { nope: [] }],
      ['too much', { keys: [third.publicJwk], more: 'x'.repeat(1_100_000) }],
    ] as const) {
      keys = made;
      clock.aheadSeconds += 11;
      expect(await who(unknown), what).toMatchObject(NO_KEYS);
    }
    issuer.http.handle = (_request, response) =>
      void response.writeHead(302, { location: `${moved.url}/keys` }).end();
    clock.aheadSeconds += 11;
    expect(await who(unknown)).toMatchObject(NO_KEYS);
    expect(moved.asked).toHaveLength(asked);
    expect((await who(await issuer.sign({}, {}, second))).status).toBe(200); // what was known still holds
  } finally {
    await moved.stop();
  }
});

test('the document of discovery does not lead from https to http', () => {
  const from = new URL('https://id.example.org/doc');
  expect(keysUrl(from, 'https://keys.example.org/k').href).toBe('https://keys.example.org/k');
  expect(() => keysUrl(from, 'http://127.0.0.1/k')).toThrow('it leads from https to http');
});

test('only the algorithms that are allowed count, whatever the keys are good for', async ({
  lab: { issuer, serve },
}) => {
  const elliptic = await makeKey('ec', 'ES256');
  const { alg: _, ...anyAlgorithm } = issuer.key.publicJwk;
  issuer.http.handle = (_request, response) =>
    void response.end(JSON.stringify({ keys: [elliptic.publicJwk, anyAlgorithm] }));
  const keys = { JWKS_URI: `${issuer.http.url}/keys` };
  const tokens = [await issuer.sign({}, {}, elliptic), await issuer.sign()];
  const statusesWith = async (variables: Record<string, string>): Promise<number[]> => {
    const { who } = await serve({ ...keys, ...variables });
    return (await Promise.all(tokens.map((token) => who(token)))).map(({ status }) => status);
  };
  expect(await statusesWith({})).toEqual([401, 200]);
  expect(await statusesWith({ ALGORITHMS: 'ES256' })).toEqual([200, 401]);
  expect(await statusesWith({ ALGORITHMS: 'PS256,ES256' })).toEqual([200, 401]);
  expect(await statusesWith({ ALGORITHMS: 'RS256,ES256' })).toEqual([200, 200]);
});

test('a secret key among the published ones verifies nothing', async ({ lab: { issuer, serve } }) => {
  const { who } = await serve({ JWKS_URI: `${issuer.http.url}/keys` });
  const secret = Buffer.from('a secret that is long enough for HMAC');
  const k = secret.toString('base64url');
  issuer.http.handle = (_request, response) =>
    void response.end(JSON.stringify({ keys: [{ kty: 'oct', kid: 'key-1', k }] }));
  const token = await new SignJWT({ iss: issuer.url, aud: 'us', exp: Math.floor(Date.now() / 1000) + 60 })
    .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
    .sign(secret);
  expect(await who(token)).toMatchObject(INVALID);
  expect(await who(await issuer.sign())).toMatchObject(INVALID);
});

test('a token of any size costs no more than its header', async ({ lab: { issuer, serve } }) => {
  const { who, address } = await serve();
  const filled = async (chars: number) => issuer.sign({ fill: 'x'.repeat(chars) });
  expect((await who(await filled(8000))).status).toBe(200);
  const head = `GET /v1/who HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${await filled(20_000)}\r\n\r\n`;
  expect(statuses(await talk(address, head))).toEqual([431]);
});
