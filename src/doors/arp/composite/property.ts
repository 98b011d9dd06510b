/** What one property of a schema accepts, as far as that helps to find a value for it. Pure. */
import type { Fields } from './assignment.ts';
import { isFields } from './plan.ts';

export interface Property {
  readonly types: ReadonlySet<string>;
  readonly nullable: boolean;
  readonly enum: readonly unknown[];
  /** At most one: `const`, or else `default`. */
  readonly stated: readonly unknown[];
  readonly isUrl: boolean;
  readonly properties: Fields | undefined;
}

const REF_DEPTH_MAX = 8;

/** @param root the schema in which local references are looked up. */
export function propertyOf(name: string, schema: unknown, root: Fields): Property {
  const parts = alternatives(schema, root, 0);
  const types = new Set(parts.flatMap(typesOf));
  const nullable = types.delete('null');
  const main = parts.filter((part) => !typesOf(part).every((type) => type === 'null'));
  const [stated] = main.flatMap((part) =>
    'const' in part ? [part['const']] : 'default' in part ? [part['default']] : [],
  );
  return {
    types,
    nullable,
    enum: main.flatMap((part) => (Array.isArray(part['enum']) ? (part['enum'] as unknown[]) : [])),
    stated: stated === undefined || stated === null ? [] : [stated],
    isUrl: /(?:^|_|-)ur[il]s?$/i.test(name) || main.some((part) => /^ur[il]$/.test(String(part['format']))),
    properties: main.map((part) => part['properties']).find(isFields),
  };
}

/** A schema with its references followed and `anyOf`, `oneOf` opened: what it says of itself goes with each of them. */
function alternatives(schema: unknown, root: Fields, depth: number): readonly Fields[] {
  if (!isFields(schema) || depth > REF_DEPTH_MAX) return [];
  const { $ref: ref, anyOf, oneOf, ...rest } = schema;
  if (typeof ref === 'string') return alternatives({ ...target(ref, root), ...rest }, root, depth + 1);
  const choices = [anyOf, oneOf].find((list) => Array.isArray(list)) as readonly unknown[] | undefined;
  if (choices === undefined) return [schema];
  return choices.flatMap((choice) =>
    alternatives(isFields(choice) ? { ...rest, ...choice } : rest, root, depth + 1),
  );
}

function target(ref: string, root: Fields): Fields {
  const [start, ...path] = ref.split('/');
  if (start !== '#') return {};
  const found = path
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((at, part) => (isFields(at) && Object.hasOwn(at, part) ? at[part] : undefined), root);
  return isFields(found) ? found : {};
}

function typesOf(schema: Fields): readonly string[] {
  const { type } = schema;
  if (typeof type === 'string') return [type];
  if (Array.isArray(type)) return type.map(String);
  const values = 'const' in schema ? [schema['const']] : schema['enum'];
  return Array.isArray(values) ? values.map(typeName) : [];
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}
