/**
 * What the wire schemas of doors are made of. Each is a JSON Schema and, through `TypeOf`, the TypeScript type of what fits
 * it: a data type is stated once.
 */
type Fields = Readonly<Record<string, object>>;

/** Carries the two groups of fields to `TypeOf`; there is no such property at run time. */
declare const FIELDS: unique symbol;

export interface ObjectSchema<R extends Fields, O extends Fields> {
  readonly type: 'object';
  readonly additionalProperties: false;
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, object>>;
  readonly [FIELDS]?: { readonly required: R; readonly optional: O };
}

/** A closed object: other fields are refused (D7). */
export function object<const R extends Fields, const O extends Fields>(
  required: R,
  optional: O,
): ObjectSchema<R, O> {
  return {
    type: 'object',
    additionalProperties: false,
    ...(Object.keys(required).length === 0 ? {} : { required: Object.keys(required) }),
    properties: { ...required, ...optional },
  };
}

export function list<const I extends object>(items: I): { readonly type: 'array'; readonly items: I } {
  return { type: 'array', items };
}

export function word<const W extends string>(
  ...words: readonly W[]
): { readonly type: 'string'; readonly enum: readonly W[] } {
  return { type: 'string', enum: words };
}

export const TEXT = { type: 'string' } as const;
export const TIME = { type: 'string', format: 'date-time' } as const;
export const URI = { type: 'string', format: 'uri' } as const;
export const COUNT = { type: 'integer', minimum: 0 } as const;
export const YES_OR_NO = { type: 'boolean' } as const;
/** An object with whatever in it; also nulls. */
export const ANYTHING = { type: 'object', additionalProperties: true } as const;
export const LABELS = { type: 'object', additionalProperties: TEXT } as const;

type Flat<T> = { readonly [K in keyof T]: T[K] };

/** What fits a schema. Absent fields are absent: no field is ever null (D3). */
export type TypeOf<S> =
  S extends ObjectSchema<infer R, infer O>
    ? Flat<{ [K in keyof R]: TypeOf<R[K]> } & { [K in keyof O]?: TypeOf<O[K]> }>
    : S extends { readonly enum: readonly (infer W)[] }
      ? W
      : S extends { readonly type: 'array'; readonly items: infer I }
        ? readonly TypeOf<I>[]
        : S extends { readonly type: 'string' }
          ? string
          : S extends { readonly type: 'integer' | 'number' }
            ? number
            : S extends { readonly type: 'boolean' }
              ? boolean
              : S extends { readonly additionalProperties: { readonly type: 'string' } }
                ? Readonly<Record<string, string>>
                : Readonly<Record<string, unknown>>;
