/**
 * The document in a model's answer, checked by us whatever the provider promised. Schemas are those of node types too, so
 * they may use words and formats that this Ajv does not know; it passes over them.
 */
import type { Ajv2020, ValidateFunction } from 'ajv/dist/2020.js';
import { LlmError } from './llm.ts';

const PROBLEMS_MAX = 3;
/** Models that were not told better write JSON as people do in chats. */
const FENCED = /^\s*```(?:json)?\s*\n([\s\S]*?)\n\s*```\s*$/;

let ajv: Promise<Ajv2020> | undefined;
const compiled = new WeakMap<object, ValidateFunction>();

async function newAjv(): Promise<Ajv2020> {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  return new Ajv2020({ strict: false, validateFormats: false, allErrors: true, logger: false });
}

/** @throws LlmError `invalid_request`: the schema is none */
async function validatorOf(schema: object): Promise<ValidateFunction> {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    ajv ??= newAjv();
    const instance = await ajv;
    const { $schema: _, $id: __, ...rest } = schema as Readonly<Record<string, unknown>>; // two may have one id
    try {
      validator = instance.compile(rest);
      instance.removeSchema(rest); // it would keep every schema it ever saw
    } catch (error) {
      throw new LlmError('invalid_request', `the schema of the answer is none: ${(error as Error).message}`);
    }
    compiled.set(schema, validator);
  }
  return validator;
}

/** @throws LlmError `parse_error`: it is no JSON, or does not fit; `invalid_request`: the schema is none */
export async function documentIn(text: string, schema: object): Promise<unknown> {
  return fitting(parsed(text), schema);
}

/** @throws LlmError as `documentIn` */
export async function fitting(value: unknown, schema: object): Promise<unknown> {
  const validator = await validatorOf(schema);
  if (validator(value)) return value;
  const problems = (validator.errors ?? [])
    .slice(0, PROBLEMS_MAX)
    .map(({ instancePath, message }) => `${instancePath || 'the document'} ${message ?? 'does not fit'}`);
  throw new LlmError('parse_error', `the answer does not fit the schema: ${problems.join('; ')}`);
}

function parsed(text: string): unknown {
  const [, inside = text] = FENCED.exec(text) ?? [];
  try {
    return JSON.parse(inside);
  } catch {
    throw new LlmError('parse_error', 'the answer is no JSON');
  }
}
