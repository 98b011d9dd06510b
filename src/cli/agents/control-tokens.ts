/** Which tokens the control plane knows: a file of hashes, variables, or two that it makes itself (docs/agents.md). */
import { chmod, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { newToken, tokenHash, type ConfiguredToken } from '../../doors/agents/control/tokens.ts';
import { NAME } from '../../doors/agents/wire/common.ts';
import { DEFAULT_TENANT } from '../../doors/agents/ids.ts';
import { problemsOf, refuseProblems } from '../../doors/validate.ts';
import { writeFileAtomically } from '../../evidence/output-file.ts';
import { ReeveError } from '../../model/errors.ts';
import { readSmallFile } from '../../policy/key-source.ts';
import { setting } from '../environment.ts';
import type { CliContext, Flags } from '../command.ts';
import { requireToken, tokenIn } from '../serve/settings.ts';

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['tokens'],
  properties: {
    tokens: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['role', 'name', 'token_sha256'],
        properties: {
          role: { enum: ['operator', 'enrolment'] },
          tenant: NAME,
          name: { type: 'string', pattern: '^\\S(?:.{0,126}\\S)?$' },
          token_sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' },
        },
      },
    },
  },
} as const;

interface TokensFile {
  readonly tokens: readonly {
    readonly role: ConfiguredToken['role'];
    readonly tenant?: string;
    readonly name: string;
    readonly token_sha256: string;
  }[];
}

const KINDS = [
  { role: 'operator', variable: 'JARVAS_OPERATOR_TOKEN', file: 'operator.token' },
  { role: 'enrolment', variable: 'JARVAS_ENROL_TOKEN', file: 'enrol.token' },
] as const;

export interface TokenPlace {
  /** Where tokens that it makes itself are kept: on loopback, and only where none was given. */
  readonly dir: string;
  /** Nobody else reaches it. */
  readonly isLocal: boolean;
  note?(text: string): void;
}

/**
 * @throws ReeveError E_INVALID_INPUT_SCHEMA; E_UNSAFE_OPERATION where others reach it and no token was given.
 */
export async function controlTokens(
  ctx: CliContext,
  flags: Flags,
  { dir, isLocal, note }: TokenPlace,
): Promise<readonly ConfiguredToken[]> {
  const path = flags.text('tokens') ?? setting(ctx, 'JARVAS_TOKENS_FILE');
  const given = [
    ...(path === undefined ? [] : await inFile(resolve(ctx.cwd, path))),
    ...(await inVariables(ctx)),
  ];
  const seen = new Set<string>();
  for (const { sha256, name } of given) {
    if (seen.has(sha256)) throw refusal('--tokens', `${name} has a token that is another's, too`);
    seen.add(sha256);
  }
  if (given.length > 0) return given;
  if (isLocal) return Promise.all(KINDS.map((kind) => ownToken(dir, kind, note)));
  throw new ReeveError(
    'E_UNSAFE_OPERATION',
    'it can be reached from other machines, and no token is given: --tokens, or JARVAS_OPERATOR_TOKEN and JARVAS_ENROL_TOKEN',
    { flag: '--tokens' },
  );
}

async function inFile(path: string): Promise<readonly ConfiguredToken[]> {
  const { text } = await readSmallFile(path, '--tokens');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw refusal('--tokens', `${path} is no JSON`);
  }
  const problems = await problemsOf(SCHEMA, document);
  refuseProblems(
    `the tokens file ${path} is not valid`,
    problems.map(({ value: _, ...problem }) => problem), // a value may be a token (I9)
  );
  return (document as TokensFile).tokens.map(
    ({ role, tenant = DEFAULT_TENANT, name, token_sha256: sha256 }) => ({
      role,
      tenant,
      name,
      sha256,
    }),
  );
}

async function inVariables(ctx: CliContext): Promise<readonly ConfiguredToken[]> {
  const tenant = setting(ctx, 'JARVAS_TENANT') ?? DEFAULT_TENANT;
  if (!new RegExp(NAME.pattern).test(tenant)) throw refusal('JARVAS_TENANT', 'is no name of a tenant');
  const found: ConfiguredToken[] = [];
  for (const { role, variable } of KINDS) {
    const file = setting(ctx, `${variable}_FILE`);
    const token =
      setting(ctx, variable) ??
      (file === undefined ? undefined : await tokenIn(resolve(ctx.cwd, file), `${variable}_FILE`));
    delete process.env[variable]; // commands of steps inherit our environment (I9)
    if (token !== undefined)
      found.push({ role, tenant, name: role, sha256: tokenHash(requireToken(token, variable)) });
  }
  return found;
}

/** Made once, and kept where only this user reads it. */
async function ownToken(
  dir: string,
  { role, file }: (typeof KINDS)[number],
  note: TokenPlace['note'],
): Promise<ConfiguredToken> {
  const path = join(dir, file);
  let text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) {
    const made = `${newToken(role)}\n`;
    await writeFileAtomically(path, (sink) => sink.write(Buffer.from(made)));
    text = made;
  }
  await chmod(path, 0o600);
  note?.(`the ${role} token is in ${path}`);
  return {
    role,
    tenant: DEFAULT_TENANT,
    name: role,
    sha256: tokenHash(requireToken(text.trim(), path)),
  };
}

function refusal(flag: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${flag}: ${problem}`, { flag });
}
