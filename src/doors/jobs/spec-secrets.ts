/**
 * Secrets in a job spec. A spec is stored as it is, since it is what runs and what a pack proves: a secret in it could
 * not be taken out again. So it is refused before anything is stored (I9).
 */
import { ReeveError } from '../../model/errors.ts';
import { SecretRedactor } from '../../policy/redaction/secret-redactor.ts';
import type { SecretType } from '../../policy/redaction/secrets.ts';
import type { Surroundings } from './fingerprint.ts';
import type { JobSpec } from './schema.ts';

interface FoundSecret {
  readonly field: string;
  readonly type: SecretType;
}

/** @throws ReeveError E_UNSAFE_OPERATION {field, type}: the first text in the spec that holds a secret. */
export function refuseSecrets(spec: JobSpec, { env }: Surroundings): void {
  const found = first(secretsIn(spec, ''));
  if (found !== undefined) {
    throw new ReeveError(
      'E_UNSAFE_OPERATION',
      `${found.field} of the spec holds what looks like a secret (${found.type}); pass it in the environment, or submit with --allow-secrets`,
      { ...found, flag: '--allow-secrets' },
    );
  }
  for (const rule of spec.environment_fingerprint?.rules ?? []) {
    const name = /^\s*env:(.*?)\s*$/.exec(rule)?.[1];
    const type = name === undefined ? undefined : secretType(`${name}=${env[name] ?? ''}`);
    if (type === undefined) continue;
    throw new ReeveError(
      'E_UNSAFE_OPERATION',
      `the rule env:${name} would record what looks like a secret (${type}); use env_sha256:${name}`,
      { field: '/environment_fingerprint/rules', value: rule, type },
    );
  }
}

function* secretsIn(value: unknown, field: string, name = ''): Generator<FoundSecret> {
  if (typeof value === 'string') {
    const type = secretType(value) ?? secretType(`${JSON.stringify(name)}: ${JSON.stringify(value)}`);
    if (type !== undefined) yield { field, type };
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      yield* secretsIn(item, `${field}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, key);
    }
  }
}

function secretType(text: string): SecretType | undefined {
  const redactor = new SecretRedactor();
  redactor.push(Buffer.from(text));
  redactor.end();
  return first(Object.keys(redactor.counts)) as SecretType | undefined;
}

function first<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}
