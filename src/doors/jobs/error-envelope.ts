import type { ReeveError } from '../../model/errors.ts';
import { formatTime } from './time.ts';

/** The error envelope; its code and exit_code are always the real ones (W44). */
export function errorEnvelope(error: ReeveError, nowMs: number, version: string): Record<string, unknown> {
  return {
    schema_id: 'wrkr.error_envelope',
    schema_version: 'v1',
    created_at: formatTime(nowMs),
    producer_version: version,
    code: error.code,
    message: error.message === '' ? error.code : error.message,
    exit_code: error.exitCode,
    details: { ...error.details, hint: error.hint },
  };
}
