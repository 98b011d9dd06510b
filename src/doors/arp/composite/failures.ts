/** How an assignment fails (contract arp §7.1). What selection, registry or coordinator say passes through as it is. */
import { ArpError } from '../wire/errors.ts';
import type { NodeRunCompleteRequest } from '../wire/requests.ts';

type Details = Readonly<Record<string, unknown>>;

/** A code of the composite executor itself. It is reported for the NodeRun, never answered, so it has no status of its own. */
export function failure(code: string, message: string, details?: Details): ArpError {
  return new ArpError(422, code, message, {
    retryable: false,
    ...(details === undefined ? {} : { details }),
  });
}

/** What the coordinator is told. Of a defect it learns that there was one, and no internals. */
export function reportedError(error: unknown): NonNullable<NodeRunCompleteRequest['error']> {
  if (!(error instanceof ArpError))
    return { code: 'composite_error', message: 'the composite executor failed' };
  const { wireCode: code, message, details, retryable, behind: cause } = error;
  return {
    code,
    message,
    ...(details === undefined ? {} : { details }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(cause === undefined ? {} : { cause }),
  };
}
