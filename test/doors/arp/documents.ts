/** Documents for a schema: most of them fit it, some are wrong in one place. */
import fc from 'fast-check';

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: object;
  readonly additionalProperties?: boolean | Schema;
}

const KEY = fc.constantFrom('a.b', 'org.x-y.z', 'jarvis.a_b', '9.9');
const ODD_KEY = fc.constantFrom(
  'plain',
  '.a',
  'a.',
  '-a.b',
  'a b.c',
  '',
  'constraints',
  '__proto__',
  'constructor',
);
const JSON_VALUE = fc.jsonValue({ maxDepth: 2 });
const TIMES = ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.123456+02:00', '0001-01-01T00:00:00z'];
const URIS = [
  'http://127.0.0.1:43120',
  'https://a.b/c?d=e#f',
  'unix:///run/x.sock',
  'urn:x:y',
  'http://[::1]:80/',
];

export function fitting(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'string':
      if (schema.format === 'date-time') return fc.constantFrom(...TIMES);
      return schema.format === 'uri' ? fc.constantFrom(...URIS) : fc.string({ maxLength: 8 });
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -9, max: schema.maximum ?? 9 });
    case 'number':
      return fc.double({ min: schema.minimum ?? -9, max: schema.maximum ?? 9, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(fitting(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 3 });
    case 'object':
      return object(schema);
    default:
      return JSON_VALUE;
  }
}

function object({ properties = {}, required = [], patternProperties, additionalProperties }: Schema) {
  const named = fc.record(
    Object.fromEntries(Object.entries(properties).map(([key, schema]) => [key, fitting(schema)] as const)),
    { requiredKeys: [...required] },
  );
  if (patternProperties !== undefined) return fc.dictionary(KEY, JSON_VALUE, { maxKeys: 2 });
  if (additionalProperties === false) return named;
  const free = typeof additionalProperties === 'object' ? fitting(additionalProperties) : JSON_VALUE;
  return fc.dictionary(fc.string({ maxLength: 4 }), free, { maxKeys: 3 });
}

const ODD = fc.oneof(
  fc.constantFrom<unknown>(null, '', ' ', -1, 0, 0.5, 1e9, true, [], {}, [null], 'queued', 'x'),
  fc.constantFrom<unknown>(
    '2026-13-02T03:04:05Z',
    '2026-01-02',
    'not a uri',
    '/relative',
    'a:b c',
    'http://%zz',
  ),
);

/** One place in it replaced, removed or added to. */
export function spoiled(document: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(document, []);
  return fc
    .tuple(fc.constantFrom(...places), fc.constantFrom('replace', 'remove', 'add'), ODD_KEY, ODD)
    .map(([place, how, key, odd]) => changed(document, place, { how, key, odd }));
}

type Place = readonly (string | number)[];

function placesOf(value: unknown, at: Place): Place[] {
  const below =
    typeof value !== 'object' || value === null
      ? []
      : Object.entries(value).flatMap(([key, item]) =>
          placesOf(item, [...at, Array.isArray(value) ? Number(key) : key]),
        );
  return [at, ...below];
}

function changed(
  document: unknown,
  [first, ...rest]: Place,
  change: { how: string; key: string; odd: unknown },
): unknown {
  if (first === undefined) {
    if (change.how !== 'add' || typeof document !== 'object' || document === null) return change.odd;
    return Array.isArray(document)
      ? [...document, change.odd]
      : JSON.parse(
          `${JSON.stringify(document).replace(/\}$/, Object.keys(document).length === 0 ? '' : ',')}${JSON.stringify(change.key)}:${JSON.stringify(change.odd)}}`,
        );
  }
  if (Array.isArray(document))
    return document.map((item, at) => (at === first ? changed(item, rest, change) : item));
  const entries = Object.entries(document as object);
  if (rest.length === 0 && change.how === 'remove')
    return Object.fromEntries(entries.filter(([key]) => key !== first));
  return Object.fromEntries(
    entries.map(([key, item]) => [key, key === first ? changed(item, rest, change) : item]),
  );
}
