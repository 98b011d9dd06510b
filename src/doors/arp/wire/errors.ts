/**
 * How ARP says that something failed. Its codes are an open set, executors bring their own: so they are texts, and only
 * here do they meet the codes of our own error table.
 */
import { HttpFailure } from '../../http.ts';
import { ERRORS, type ErrorCode, type ReeveError } from '../../../model/errors.ts';
import type { ErrorEnvelope } from './common.ts';

export interface ArpErrorOptions {
  readonly details?: Readonly<Record<string, unknown>>;
  /** Whether the same call can work later. */
  readonly retryable?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  /** The failure behind this one, as far as a client may know it. */
  readonly behind?: { readonly code?: string; readonly message: string };
}

/** A failure with a code of ARP. */
export class ArpError extends HttpFailure {
  readonly wireCode: string;
  readonly retryable: boolean | undefined;
  readonly behind: ArpErrorOptions['behind'];

  constructor(status: number, wireCode: string, message: string, options: ArpErrorOptions = {}) {
    super(status, ourCode(status), message, options.details, options.headers);
    this.wireCode = wireCode;
    this.retryable = options.retryable;
    this.behind = options.behind;
  }
}

export interface FieldError {
  readonly type: string;
  readonly loc: readonly (string | number)[];
  readonly msg: string;
}

export function validationFailed(errors: readonly FieldError[], status = 400): ArpError {
  return new ArpError(status, 'invalid_request', 'Request validation failed', { details: { errors } });
}

/** What our table calls a failure with this status, when a command has to report it. */
function ourCode(status: number): ErrorCode {
  if (status === 507) return 'E_STORE_FULL';
  if (status === 409) return 'E_INVALID_STATE_TRANSITION';
  if (status === 401 || status === 403 || status === 413) return 'E_UNSAFE_OPERATION';
  return status < 500 ? 'E_INVALID_INPUT_SCHEMA' : 'E_ADAPTER_FAIL';
}

/** Codes for failures that the server, and not a service, finds. */
const BY_STATUS: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  431: 'headers_too_large',
};
const BY_CODE: Partial<Readonly<Record<ErrorCode, string>>> = {
  E_STORE_BUSY: 'store_busy',
  E_STORE_FULL: 'store_full',
  E_STORE_UNAVAILABLE: 'store_unavailable',
  E_STORE_CORRUPT: 'store_corrupt',
  E_SERVER_STOPPING: 'unavailable',
};

/** @param misfitStatus of a request that does not fit: 400, or 422 for the internal stores (contract arp §2). */
export function wireFailure(
  error: ReeveError,
  misfitStatus: number,
): { readonly status: number; readonly body: ErrorEnvelope } {
  if (error instanceof ArpError) {
    const { status, wireCode: code, message, details, retryable, behind: cause } = error;
    return {
      status,
      body: {
        error: {
          code,
          message,
          ...(details === undefined ? {} : { details }),
          ...(retryable === undefined ? {} : { retryable }),
          ...(cause === undefined ? {} : { cause }),
        },
      },
    };
  }
  const status = error instanceof HttpFailure ? error.status : ERRORS[error.code].status;
  const known = BY_STATUS[status];
  if (known === undefined && error.code === 'E_INVALID_INPUT_SCHEMA') {
    return wireFailure(validationFailed(errorsIn(error), misfitStatus), misfitStatus);
  }
  const { message, details } = error;
  return {
    status,
    body: {
      error: {
        code: known ?? BY_CODE[error.code] ?? 'internal_error',
        message,
        ...(known !== undefined && details !== undefined ? { details } : {}),
        retryable: ERRORS[error.code].retry,
      },
    },
  };
}

/** What the server itself found wrong with a request, above all with its query. */
function errorsIn({ message, details }: ReeveError): readonly FieldError[] {
  const problems = details?.['problems'];
  if (!Array.isArray(problems)) {
    const field = details?.['field'];
    return [{ type: 'invalid', loc: [typeof field === 'string' ? field : 'request'], msg: message }];
  }
  return problems.map((entry: unknown) => {
    const { field, problem } = entry as { readonly field: string; readonly problem: string };
    return { type: 'invalid', loc: ['query', ...field.split('/').slice(1)], msg: problem };
  });
}
