/** How the control plane says that something failed (contract agents §2). */
import { HttpFailure } from '../../http.ts';
import { ERRORS, type ErrorCode, type ReeveError } from '../../../model/errors.ts';

/** A failure with a code of the control plane. */
export class AgentsFailure extends HttpFailure {
  readonly wireCode: string;

  constructor(
    status: number,
    wireCode: string,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    headers?: Readonly<Record<string, string>>,
  ) {
    super(status, ourCode(status), message, details, headers);
    this.wireCode = wireCode;
  }
}

/** It is not there, or another tenant's: nobody can tell which. */
export function notFound(what: string, id: string): AgentsFailure {
  return new AgentsFailure(404, 'not_found', `there is no ${what} ${JSON.stringify(id.slice(0, 200))}`);
}

export function invalidField(
  field: string,
  problem: string,
  details: Readonly<Record<string, unknown>> = {},
): AgentsFailure {
  return new AgentsFailure(422, 'invalid_field', `${field} ${problem}`, { field, ...details });
}

export function conflict(
  code: string,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): AgentsFailure {
  return new AgentsFailure(409, code, message, details);
}

function ourCode(status: number): ErrorCode {
  if (status === 409) return 'E_INVALID_STATE_TRANSITION';
  if (status === 401 || status === 403 || status === 413) return 'E_UNSAFE_OPERATION';
  return status < 500 ? 'E_INVALID_INPUT_SCHEMA' : 'E_ADAPTER_FAIL';
}

const BY_STATUS: Readonly<Record<number, string>> = {
  400: 'malformed',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  409: 'conflict',
  413: 'too_large',
  415: 'unsupported_media_type',
  422: 'invalid_field',
  429: 'rate_limited',
  431: 'headers_too_large',
  503: 'unavailable',
  507: 'storage_full',
};

/** What fits no schema, in a body or a query, is 422; what is no JSON at all is 400. */
export function agentsFailure(error: ReeveError): { readonly status: number; readonly body: unknown } {
  const status =
    error instanceof HttpFailure
      ? error.status
      : error.details?.['problems'] === undefined
        ? ERRORS[error.code].status
        : 422;
  const { message, details } = error;
  const code = error instanceof AgentsFailure ? error.wireCode : (BY_STATUS[status] ?? 'internal_error');
  const isOurs = status < 500 && details !== undefined;
  return { status, body: { error: { code, message, ...(isOurs ? { details } : {}) } } };
}
