/** Whatever goes wrong while a request is served becomes one of our errors here, and nowhere else. */
import type { Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import { HttpFailure, type Failures, type RouteGroup } from '../doors/http.ts';
import { ReeveError } from '../model/errors.ts';

/** Who answers for a path without a route: the group that it would belong to. */
export function groupOf(groups: readonly RouteGroup[], url: string): RouteGroup | undefined {
  return groups
    .filter(({ prefix }) => isBelow(url, prefix))
    .toSorted((a, b) => b.prefix.length - a.prefix.length)[0];
}

/** `/pdp` is above `/pdp/v1` and `/pdp:verb`, and not above `/pdp2`. */
function isBelow(url: string, prefix: string): boolean {
  return url.startsWith(prefix) && (prefix.endsWith('/') || !/^[\w-]/.test(url.slice(prefix.length)));
}

export function noRoute(method: string, url: string, group: RouteGroup | undefined): HttpFailure {
  const whole = url.split('?', 1)[0] ?? '';
  const path = whole.slice(0, 300);
  const methods = group?.unknownMethod === undefined ? [] : methodsOf(group, whole);
  if (methods.length === 0)
    return new HttpFailure(404, 'E_INVALID_INPUT_SCHEMA', `there is no ${method} ${path}`, { method, path });
  return new HttpFailure(
    405,
    'E_INVALID_INPUT_SCHEMA',
    `${path} does not take ${method}; it takes ${methods.join(', ')}`,
    { method, path, allowed: methods },
    { allow: methods.join(', ') },
  );
}

function methodsOf(group: RouteGroup, path: string): string[] {
  const known = group.routes.filter((route) => {
    const pattern = route.path
      .split(/(\{\w+\*?\})/)
      .map((part, at) =>
        at % 2 === 1 ? (part.endsWith('*}') ? '.+' : '[^/]+') : part.replaceAll('.', String.raw`\.`),
      )
      .join('');
    return new RegExp(`^${pattern}$`).test(path);
  });
  return [...new Set(known.map(({ method }) => method))];
}

interface FrameworkError {
  readonly code?: unknown;
  readonly statusCode?: unknown;
}

/** @param note told what nobody expected; the client only learns the request's id. */
export function errorOf(
  cause: unknown,
  context: { readonly requestId: string; readonly bodyBytesMax: number; note(text: string): void },
): ReeveError {
  if (cause instanceof ReeveError) return cause;
  const { code, statusCode } = (cause ?? {}) as FrameworkError;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpFailure(
        413,
        'E_UNSAFE_OPERATION',
        `the body is larger than ${context.bodyBytesMax} bytes`,
        { limit: context.bodyBytesMax },
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_INVALID_CONTENT_TYPE':
      return new HttpFailure(415, 'E_INVALID_INPUT_SCHEMA', 'the body must be application/json', {
        field: 'content-type',
      });
    case 'FST_ERR_BAD_URL':
      return new HttpFailure(400, 'E_INVALID_INPUT_SCHEMA', 'the path is not well encoded', {
        field: 'path',
      });
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new HttpFailure(400, 'E_INVALID_INPUT_SCHEMA', (cause as Error).message);
  }
  const shown = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  context.note(`request ${context.requestId} failed: ${shown}`);
  return new ReeveError('E_GENERIC_FAILURE', 'the server failed; its log says more under this request id', {
    request_id: context.requestId,
  });
}

/** What is no HTTP, or too slow, or too long to be read, never becomes a request: it is answered on the socket. */
export function answerOnSocket(
  error: NodeJS.ErrnoException,
  socket: Socket,
  failures: Failures,
  headerBytesMax: number,
): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status, body } = failures.answer(protocolFailure(error.code, headerBytesMax), '');
  const text = `${JSON.stringify(body)}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function protocolFailure(code: string | undefined, headerBytesMax: number): HttpFailure {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new HttpFailure(431, 'E_UNSAFE_OPERATION', `the headers are larger than ${headerBytesMax} bytes`, {
      limit: headerBytesMax,
    });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new HttpFailure(408, 'E_INVALID_INPUT_SCHEMA', 'the request did not arrive in time');
  return new HttpFailure(400, 'E_INVALID_INPUT_SCHEMA', 'this is no HTTP request', { cause: code ?? null });
}
