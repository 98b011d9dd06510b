/** Values of secrets, which tasks only name: from the environment, a file, or Vault KV v2 (contract agents §8). */
import { readFile } from 'node:fs/promises';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import { exchange } from '../../exchange.ts';

export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By name: `env:<variable>`, `file:<path>`, `vault:<path>#<key>`. */
  readonly sources: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 1_048_576;

/** @throws Refusal args_invalid for a name without a value: nothing is executed without what it asks for */
export async function resolveSecrets(
  names: readonly string[],
  from: SecretSources,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const values = await Promise.all(
    names.map(async (name) => [name, await resolve(name, from, signal)] as const),
  );
  return Object.fromEntries(values);
}

async function resolve(name: string, { env, sources }: SecretSources, signal: AbortSignal): Promise<string> {
  const source = Object.hasOwn(sources, name) ? sources[name] : undefined;
  const file = env[`${name}_FILE`];
  const from = source ?? (file === undefined ? `env:${name}` : `file:${file}`);
  const [, kind, place = ''] = /^(env|file|vault):(.*)$/s.exec(from) ?? [];
  const value =
    kind === 'env'
      ? env[place]
      : kind === 'file'
        ? await inFile(name, place)
        : kind === 'vault'
          ? await inVault(name, place, env, signal)
          : undefined;
  if (value === undefined) throw missing(name, `this agent has no secret ${name}`);
  return value;
}

async function inFile(name: string, path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw missing(
      name,
      `the file of the secret ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}

/** `secret/team/db#password`: the first part is the mount. */
async function inVault(
  name: string,
  place: string,
  env: SecretSources['env'],
  signal: AbortSignal,
): Promise<string | undefined> {
  const [, mount, path, key] = /^([^/#]+)\/([^#]+)#(.+)$/.exec(place) ?? [];
  if (mount === undefined || path === undefined || key === undefined)
    throw missing(name, `the source of the secret ${name} is not vault:<mount>/<path>#<key>`);
  const address = env['VAULT_ADDR']?.replace(/\/+$/, '');
  const tokenFile = env['VAULT_TOKEN_FILE'];
  const token = tokenFile === undefined ? env['VAULT_TOKEN'] : await inFile('VAULT_TOKEN', tokenFile);
  if (address === undefined || token === undefined)
    throw missing(
      name,
      `the secret ${name} is in Vault: VAULT_ADDR and VAULT_TOKEN or VAULT_TOKEN_FILE are needed`,
    );
  const namespace = env['VAULT_NAMESPACE'];
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  let answer: Awaited<ReturnType<typeof exchange>>;
  try {
    answer = await exchange(`${address}/v1/${encodeURIComponent(mount)}/data/${encoded}`, {
      method: 'GET',
      bytesMax: ANSWER_BYTES_MAX,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: {
        'x-vault-token': token,
        'x-vault-request': 'true',
        ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
      },
    });
  } catch {
    throw missing(name, `Vault does not answer, which has the secret ${name}`);
  }
  if (answer.status !== 200) throw missing(name, `Vault answered ${answer.status} for the secret ${name}`);
  const value = valueIn(answer.text, key);
  return typeof value === 'string' ? value : undefined;
}

function valueIn(text: string, key: string): unknown {
  try {
    const { data } = JSON.parse(text) as {
      readonly data?: { readonly data?: Readonly<Record<string, unknown>> };
    };
    return data?.data !== undefined && Object.hasOwn(data.data, key) ? data.data[key] : undefined;
  } catch {
    return undefined;
  }
}

function missing(name: string, message: string): Refusal {
  return new Refusal('args_invalid', message, { secret: name });
}
