/**
 * Holds inputs to the input schemas of node types. Those of plugins and MCP servers are written for any dialect, with
 * keywords of their own: what is unknown is passed over, and nothing is ever fetched for a `$ref`.
 */
import type { Ajv as Draft07 } from 'ajv';
import type { Ajv2020, ValidateFunction } from 'ajv/dist/2020.js';
import type { FieldError } from '../wire/errors.ts';
import { fieldErrorsOf } from '../wire/validate.ts';
import type { AtomicNode } from './node.ts';

type Inputs = Readonly<Record<string, unknown>>;

/** Formats are remarks here, as the standard has them. */
const OPTIONS = { allErrors: true, strict: false, validateFormats: false, logger: false } as const;

const compiled = new WeakMap<AtomicNode, Promise<ValidateFunction>>();
let current: Promise<Ajv2020> | undefined;
let older: Promise<Draft07> | undefined;

/** @returns the inputs as the handler gets them, and what is wrong with them. */
export async function checkInputs(
  node: AtomicNode,
  inputs: Inputs,
): Promise<{ readonly inputs: Inputs; readonly errors: readonly FieldError[] }> {
  const { input_schema: schema } = node.nodeType;
  if (schema === undefined || node.takesAnything === true) return { inputs, errors: [] };
  const whole = withNulls(schema, inputs);
  return { inputs: whole, errors: fieldErrorsOf(await inputSchemaOf(node), whole, ['inputs']) };
}

/** Compiled once. @throws Error for a schema that is none */
export function inputSchemaOf(node: AtomicNode): Promise<ValidateFunction> {
  let validator = compiled.get(node);
  if (validator === undefined) {
    validator = compile(node.nodeType.input_schema ?? {});
    compiled.set(node, validator);
  }
  return validator;
}

async function compile({ $schema, $id: _id, ...schema }: Inputs): Promise<ValidateFunction> {
  if (typeof $schema === 'string' && /draft-0[4-7]\b/.test($schema)) {
    older ??= import('ajv').then(({ Ajv }) => new Ajv(OPTIONS));
    return (await older).compile(schema);
  }
  current ??= import('ajv/dist/2020.js').then(({ Ajv2020 }) => new Ajv2020(OPTIONS));
  return (await current).compile(schema);
}

/** What is left out and may be null is null: strict schemas require every property (contract arp §3). */
function withNulls(schema: Inputs, inputs: Inputs): Inputs {
  const { required, properties } = schema as {
    readonly required?: unknown;
    readonly properties?: Readonly<Record<string, { readonly type?: unknown }>>;
  };
  if (!Array.isArray(required)) return inputs;
  const absent = required.filter((name: string) => {
    const type =
      properties !== undefined && Object.hasOwn(properties, name) ? properties[name]?.type : undefined;
    return Array.isArray(type) && type.includes('null') && !Object.hasOwn(inputs, name);
  });
  return absent.length === 0
    ? inputs
    : { ...inputs, ...Object.fromEntries(absent.map((name) => [name, null])) };
}
