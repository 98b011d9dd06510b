/** Settings of a tenant (contract agents §6, §8). */
import { COUNT, object, TEXT, YES_OR_NO, type TypeOf } from '../../wire-schema.ts';

/** `max_bytes`: of all files of the tenant. `keep_failed_days`: at least, for runs that did not succeed. */
export const RETENTION = object(
  {},
  {
    artifact_days: { type: 'integer', minimum: 0, maximum: 36_500 } as const,
    log_days: { type: 'integer', minimum: 0, maximum: 36_500 } as const,
    max_bytes: COUNT,
    keep_failed_days: { type: 'integer', minimum: 0, maximum: 36_500 } as const,
    legal_hold: YES_OR_NO,
  },
);
export type Retention = TypeOf<typeof RETENTION>;
export const RETENTION_DEFAULTS = { artifact_days: 30, log_days: 90, legal_hold: false } as const;

const REDACTION = object(
  {},
  {
    /** Further secrets: RE2 patterns, and the type that stands in place of a match. */
    patterns: { type: 'array', items: object({ type: TEXT, pattern: TEXT }, {}), maxItems: 100 } as const,
    /** Exact values that are no secrets. */
    exceptions: {
      type: 'array',
      items: { type: 'string', minLength: 1, maxLength: 4096 },
      maxItems: 1000,
    } as const,
  },
);
export const TENANT_SETTINGS = object({}, { redaction: REDACTION, retention: RETENTION });
export interface TenantSettings {
  readonly redaction?: {
    readonly patterns?: readonly { readonly type: string; readonly pattern: string }[];
    readonly exceptions?: readonly string[];
  };
  readonly retention?: Retention;
}
