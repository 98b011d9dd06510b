/** A real OpenID Connect provider on loopback: it issues for client credentials, exchanges tokens, and changes its keys. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
  type CryptoKey,
  type JWK,
} from 'jose';
import { Provider } from 'oidc-provider';

export const CLIENT = { id: 'caller', secret: 'opensesame/+&=' };
const TOKEN_LIFE_SECONDS = 600;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const AUDIENCE = 'urn:audience:';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

export async function makeKey(kid: string, alg = 'RS256'): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const about = { kid, alg, use: 'sig' };
  return {
    kid,
    alg,
    privateKey,
    publicJwk: { ...(await exportJWK(publicKey)), ...about },
    privateJwk: { ...(await exportJWK(privateKey)), ...about },
  };
}

/** An HTTP server whose behaviour can be changed while it runs, and which knows what it was asked. */
export class Loopback {
  readonly asked: string[] = [];
  handle: Handler = (_request, response) => void response.writeHead(404).end();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      this.asked.push(request.url ?? '');
      this.handle(request, response);
    });
  }

  /** @param port 0: any free one. */
  async start(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

export class Issuer {
  readonly http = new Loopback();
  key!: SigningKey;
  url!: string;

  async start(): Promise<void> {
    await this.http.start();
    this.url = `${this.http.url}/realms/test`;
    await this.rotate('key-1');
  }

  /** From now on, tokens are signed with another key, and only that one is published. */
  async rotate(kid: string): Promise<void> {
    this.key = await makeKey(kid);
    const provider = this.#provider();
    const answer = provider.callback();
    this.http.handle = (request, response) => {
      request.url = (request.url ?? '').replace(/^\/realms\/test/, ''); // as mounted below its issuer
      answer(request, response);
    };
  }

  /** A token as it should be, but for what is given. `undefined` leaves a claim out. */
  sign(
    claims: Record<string, unknown> = {},
    header: object = {},
    key: SigningKey = this.key,
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: this.url, aud: 'us', sub: 'ana', iat: now, exp: now + 300, ...claims };
    return new SignJWT(payload)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
      .sign(key.privateKey);
  }

  #provider(): Provider {
    const { privateJwk, publicJwk } = this.key;
    const info = (resource: string): object => ({
      scope: 'run node',
      audience: resource.slice(AUDIENCE.length),
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'RS256' } },
    });
    const provider = new Provider(this.url, {
      adapter: () => ({ upsert: async () => undefined }), // tokens are JWTs: there is nothing to keep
      jwks: { keys: [privateJwk] },
      clients: [
        {
          client_id: CLIENT.id,
          client_secret: CLIENT.secret,
          token_endpoint_auth_method: 'client_secret_post',
          grant_types: ['client_credentials', EXCHANGE],
          redirect_uris: [],
          response_types: [],
          id_token_signed_response_alg: 'RS256',
        },
      ],
      scopes: ['run', 'node'],
      ttl: { AccessToken: TOKEN_LIFE_SECONDS, ClientCredentials: TOKEN_LIFE_SECONDS },
      cookies: { keys: ['only for tests'] },
      routes: { token: '/protocol/openid-connect/token', jwks: '/certs' },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: async (ctx: { oidc: { body?: Record<string, string> } }) =>
            `${AUDIENCE}${ctx.oidc.body?.['audience'] ?? 'nobody'}`,
          getResourceServerInfo: async (_ctx: unknown, resource: string) => info(resource),
        },
      },
      findAccount: async (_ctx: unknown, id: string) => ({
        accountId: id,
        claims: async () => ({ sub: id }),
      }),
    });
    const keys = createLocalJWKSet({ keys: [publicJwk] });
    const names = ['audience', 'subject_token', 'subject_token_type', 'requested_token_type', 'actor_token'];
    provider.registerGrantType(
      EXCHANGE,
      async (ctx) => {
        const { params, client } = ctx.oidc;
        const { audience = '', subject_token: subject = '' } = params;
        const verified = await jwtVerify(subject, keys).catch(() => undefined);
        if (verified === undefined) {
          ctx.status = 400;
          ctx.body = { error: 'invalid_grant' };
          return;
        }
        const token = new provider.AccessToken({ client, accountId: verified.payload.sub, scope: 'run' });
        token.resourceServer = new provider.ResourceServer(
          `${AUDIENCE}${audience}`,
          info(`${AUDIENCE}${audience}`),
        );
        ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: 'Bearer' };
      },
      [...names, 'actor_token_type', 'scope'],
    );
    return provider;
  }
}
