/** Tokens of an issuer at a server of ours: whether they are asked for, and who checks them. */
import type { Authenticate } from '../../doors/http.ts';
import { ReeveError } from '../../model/errors.ts';
import { escapeControls } from '../../model/visible-text.ts';
import { authSettings, isConfigured, type AuthSettings } from '../../policy/auth/settings.ts';
import { authenticate, type KnownToken } from '../../server/tokens.ts';
import type { CliContext, Flags } from '../command.ts';

export interface JwtChoice {
  /** Without `--auth`, variables `ARP_AUTH_…` are enough: so the services of ARP are set up. */
  readonly byVariables: boolean;
  /** Tokens, or a file of them, are given as well. */
  readonly hasTokens: boolean;
}

/** @returns undefined: tokens of an issuer are not asked for. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function jwtSettings(
  ctx: CliContext,
  flags: Flags,
  { byVariables, hasTokens }: JwtChoice,
): AuthSettings | undefined {
  const kind = flags.text('auth') ?? (byVariables && isConfigured(ctx.env) ? 'jwt' : 'token');
  if (kind === 'token') return undefined;
  if (kind !== 'jwt') {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--auth is ${JSON.stringify(kind)}; it is token or jwt`, {
      flag: '--auth',
      value: kind,
    });
  }
  if (hasTokens) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      'tokens of an issuer (--auth jwt) and tokens that are given here (--auth-token-file, --auth-token, --approvers, ' +
        'REEVE_SERVE_AUTH_TOKEN, WRKR_SERVE_AUTH_TOKEN) exclude each other; choose with --auth',
      { flag: '--auth' },
    );
  }
  const settings = authSettings(ctx.env);
  for (const warning of settings.warnings) ctx.stderr.write(`warning: ${escapeControls(warning)}\n`);
  return settings;
}

/** For the server's options. The library is loaded by who needs it. */
export async function authentication(
  jwt: AuthSettings | undefined,
  note: (text: string) => void,
): Promise<{ authenticate?: Authenticate }> {
  if (jwt === undefined) return {};
  const { jwtAuthentication } = await import('../../server/jwt.ts');
  return { authenticate: jwtAuthentication(jwt, { nowMs: () => Date.now(), note }) };
}

/**
 * The shared token as a way to tell who asks: whoever has it may do everything. @returns undefined: there is none.
 */
export function sharedAuthentication(tokens: readonly KnownToken[]): Authenticate | undefined {
  if (tokens.length === 0) return undefined;
  return ({ authorization }) => {
    authenticate(tokens, authorization === undefined ? undefined : String(authorization));
    return { via: 'disabled', subject: undefined, claims: {}, tenant: undefined, token: undefined };
  };
}
