/** What `serve` is set up with: flags, then the environment. Everything is checked before the store is opened. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { serveProblems } from '../../doors/serve-rules.ts';
import { ReeveError } from '../../model/errors.ts';
import type { AuthSettings } from '../../policy/auth/settings.ts';
import { readSmallFile } from '../../policy/key-source.ts';
import { readApprovers, TOKEN_PATTERN } from '../../server/approvers.ts';
import { addressText, parseListen, type ListenAddress } from '../../server/listen.ts';
import type { TlsOptions } from '../../server/server.ts';
import { hashOf, type KnownToken } from '../../server/tokens.ts';
import type { CliContext, Flags } from '../command.ts';
import { jwtSettings } from './auth.ts';

const LISTEN_DEFAULT = '127.0.0.1:9488';
const HOST_DEFAULT = '127.0.0.1';
const BODY_BYTES_DEFAULT = 1_048_576;
const BODY_BYTES_LIMIT = 64 * 1_048_576;
const TOKEN_VARIABLES = ['REEVE_SERVE_AUTH_TOKEN', 'WRKR_SERVE_AUTH_TOKEN'];
const CONCURRENCY_DEFAULT = 4;
const CONCURRENCY_MAX = 256;

export interface ServeSettings {
  readonly listen: ListenAddress;
  readonly allowNonLoopback: boolean;
  readonly tokens: readonly KnownToken[];
  /** Requests carry tokens of an issuer; undefined: those above. */
  readonly jwt: AuthSettings | undefined;
  readonly namedCallers: boolean;
  readonly names: readonly string[];
  readonly maxBodyBytes: number;
  readonly concurrency: number;
  /** Undefined: plain HTTP. */
  readonly tls: TlsOptions | undefined;
}

/**
 * @param fixed what flags do not say.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA; E_UNSAFE_OPERATION for a server that others reach unprotected (W66).
 */
export async function serveSettings(
  ctx: CliContext,
  flags: Flags,
  fixed: { readonly listen?: string; readonly maxBodyBytes?: number; readonly jwtByVariables?: boolean } = {},
): Promise<ServeSettings> {
  const listen = fixed.listen ?? flags.text('listen') ?? LISTEN_DEFAULT;
  const address = parseListen(listen);
  const shared = await sharedToken(ctx, flags);
  const jwt = jwtSettings(ctx, flags, {
    byVariables: fixed.jwtByVariables === true,
    hasTokens: shared !== undefined || flags.text('approvers') !== undefined,
  });
  const given = fixed.maxBodyBytes ?? flags.number('max-body-bytes');
  const allowNonLoopback = flags.on('allow-non-loopback');
  const problems = serveProblems({
    listen,
    allowNonLoopback,
    ...(shared === undefined ? {} : { authToken: shared }),
    ...(fixed.listen === undefined ? {} : { tokenFlag: '--auth-token-file' }),
    requiresJwt: jwt?.mode === 'required',
    ...(given === undefined ? {} : { maxBodyBytes: given }),
  });
  if (problems.length > 0) {
    throw new ReeveError('E_UNSAFE_OPERATION', problems.join('; '), { listen, problems });
  }
  const tls = await tlsOptions(ctx, flags);
  const approvers = flags.text('approvers');
  const known = approvers === undefined ? [] : await readApprovers(resolve(ctx.cwd, approvers));
  return {
    listen: address,
    allowNonLoopback,
    tokens: [
      ...known,
      ...(shared === undefined
        ? []
        : [{ sha256: hashOf(requireToken(shared, '--auth-token')), name: undefined }]),
    ],
    jwt,
    namedCallers: approvers !== undefined || (jwt !== undefined && jwt.mode !== 'disabled'),
    names: flags.texts('allow-host'),
    maxBodyBytes: within('max-body-bytes', given ?? BODY_BYTES_DEFAULT, 1, BODY_BYTES_LIMIT),
    tls,
    concurrency: within(
      'concurrency',
      flags.number('concurrency') ?? CONCURRENCY_DEFAULT,
      0,
      CONCURRENCY_MAX,
    ),
  };
}

/** `--host` and `--port` as an address. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function listenOf(flags: Flags, portDefault: number): string {
  const port = within('port', flags.number('port') ?? portDefault, 0, 65_535);
  return addressText(flags.text('host') ?? HOST_DEFAULT, port);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: half of what is needed, or a file that is no PEM. */
export async function tlsOptions(ctx: CliContext, flags: Flags): Promise<TlsOptions | undefined> {
  const read = async (flag: string): Promise<string | undefined> => {
    const file = flags.text(flag);
    return file === undefined ? undefined : (await readSmallFile(resolve(ctx.cwd, file), `--${flag}`)).text;
  };
  const [cert, key, clientCa] = [await read('tls-cert'), await read('tls-key'), await read('client-ca')];
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'TLS needs both --tls-cert and --tls-key', {
      flag: cert === undefined ? '--tls-cert' : '--tls-key',
    });
  const tls = { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
  try {
    createSecureContext({ cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }) });
  } catch {
    // What OpenSSL says is of no use to anybody.
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      '--tls-cert, --tls-key and --client-ca must be PEM, and the key the one of the certificate',
      { flag: '--tls-cert' },
    );
  }
  return tls;
}

/** The token that all share. Commands of steps inherit our environment: it is taken out of there (I9). */
async function sharedToken(ctx: CliContext, flags: Flags): Promise<string | undefined> {
  const inEnvironment = TOKEN_VARIABLES.map((name) => ctx.env[name]).find(
    (text) => text !== undefined && text !== '',
  );
  for (const name of TOKEN_VARIABLES) delete process.env[name];
  const inArguments = flags.text('auth-token');
  const file = flags.text('auth-token-file');
  if (inArguments !== undefined && file !== undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--auth-token and --auth-token-file exclude each other', {
      flag: '--auth-token',
    });
  }
  if (inArguments !== undefined) {
    ctx.stderr.write(
      'warning: a token in the arguments is in the process list for every user; use --auth-token-file\n',
    );
  }
  return file === undefined
    ? (inArguments ?? inEnvironment)
    : tokenIn(resolve(ctx.cwd, file), '--auth-token-file');
}

/** An empty one would protect nothing. @param flag what gave it. @throws ReeveError E_INVALID_INPUT_SCHEMA, without the token */
export function requireToken(token: string, flag: string): string {
  if (new RegExp(TOKEN_PATTERN).test(token)) return token;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${flag}: a token is 1 to 4096 visible ASCII characters, without blanks`,
    { flag },
  );
}

/** @param flag what named the file, or the variable that did. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function tokenIn(path: string, flag: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the token file ${path} cannot be read (${code})`, {
      flag,
      file: path,
    });
  }
}

function within(flag: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--${flag} must be ${least} to ${most}, not ${value}`, {
    flag: `--${flag}`,
    value,
    limit: most,
  });
}
