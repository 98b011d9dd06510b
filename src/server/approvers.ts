/**
 * The approvers file: who owns which token, as JSON. Whoever reads the file must not be able to use the tokens, so it
 * may hold their SHA-256 instead.
 *
 *     {"approvers": [{"name": "ana", "token_sha256": "<64 hex digits>"}, {"name": "build bot", "token": "…"}]}
 */
import { readFile, stat } from 'node:fs/promises';
import { problemsOf, refuseProblems } from '../doors/validate.ts';
import { ReeveError } from '../model/errors.ts';
import { hashOf, type KnownToken } from './tokens.ts';

const FILE_BYTES_MAX = 1_048_576;
/** What a header can carry: visible ASCII. */
export const TOKEN_PATTERN = '^[\\x21-\\x7e]{1,4096}$';

const OWNER = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 200, pattern: String.raw`^\S(.*\S)?$` },
    token: { type: 'string', pattern: TOKEN_PATTERN },
    token_sha256: { type: 'string', pattern: '^[a-f0-9]{64}$' },
  },
  oneOf: [{ required: ['token'] }, { required: ['token_sha256'] }],
} as const;
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['approvers'],
  properties: { approvers: { type: 'array', minItems: 1, maxItems: 1000, items: OWNER } },
} as const;

interface Owner {
  readonly name: string;
  readonly token?: string;
  readonly token_sha256?: string;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: it cannot be read, has another form, or gives one token to two names. */
export async function readApprovers(path: string): Promise<readonly KnownToken[]> {
  const value = parse(await readText(path), path);
  refuseProblems(`the approvers file ${path} is not valid`, withoutValues(await problemsOf(SCHEMA, value)));
  const { approvers } = value as { approvers: readonly Owner[] };
  const known = approvers.map(({ name, token, token_sha256: sha256 = '' }) => ({
    name,
    sha256: token === undefined ? Buffer.from(sha256, 'hex') : hashOf(token),
  }));
  const seen = new Set<string>();
  for (const [at, { name, sha256 }] of known.entries()) {
    const key = sha256.toString('hex');
    if (seen.has(key)) throw refusal(path, `gives ${name} a token that is another's`, `/approvers/${at}`);
    seen.add(key);
  }
  return known;
}

/** A value may be a token (I9). */
function withoutValues<T extends { readonly value?: unknown }>(problems: readonly T[]): Omit<T, 'value'>[] {
  return problems.map(({ value: _, ...problem }) => problem);
}

async function readText(path: string): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size > FILE_BYTES_MAX)
      throw refusal(path, `is no file of at most ${FILE_BYTES_MAX} bytes`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof ReeveError) throw error;
    throw refusal(path, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refusal(path, 'is no JSON'); // the parser's own message quotes the text
  }
}

function refusal(path: string, problem: string, field = ''): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the approvers file ${path} ${problem}`, {
    file: path,
    ...(field === '' ? {} : { field }),
    problem,
  });
}
