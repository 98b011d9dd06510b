/**
 * How a door speaks HTTP: routes as data, handled without knowing the server that carries them (DESIGN §4). The server
 * checks what comes in against the schemas given here, and its OpenAPI document is made of the same ones.
 */
import { ReeveError, type ErrorCode } from '../model/errors.ts';
import type { Principal } from '../policy/auth/principal.ts';

export interface HttpRequest {
  /** Names this request in answers and logs. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly params: Readonly<Record<string, string>>;
  /** Path in front of what the service itself knows, such as `/artifact-store`; empty at the root. */
  readonly mount: string;
  /** As the route declares them; what was not given is absent. */
  readonly query: Readonly<Record<string, QueryValue>>;
  /** Fits the route's schema; undefined where the body is optional and absent, or is taken as bytes. */
  readonly body: unknown;
  /** The body of a route that takes any bytes, as they arrive. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Whose token it carries: its subject, or its owner by the approvers file. Undefined while nobody proved who asks. */
  readonly caller: string | undefined;
  /** All that is known of who asks, where that is told by more than a name; undefined on a path that is exempt. */
  readonly principal: Principal | undefined;
  /** Aborts when the client is gone or the server stops: whoever only waits for it should return. */
  readonly signal: AbortSignal;
}

export type QueryValue = string | number | boolean | readonly string[];

export type HttpReply = JsonReply | StreamReply | EmptyReply;

export interface JsonReply {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json: unknown;
}

/** A body that comes in pieces: a file, NDJSON, server-sent events. It is ended early when the client goes. */
export interface StreamReply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly type: string;
  readonly stream: AsyncIterable<Uint8Array | string>;
}

/** No body: 204, or what HEAD answers. */
export interface EmptyReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly empty: true;
}

export interface QueryParameter {
  readonly description: string;
  /** `type` says how the text is read: string, integer, boolean, or array for one that may be repeated. */
  readonly schema: {
    readonly type: 'string' | 'integer' | 'boolean' | 'array';
    readonly [word: string]: unknown;
  };
}

export interface ResponseSpec {
  readonly description: string;
  /** Default `application/json`. */
  readonly type?: string;
  /** Of a JSON body; `none`: there is no body. */
  readonly schema?: object | 'none';
}

export interface Route {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As OpenAPI writes it: `/v1/jobs/{job_id}:status`. A last part such as `{path*}` takes what is left, with its slashes. */
  readonly path: string;
  /** Unique name of the operation, in camel case. */
  readonly operation: string;
  readonly summary: string;
  readonly query?: Readonly<Record<string, QueryParameter>>;
  /** `bytes`: of any type, not read beforehand; whoever handles it keeps to the limit. */
  readonly body?: { readonly schema: object; readonly required: boolean } | 'bytes';
  /** Successful answers, by status. */
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  /** Anybody may ask, without a token. Default: as the server is set up. */
  readonly open?: true;
  /** Largest body, bytes. Default: that of the group. */
  readonly bodyBytesMax?: number;
  handle(request: HttpRequest): Promise<HttpReply>;
}

/** Routes that fail in one way: a service. */
export interface RouteGroup {
  readonly name: string;
  readonly description: string;
  /** What is below and no route fails as this group fails. */
  readonly prefix: string;
  /** Where the server put the whole group; its routes begin with it. Default: at the root. */
  readonly mount?: string;
  readonly routes: readonly Route[];
  readonly failures: Failures;
  /** Ids in paths may hold colons; a verb is then told from the right. Default: an id ends at a colon. */
  readonly ids?: 'with-colons';
  /** A path that is known under another method answers 405. Default: 404. */
  readonly unknownMethod?: 405;
  /**
   * Checks a body against its route's schema, where a service has words of its own for what is wrong.
   * @throws ReeveError
   */
  checkBody?(schema: object, body: unknown): Promise<void>;
  /** Schemas that the OpenAPI document names, by name. */
  readonly schemas?: Readonly<Record<string, object>>;
  /** Largest body, bytes. Default: that of the server. */
  readonly bodyBytesMax?: number;
  /** Who asks, where a service has its own way to tell. Default: as the server tells. */
  readonly authenticate?: Authenticate;
}

/**
 * @param headers several `authorization` headers are one, joined by commas.
 * @param path as it was sent, without the query.
 * @returns who asks; undefined when nothing is known, and nothing has to be.
 * @throws HttpFailure 401 or 403
 */
export type Authenticate = (
  headers: HttpRequest['headers'],
  path: string,
) => Promise<Principal | undefined> | Principal | undefined;

export interface Failures {
  /** Schema of the body that `answer` gives. */
  readonly schema: object;
  /** @param tenant of who asks; undefined where nobody has proved who that is. */
  answer(
    error: ReeveError,
    method: string,
    tenant?: string,
  ): { readonly status: number; readonly body: unknown };
}

/** An error whose HTTP status does not follow from its code. */
export class HttpFailure extends ReeveError {
  readonly status: number;
  /** Headers that belong to the answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(code, message, details);
    this.status = status;
    this.headers = headers;
  }
}
