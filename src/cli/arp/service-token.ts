/** One token for all services of a stack, where no issuer is: the callee knows it as its `--auth-token-file`. */
import { resolve } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext } from '../command.ts';
import { setting } from '../environment.ts';
import { requireToken, tokenIn } from '../serve/settings.ts';

const VARIABLE = 'REEVE_ARP_TOKEN_FILE';
type Token = () => Promise<string | undefined>;

/**
 * The token with which other services are asked, read once. It has a variable of its own: what callers of ours must know
 * is not told to whomever a URL names.
 * @param issued tokens of an issuer, where there is one; they take its place.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: no such file, no token in it, or an issuer as well
 */
export async function serviceToken(ctx: CliContext, issued: Token | undefined): Promise<{ token?: Token }> {
  const file = setting(ctx, VARIABLE);
  if (file === undefined) return issued === undefined ? {} : { token: issued };
  if (issued !== undefined) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${VARIABLE} and tokens of an issuer (ARP_AUTH_…) exclude each other`,
      { variable: VARIABLE },
    );
  }
  const token = requireToken(await tokenIn(resolve(ctx.cwd, file), VARIABLE), VARIABLE);
  return { token: async () => token };
}
