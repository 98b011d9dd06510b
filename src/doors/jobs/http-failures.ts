/** How the jobs door fails over HTTP (contract wrkr §i): which status, and the error envelope. */
import type { Failures } from '../http.ts';
import { HttpFailure } from '../http.ts';
import { ERRORS, type ReeveError } from '../../model/errors.ts';
import { errorEnvelope } from './error-envelope.ts';
import { ERROR_ENVELOPE_SCHEMA } from './response-schemas.ts';

export interface JobFailuresOptions {
  readonly version: string;
  /** The statuses of the error table instead of wrkr's, in which nearly everything is 400. */
  readonly strict: boolean;
  nowMs(): number;
}

export function jobFailures({ version, strict, nowMs }: JobFailuresOptions): Failures {
  return {
    schema: ERROR_ENVELOPE_SCHEMA,
    answer: (error, method) => ({
      status: strict ? strictStatus(error) : wrkrStatus(error, method),
      body: errorEnvelope(error, nowMs(), version),
    }),
  };
}

function strictStatus(error: ReeveError): number {
  return error instanceof HttpFailure ? error.status : ERRORS[error.code].status;
}

/** A body over the limit is 400 there, store errors are 500 when reading, and so is a defect of ours anywhere. */
function wrkrStatus(error: ReeveError, method: string): number {
  if (error instanceof HttpFailure) return error.status === 413 ? 400 : error.status;
  if (error.code === 'E_GENERIC_FAILURE') return 500;
  return method === 'GET' && error.code.startsWith('E_STORE_') ? 500 : 400;
}
