/**
 * The allow-list document and what carries it (contract agents §5), as JSON Schema 2020-12 and as types. What a schema
 * cannot say is in document.ts.
 */
import type { Json } from '../../model/json.ts';

/** Bytes of an envelope, at most. */
export const ALLOW_LIST_BYTES_MAX = 8 * 1024 * 1024;

export interface ArgumentSpec {
  readonly name: string;
  readonly type: 'string' | 'int' | 'path' | 'url' | 'host' | 'enum' | 'bool';
  readonly required?: boolean;
  readonly default?: string | number | boolean;
  /** RE2 syntax; matches the whole value. */
  readonly pattern?: string;
  readonly enum?: readonly string[];
  /** Never on argv. */
  readonly secret?: boolean;
  /** By its place on the command line, in the order of the list; others are flags. */
  readonly positional?: boolean;
  readonly description?: string;
}

/** A JSON Schema of the object of all arguments, or a list as manifests have it. */
export type ArgumentsSchema = Readonly<Record<string, Json>> | readonly ArgumentSpec[];

export interface AllowListEntry {
  readonly kind: 'skill' | 'command';
  /** Of skills, always. */
  readonly name?: string;
  readonly version?: string;
  /** `sha256:` and 64 hex digits: of the package file, of the command's text, or of the canonical JSON of its argv. */
  readonly digest: string;
  readonly args_schema?: ArgumentsSchema;
  /** Names of secrets that it may be given. */
  readonly env_refs?: readonly string[];
  readonly capabilities?: readonly string[];
  readonly expires_at?: string;
}

export interface AllowListDocument {
  readonly version: 1;
  readonly tenant: string;
  readonly serial: number;
  readonly issued_at: string;
  readonly expires_at: string;
  readonly entries: readonly AllowListEntry[];
}

export interface Signature {
  /** SHA-256 of the key's SPKI DER, 64 hex digits. */
  readonly key_id: string;
  /** Base64 of 64 bytes. */
  readonly sig: string;
}

/** A document beside its signatures, each over the RFC 8785 bytes of the document. */
export interface Signed<Document> {
  readonly document: Document;
  readonly signatures: readonly Signature[];
}

/** What a person signs so that a destructive skill may act, once, for one task. */
export interface DestructiveApproval {
  readonly task_id: string;
  /** Of the package that may act. */
  readonly digest: string;
  /** The name of the signing key. */
  readonly approver: string;
  readonly expires_at: string;
}

const TIME = { type: 'string', pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$` };
const DIGEST = { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' };
const NAME = { type: 'string', minLength: 1, maxLength: 128, pattern: String.raw`^\S(?:.*\S)?$` };
const SECRET_NAMES = {
  type: 'array',
  maxItems: 64,
  uniqueItems: true,
  items: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' },
};

export const ARGUMENT_LIST = {
  type: 'array',
  maxItems: 64,
  items: {
    type: 'object',
    required: ['name', 'type'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', pattern: '^[a-z][a-z0-9_-]{0,63}$' },
      type: { enum: ['string', 'int', 'path', 'url', 'host', 'enum', 'bool'] },
      required: { type: 'boolean' },
      default: { type: ['string', 'number', 'boolean'] },
      pattern: { type: 'string', maxLength: 500 },
      enum: { type: 'array', minItems: 1, maxItems: 100, items: { type: 'string', maxLength: 200 } },
      secret: { type: 'boolean' },
      positional: { type: 'boolean' },
      description: { type: 'string', maxLength: 1000 },
    },
  },
};

const ENTRY = {
  type: 'object',
  required: ['kind', 'digest'],
  additionalProperties: false,
  properties: {
    kind: { enum: ['skill', 'command'] },
    name: NAME,
    version: { type: 'string', pattern: String.raw`^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]{1,64})?$` },
    digest: DIGEST,
    args_schema: { anyOf: [ARGUMENT_LIST, { type: 'object' }] },
    env_refs: SECRET_NAMES,
    capabilities: {
      type: 'array',
      maxItems: 32,
      uniqueItems: true,
      items: { type: 'string', pattern: '^[a-z][a-z0-9_.-]{0,63}$' },
    },
    expires_at: TIME,
  },
  if: { type: 'object', properties: { kind: { const: 'skill' } } },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: { type: 'object', required: ['name', 'version'] },
  else: { type: 'object', properties: { args_schema: false, version: false } },
};

export const ALLOW_LIST_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['version', 'tenant', 'serial', 'issued_at', 'expires_at', 'entries'],
  additionalProperties: false,
  properties: {
    version: { const: 1 },
    tenant: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' },
    serial: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    issued_at: TIME,
    expires_at: TIME,
    entries: { type: 'array', maxItems: 10_000, items: ENTRY },
  },
};

export const APPROVAL_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['task_id', 'digest', 'approver', 'expires_at'],
  additionalProperties: false,
  properties: {
    task_id: { type: 'string', minLength: 1, maxLength: 128 },
    digest: DIGEST,
    approver: NAME,
    expires_at: TIME,
  },
};

/** @param document the schema of what is signed. */
function signed(document: object): object {
  return {
    type: 'object',
    required: ['document', 'signatures'],
    additionalProperties: false,
    properties: {
      document,
      signatures: {
        type: 'array',
        minItems: 1,
        maxItems: 16,
        items: {
          type: 'object',
          required: ['key_id', 'sig'],
          additionalProperties: false,
          properties: {
            key_id: { type: 'string', pattern: '^[0-9a-f]{64}$' },
            sig: { type: 'string', pattern: '^[A-Za-z0-9+/]{86}==$' },
          },
        },
      },
    },
  };
}

export const SIGNED_ALLOW_LIST_SCHEMA = signed(ALLOW_LIST_SCHEMA);
export const SIGNED_APPROVAL_SCHEMA = signed(APPROVAL_SCHEMA);
