/** What the calls of the control plane have in common (contract agents §2): forms of ids, lists, times, how it fails. */
import { ANYTHING, object, TEXT } from '../../wire-schema.ts';
import { ACTION_PATTERN, NAME_PATTERN, SKILL_NAME_PATTERN } from '../ids.ts';

export const NAME = { type: 'string', pattern: NAME_PATTERN } as const;
export const ACTION = { type: 'string', pattern: ACTION_PATTERN } as const;
export const UUID = {
  type: 'string',
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
} as const;
export const SEMVER = {
  type: 'string',
  pattern:
    '^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)(-[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*)?(\\+[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*)?$',
  maxLength: 128,
} as const;
export const SKILL_NAME = { type: 'string', pattern: SKILL_NAME_PATTERN } as const;
/** Of a skill's package, or of a command. */
export const DIGEST = { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' } as const;
export const SHA256 = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const;
/** Name of a secret that the agent finds out, never the secret. */
export const SECRET_NAME = { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' } as const;
export const SHORT_TEXT = { type: 'string', maxLength: 256 } as const;
/** For people: why, what happened. */
export const REASON = { type: 'string', maxLength: 4096 } as const;
/** Path of a file of a run, relative, with forward slashes; who takes it checks it. */
export const FILE_PATH = { type: 'string', minLength: 1, maxLength: 1024 } as const;
const LABELS_MAX = 64;
export const LABELS = {
  type: 'object',
  maxProperties: LABELS_MAX,
  propertyNames: { type: 'string', minLength: 1, maxLength: 128 },
  additionalProperties: { type: 'string', maxLength: 256 },
} as const;

export const ERROR_ENVELOPE = object(
  { error: object({ code: TEXT, message: TEXT }, { details: ANYTHING }) },
  {},
);

export const LIMIT_DEFAULT = 50;
export const LIMIT_MAX = 500;
/** Query parameters of every list. */
export const PAGE_QUERY = {
  limit: {
    description: `How many, 1..${LIMIT_MAX} (default ${LIMIT_DEFAULT})`,
    schema: { type: 'integer', minimum: 1, maximum: LIMIT_MAX },
  },
  cursor: { description: 'Go on behind the page that gave this', schema: { type: 'string', maxLength: 256 } },
} as const;

export interface PageQuery {
  /** 1..500. */
  readonly limit: number;
  readonly cursor?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page begins; absent on the last one. */
  readonly nextCursor?: string;
}
