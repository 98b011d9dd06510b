/** A trust file says whose keys they are (docs/jobpack.md, "Signatures"). */
import { ReeveError } from '../model/errors.ts';
import { AmbiguousJson, parseStrict } from '../model/strict-json.ts';
import { publicKeyFrom, type PublicKey } from './keys.ts';

export interface TrustedKey {
  readonly name: string;
  readonly publicKey: PublicKey;
}

/**
 * The keys of a trust file, in its order. A person may have several keys; a key has one person.
 * @param from names the file in errors. @throws ReeveError E_INVALID_INPUT_SCHEMA {trust, field}
 */
export function trustFrom(text: string, from: string): readonly TrustedKey[] {
  const refuse = (field: string, problem: string): never => {
    const where = field === '' ? from : `${from}, ${field}:`;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${where} ${problem}`, { trust: from, field, problem });
  };
  let document: unknown;
  try {
    document = parseStrict(text);
  } catch (error) {
    return refuse('', error instanceof AmbiguousJson ? error.message : 'is no JSON');
  }
  if (!isRecord(document)) return refuse('', 'is no object');
  const { schema_id: schemaId, schema_version: version, keys, ...other } = document;
  if (schemaId !== 'reeve.trust') return refuse('/schema_id', 'must be reeve.trust');
  if (version !== 'v1') return refuse('/schema_version', 'must be v1');
  for (const field of Object.keys(other)) return refuse(`/${field}`, 'is no known field');
  if (!Array.isArray(keys) || keys.length === 0) return refuse('/keys', 'must be a list of keys');
  const seen = new Set<string>();
  return (keys as readonly unknown[]).map((entry, at): TrustedKey => {
    const field = `/keys/${at}`;
    if (!isRecord(entry)) return refuse(field, 'must be an object');
    const { name, public_key: pem, ...more } = entry;
    for (const key of Object.keys(more)) return refuse(`${field}/${key}`, 'is no known field');
    if (typeof name !== 'string' || name === '' || name.trim() !== name)
      return refuse(`${field}/name`, 'must be a name, without white space around it');
    if (typeof pem !== 'string') return refuse(`${field}/public_key`, 'must be a public key in PEM');
    const publicKey = publicKeyFrom(pem, `${from}, ${field}/public_key:`);
    if (seen.has(publicKey.keyId)) return refuse(`${field}/public_key`, 'is the key of another entry, too');
    seen.add(publicKey.keyId);
    return { name, publicKey };
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
