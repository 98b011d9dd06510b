// Tokens for other services, from a real issuer and from one that misbehaves (contract arp §5.2, H25, G34).
import { decodeJwt } from 'jose';
import { expect, test as base } from 'vitest';
import { clientSettings } from '../../../src/policy/auth/client-settings.ts';
import { authSettings } from '../../../src/policy/auth/settings.ts';
import { TokenFailure, TokenSource } from '../../../src/policy/auth/token-source.ts';
import { CLIENT, Issuer, Loopback } from './issuer.ts';

interface Lab {
  readonly issuer: Issuer;
  readonly clock: { nowMs: number };
  source(variables?: Record<string, string>): TokenSource;
}

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('lab', async ({}, { onCleanup }): Promise<Lab> => {
  const issuer = new Issuer();
  await issuer.start();
  onCleanup(() => issuer.http.stop());
  const clock = { nowMs: Date.now() };
  return { issuer, clock, source: (more) => sourceOf(issuer.url, clock, more) };
});

function sourceOf(issuer: string, clock: { nowMs: number }, more: Record<string, string> = {}): TokenSource {
  const all = {
    ISSUER: issuer,
    SERVICE_ID: 'us',
    CLIENT_ID: CLIENT.id,
    CLIENT_SECRET: CLIENT.secret,
    ...more,
  };
  const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [`ARP_AUTH_${name}`, value]));
  return new TokenSource(clientSettings(env, authSettings(env), true), () => clock.nowMs);
}

function claims(token: string | undefined): object {
  return decodeJwt(token ?? 'none');
}

test('G34 client credentials: a token for the callee, or for ourselves, with the scope that was asked for', async ({
  lab: { issuer, source },
}) => {
  const tokens = source();
  expect(claims(await tokens.own({ audience: 'callee', scope: 'run' }))).toMatchObject({
    iss: issuer.url,
    aud: 'callee',
    sub: CLIENT.id,
    scope: 'run',
  });
  expect(claims(await tokens.own({}))).toMatchObject({ aud: 'us' });
});

test('G34 exchange: the token that came in becomes one for the callee, of the same subject', async ({
  lab: { issuer, source },
}) => {
  const tokens = source();
  const subjectToken = await issuer.sign({ sub: 'ana' });
  expect(claims(await tokens.exchanged({ subjectToken, audience: 'callee' }))).toMatchObject({
    aud: 'callee',
    sub: 'ana',
  });
  const failure: unknown = await tokens
    .exchanged({ subjectToken: 'forged' })
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TokenFailure);
  expect(failure).toMatchObject({
    code: 'E_TOKEN_UNAVAILABLE',
    reason: 'token_exchange_failed',
    status: 400,
    message: expect.stringContaining('it answered 400 (invalid_grant)'),
  });
});

test('H25 a hundred who need a token at once, and later: the issuer is asked once', async ({
  lab: { issuer, source },
}) => {
  const tokens = source();
  const got = await Promise.all(Array.from({ length: 100 }, () => tokens.own({ audience: 'callee' })));
  expect(new Set(got).size).toBe(1);
  expect(await tokens.own({ audience: 'callee' })).toBe(got[0]);
  expect(issuer.http.asked).toHaveLength(1);
  await Promise.all([tokens.own({ audience: 'other' }), tokens.own({ audience: 'callee', scope: 'run' })]);
  expect(issuer.http.asked).toHaveLength(3);
  // Each subject has its own, and so has each of its tokens.
  const [one, two] = [await issuer.sign({ sub: 'ana' }), await issuer.sign({ sub: 'ben' })];
  const exchanges = [one, two, one, two].map((subjectToken) =>
    tokens.exchanged({ subjectToken, audience: 'callee' }),
  );
  expect((await Promise.all(exchanges)).map((token) => decodeJwt(token ?? '').sub)).toEqual([
    'ana',
    'ben',
    'ana',
    'ben',
  ]);
  expect(issuer.http.asked).toHaveLength(5);
});

test('a kept token is renewed before it expires', async ({ lab: { issuer, clock, source } }) => {
  const tokens = source();
  const first = await tokens.own({});
  clock.nowMs += 569_000;
  expect(await tokens.own({})).toBe(first);
  clock.nowMs += 1000;
  expect(await tokens.own({})).not.toBe(first);
  expect(issuer.http.asked).toHaveLength(2);
});

test('H25 disabled: nobody is asked, and calls go without a token', async ({ lab: { issuer, source } }) => {
  const tokens = source({ MODE: 'disabled', CLIENT_ID: '', CLIENT_SECRET: '' });
  expect(await tokens.own({ audience: 'callee' })).toBeUndefined();
  expect(await tokens.exchanged({ subjectToken: 'x', audience: 'callee' })).toBeUndefined();
  expect(issuer.http.asked).toEqual([]);
});

test('what is sent is a form with the fields of the contract', async ({ lab: { clock } }) => {
  await withSts(async (sts) => {
    const bodies: unknown[] = [];
    sts.handle = (request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (part: string) => (text += part));
      request.on('end', () => {
        bodies.push({
          method: request.method,
          type: request.headers['content-type']?.split(';')[0],
          ...Object.fromEntries(new URLSearchParams(text)),
        });
        response.end('{"access_token":"t"}');
      });
    };
    const tokens = sourceOf(sts.url, clock);
    await tokens.own({ audience: 'callee', scope: 'a b' });
    await tokens.exchanged({ subjectToken: 's+/=', audience: 'callee', actorToken: 'a' });
    const common = {
      method: 'POST',
      type: 'application/x-www-form-urlencoded',
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
      audience: 'callee',
    };
    const type = 'urn:ietf:params:oauth:token-type:access_token';
    expect(bodies).toEqual([
      { ...common, grant_type: 'client_credentials', scope: 'a b' },
      {
        ...common,
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: 's+/=',
        subject_token_type: type,
        requested_token_type: type,
        actor_token: 'a',
        actor_token_type: type,
      },
    ]);
  });
});

test('failures have the status of the token endpoint, or 502; they are not kept, and tell no secret', async ({
  lab: { issuer, source, clock },
}) => {
  const failureOf = async (tokens: TokenSource): Promise<TokenFailure> => {
    const error: unknown = await tokens.own({ audience: 'callee' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TokenFailure);
    expect(JSON.stringify([error, (error as Error).message])).not.toContain('hush');
    return error as TokenFailure;
  };
  const wrong = source({ CLIENT_SECRET: 'hush' });
  expect(await failureOf(wrong)).toMatchObject({
    status: 401,
    reason: 'token_request_failed',
    details: { reason: 'token_request_failed', status: 401 },
  });
  await withSts(async (sts) => {
    const tokens = sourceOf(sts.url, clock, { CLIENT_SECRET: 'hush', TIMEOUT_SECS: '5' });
    for (const [status, body, expected] of [
      [400, '{"error":"invalid_scope","error_description":"hush"}', 400],
      [403, 'hush', 403],
      [503, '{"error":"hush hush"}', 503],
      [200, 'no json', 502],
      [200, '{}', 502],
      [200, '{"access_token":""}', 502],
      [200, '{"access_token":7}', 502],
      [200, '{"access_token":"a\\r\\nx: y"}', 502],
      [200, '[]', 502],
      [200, 'null', 502],
      [200, `{"access_token":"${'x'.repeat(1_100_000)}"}`, 502],
      [304, '', 502],
    ] as const) {
      sts.handle = (_request, response) => void response.writeHead(status).end(body);
      expect((await failureOf(tokens)).status, `${status} ${body.slice(0, 40)}`).toBe(expected);
    }
    const asked = sts.asked.length;
    sts.handle = (_request, response) =>
      void response.writeHead(307, { location: `${issuer.http.url}/elsewhere` }).end();
    expect(await failureOf(tokens)).toMatchObject({ status: 502 });
    expect(issuer.http.asked).not.toContain('/elsewhere');
    expect(sts.asked).toHaveLength(asked + 1);
    // One failure for all who waited; the next one asks again.
    sts.handle = (_request, response) => void response.writeHead(500).end();
    const all = await Promise.allSettled(
      Array.from({ length: 10 }, () => tokens.own({ audience: 'callee' })),
    );
    expect(all.every(({ status }) => status === 'rejected')).toBe(true);
    expect(sts.asked).toHaveLength(asked + 2);
    sts.handle = (_request, response) => void response.end('{"access_token":"t","expires_in":"60"}');
    expect(await tokens.own({ audience: 'callee' })).toBe('t');
    await sts.stop();
    expect(await tokens.own({ audience: 'callee' })).toBe('t');
    clock.nowMs += 30_000;
    expect(await failureOf(tokens)).toMatchObject({
      status: 502,
      message: expect.stringContaining('it cannot be reached'),
    });
  });
});

test('an endpoint that never answers is given up', async ({ lab: { clock } }) => {
  await withSts(async (sts) => {
    sts.handle = () => undefined;
    const tokens = sourceOf(sts.url, clock, { TIMEOUT_SECS: '0.1' });
    await expect(tokens.own({})).rejects.toMatchObject({
      status: 502,
      message: expect.stringContaining('it did not answer within 100 ms'),
    });
  });
});

test('what does not say how long it lives is not kept; and not more is kept than a thousand', async ({
  lab: { clock },
}) => {
  await withSts(async (sts) => {
    let life = '';
    sts.handle = (_request, response) => void response.end(`{"access_token":"t"${life}}`);
    const tokens = sourceOf(sts.url, clock);
    await tokens.own({});
    await tokens.own({});
    expect(sts.asked).toHaveLength(2);
    life = ',"expires_in":600';
    for (let n = 0; n <= 1000; n += 1) await tokens.own({ audience: `a${n}` });
    expect(sts.asked).toHaveLength(1003);
    await tokens.own({ audience: 'a1' });
    expect(sts.asked).toHaveLength(1003);
    await tokens.own({ audience: 'a0' }); // the one that was used least recently had to go
    expect(sts.asked).toHaveLength(1004);
  });
});

async function withSts(use: (sts: Loopback) => Promise<void>): Promise<void> {
  const sts = new Loopback();
  await sts.start();
  try {
    await use(sts);
  } finally {
    await sts.stop();
  }
}
