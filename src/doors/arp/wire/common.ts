/** Data types that all ARP services share (contract arp §3). */
import {
  ANYTHING,
  LABELS,
  list,
  object,
  TEXT,
  TIME,
  URI,
  word,
  YES_OR_NO,
  type TypeOf,
} from '../../wire-schema.ts';

const EXTENSION_KEY = String.raw`^[A-Za-z0-9][A-Za-z0-9_.-]*\.[A-Za-z0-9_.-]+$`;

/** Keys have a dot in them; what stands below them is free. */
export const EXTENSIONS = {
  type: 'object',
  patternProperties: { [EXTENSION_KEY]: {} },
  additionalProperties: false,
} as const;
const extensions = EXTENSIONS;

/** The only keys without a dot: the coordinator writes them into what it stores (D2). */
const BARE_KEYS = [
  'constraints',
  'decomposition_rounds',
  'completion_error',
  'candidate_set_id',
  'binding_decision',
  'idempotency_key',
] as const;

/** Extensions of a Run or NodeRun on its way between services of the stack. */
export const INTERNAL_EXTENSIONS = {
  ...EXTENSIONS,
  properties: Object.fromEntries(BARE_KEYS.map((key) => [key, {}])),
} as typeof EXTENSIONS;

type Extensions = Readonly<Record<string, unknown>>;

/** What may leave the stack, and what a schema of the standard accepts. */
export function namespacedOnly(given: Extensions): Extensions {
  const bare: ReadonlySet<string> = new Set(BARE_KEYS);
  return Object.fromEntries(Object.entries(given).filter(([key]) => !bare.has(key)));
}

export const STATUS = word('ok', 'degraded', 'down');
export const METADATA = object({}, { labels: LABELS, annotations: LABELS, extensions });
export const RESOURCE_REF = object({ type: TEXT, id: TEXT }, { uri: URI, extensions });
export const ENDPOINT_LOCATOR = { ...URI } as const; // of its own, so that it has a name of its own
export const PAGINATION = object(
  {},
  {
    next_page_token: TEXT,
    page_size: { type: 'integer', minimum: 1, maximum: 1000 } as const,
    extensions,
  },
);

export const HEALTH_CHECK = object({ name: TEXT, status: STATUS }, { message: TEXT, details: ANYTHING });
export type HealthCheck = TypeOf<typeof HEALTH_CHECK>;
export const HEALTH = object({ status: STATUS, time: TIME }, { checks: list(HEALTH_CHECK), extensions });
export const VERSION_INFO = object(
  {
    service_name: TEXT,
    service_version: TEXT,
    supported_api_versions: { type: 'array', items: TEXT, minItems: 1 } as const,
  },
  { build: object({}, { commit: TEXT, built_at: TIME, dirty: YES_OR_NO }), extensions },
);

export const ERROR_CAUSE = object({ message: TEXT }, { code: TEXT, details: ANYTHING, extensions });
export const ERROR_DETAIL = object(
  { code: TEXT, message: TEXT },
  { details: ANYTHING, retryable: YES_OR_NO, cause: ERROR_CAUSE, extensions },
);
export const ERROR_ENVELOPE = object({ error: ERROR_DETAIL }, { extensions });
export type ErrorEnvelope = TypeOf<typeof ERROR_ENVELOPE>;
