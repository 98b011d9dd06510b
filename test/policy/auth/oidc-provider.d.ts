/** The little of it that the tests use; it comes without types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  interface Context {
    readonly oidc: {
      readonly body?: Readonly<Record<string, string>>;
      readonly params: Readonly<Record<string, string>>;
      readonly client: object;
    };
    body: unknown;
    status: number;
  }
  interface Token {
    resourceServer: object;
    readonly expiration: number;
    save(): Promise<string>;
  }
  export class Provider {
    constructor(issuer: string, configuration: object);
    readonly AccessToken: new (
      values: object,
    ) => Token;
    readonly ResourceServer: new (
      id: string,
      info: object,
    ) => object;
    registerGrantType(
      name: string,
      handler: (ctx: Context) => Promise<void>,
      parameters: readonly string[],
      repeatable?: readonly string[],
    ): void;
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
  }
}
