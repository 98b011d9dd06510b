/** What the schemas of wrkr's documents are made of. */
import type { Schema } from './shape.ts';

export const TEXT = { type: 'string', minLength: 1 } as const;
export const TIME = { type: 'string', format: 'date-time' } as const;
export const NATURAL = { type: 'integer', minimum: 0 } as const;
export const TEXTS = { type: 'array', items: TEXT } as const;
export const STRINGS = { type: 'array', items: { type: 'string' } } as const;
export const SCHEMA_VERSION_PATTERN = String.raw`^v1(\.[0-9]+)?$`;

export interface ClosedSchema<S> {
  readonly type: 'object';
  readonly additionalProperties: false;
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, S>>;
}

/** An object without other fields, in which all properties but the optional ones must be there. */
export function closed<S extends object = Schema>(
  required: Readonly<Record<string, NoInfer<S>>>,
  optional: Readonly<Record<string, NoInfer<S>>> = {},
): ClosedSchema<S> {
  return {
    type: 'object',
    additionalProperties: false,
    ...(Object.keys(required).length === 0 ? {} : { required: Object.keys(required) }),
    properties: { ...required, ...optional },
  };
}

/** A document of wrkr: closed, and it says what it is. */
export function document<S extends object = Schema>(
  schemaId: string,
  required: Readonly<Record<string, NoInfer<S>>>,
  optional: Readonly<Record<string, NoInfer<S>>> = {},
): ClosedSchema<S | Schema> {
  return closed<S | Schema>(
    {
      schema_id: { const: schemaId },
      schema_version: { type: 'string', pattern: SCHEMA_VERSION_PATTERN },
      created_at: TIME,
      producer_version: TEXT,
      ...required,
    },
    optional,
  );
}
