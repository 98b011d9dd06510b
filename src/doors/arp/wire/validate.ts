/**
 * Checks documents against the wire schemas. One Ajv for all of ARP; it is imported and a schema compiled when first
 * needed (start-up time).
 */
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { trimmedTime } from '../../../evidence/time.ts';
import { validationFailed, type FieldError } from './errors.ts';

/** A document may be wrong in a thousand places; the answer stays readable. */
const ERRORS_MAX = 50;

/** RFC 3986: a scheme, then only characters that may stand in a URI. */
const URI = /^[a-z][a-z0-9+.-]*:(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[0-9a-f]{2})*$/i;

let ajv: Promise<Ajv2020> | undefined;
const compiled = new WeakMap<object, ValidateFunction>();

async function newAjv(): Promise<Ajv2020> {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  const instance = new Ajv2020({ allErrors: true, allowUnionTypes: true });
  instance.addFormat('date-time', { type: 'string', validate: (text) => trimmedTime(text) !== undefined });
  instance.addFormat('uri', URI);
  return instance;
}

async function validatorOf(schema: object): Promise<ValidateFunction> {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    ajv ??= newAjv();
    validator = (await ajv).compile(schema);
    compiled.set(schema, validator);
  }
  return validator;
}

/** @returns none when the value fits; at most 50. */
export async function fieldErrors(
  schema: object,
  value: unknown,
  at: readonly string[] = ['body'],
): Promise<readonly FieldError[]> {
  return fieldErrorsOf(await validatorOf(schema), value, at);
}

/** The same with a schema that was compiled elsewhere, for all errors. */
export function fieldErrorsOf(
  validator: ValidateFunction,
  value: unknown,
  at: readonly string[],
): readonly FieldError[] {
  if (validator(value)) return [];
  return (validator.errors ?? []).slice(0, ERRORS_MAX).map((error) => fieldError(error, at));
}

/** @throws ArpError 400 `invalid_request`, or `status` where a service says it otherwise. */
export async function requireFit(schema: object, value: unknown, status = 400): Promise<void> {
  const errors = await fieldErrors(schema, value);
  if (errors.length > 0) throw validationFailed(errors, status);
}

/**
 * What a service answered, which may be another's: those write null for whatever is unset (D3), and that counts as absent.
 * What fits as it is costs nothing more.
 */
export async function answerAs(
  schema: object,
  value: unknown,
): Promise<{ readonly value: unknown; readonly wrong: FieldError | undefined }> {
  if ((await fieldErrors(schema, value, [])).length === 0) return { value, wrong: undefined };
  const whole = withoutNulls(schema, value);
  const [wrong] = await fieldErrors(schema, whole, []);
  return { value: whole, wrong };
}

interface Described {
  readonly properties?: Readonly<Record<string, object>>;
  readonly required?: readonly string[];
  readonly items?: object;
}

/** Without optional fields that are null, as deep as the schema names fields. What may hold anything stays as it is. */
export function withoutNulls(schema: object, value: unknown): unknown {
  const { properties, required = [], items }: Described = schema;
  if (Array.isArray(value))
    return items === undefined ? value : value.map((item) => withoutNulls(items, item));
  if (properties === undefined || typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).flatMap(([name, field]): [string, unknown][] => {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known === undefined) return [[name, field]];
    return field === null && !required.includes(name) ? [] : [[name, withoutNulls(known, field)]];
  });
  return Object.fromEntries(fields);
}

function fieldError({ keyword, instancePath, params, message = '' }: ErrorObject, at: readonly string[]) {
  const loc = [...at, ...locationOf(instancePath)];
  switch (keyword) {
    case 'additionalProperties':
      return {
        type: 'extra_forbidden',
        loc: [...loc, String(params['additionalProperty'])],
        msg: 'is no field of this object, or no extension key with a dot in it',
      };
    case 'required':
      return { type: 'missing', loc: [...loc, String(params['missingProperty'])], msg: 'is missing' };
    case 'enum':
      return { type: 'enum', loc, msg: `must be one of ${(params['allowedValues'] as string[]).join(', ')}` };
    case 'type':
      return { type: `${String(params['type'])}_type`, loc, msg: message };
    default:
      return { type: keyword, loc, msg: message };
  }
}

/** The parts of a JSON pointer; places in arrays as numbers. */
function locationOf(pointer: string): readonly (string | number)[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^(0|[1-9]\d*)$/.test(part) ? Number(part) : part));
}
