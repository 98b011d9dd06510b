/** Checks arguments against the schema that a node type states for its inputs. */
import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import type { Ajv2020 } from 'ajv/dist/2020.js';
import { canonicalJson } from '../../../model/canonical.ts';
import type { NodeType } from '../wire/core.ts';
import { failure } from './failures.ts';

export interface Misfit {
  /** JSON pointer. */
  readonly field: string;
  readonly problem: string;
}

export interface InputSchema {
  readonly schema: Readonly<Record<string, unknown>>;
  /** @returns none when the inputs fit */
  misfits(inputs: unknown): readonly Misfit[];
}

/** Compiling costs milliseconds, and a plan meets the same few types again and again. */
const COMPILED_MAX = 200;
const compiled = new Map<string, ValidateFunction>();

const OPTIONS = { allErrors: true, strict: false, logger: false, validateFormats: false } as const;
const INSTANCES = {
  draft7: async (): Promise<Ajv> => new (await import('ajv')).Ajv(OPTIONS),
  draft2020: async (): Promise<Ajv2020> => new (await import('ajv/dist/2020.js')).Ajv2020(OPTIONS),
} as const;
const shared: { -readonly [K in keyof typeof INSTANCES]?: Promise<Ajv | Ajv2020> } = {};

/** @throws ArpError `arggen_schema_missing`, `arggen_schema_invalid` */
export async function inputSchemaOf({
  node_type_id: id,
  version,
  input_schema: schema,
}: NodeType): Promise<InputSchema> {
  const details = { node_type_id: id, version };
  if (schema === undefined)
    throw failure('arggen_schema_missing', `node type ${id} ${version} states no input_schema`, details);
  const invalid = (problem: string): Error =>
    failure('arggen_schema_invalid', `the input_schema of ${id} ${version} is none: ${problem}`, details);
  const { type } = schema;
  if (type !== undefined && type !== 'object' && !(Array.isArray(type) && type.includes('object')))
    throw invalid('it does not describe an object');
  let fits: ValidateFunction;
  try {
    fits = await validatorOf(schema);
  } catch (error) {
    throw invalid((error as Error).message.slice(0, 300));
  }
  return {
    schema,
    misfits: (inputs) => (fits(inputs) ? [] : (fits.errors ?? []).map(misfitOf)),
  };
}

async function validatorOf(schema: Readonly<Record<string, unknown>>): Promise<ValidateFunction> {
  const key = canonicalJson(schema);
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const { $schema: dialect, $id: _, ...rest } = schema;
  const kind = typeof dialect === 'string' && /draft-0[3-7]/.test(dialect) ? 'draft7' : 'draft2020';
  // What has an id within would be taken for another's with the same id, so it gets an instance of its own.
  const ajv = await (key.includes('"$id":') ? INSTANCES[kind]() : (shared[kind] ??= INSTANCES[kind]()));
  const validator = ajv.compile(rest);
  ajv.removeSchema(rest); // it would keep every schema it ever saw
  for (const oldest of compiled.keys()) {
    if (compiled.size < COMPILED_MAX) break;
    compiled.delete(oldest);
  }
  compiled.set(key, validator);
  return validator;
}

function misfitOf({ instancePath, keyword, params, message = 'does not fit' }: ErrorObject): Misfit {
  if (keyword === 'required')
    return { field: `${instancePath}/${String(params['missingProperty'])}`, problem: 'is missing' };
  if (keyword === 'additionalProperties')
    return { field: `${instancePath}/${String(params['additionalProperty'])}`, problem: 'is no input of it' };
  if (keyword === 'enum')
    return {
      field: instancePath,
      problem: `must be one of ${JSON.stringify(params['allowedValues']).slice(0, 300)}`,
    };
  return { field: instancePath, problem: message };
}
