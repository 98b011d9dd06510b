/** The control plane as our commands ask it: where it is, with which token (contract agents §3). */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Agent as TlsAgent } from 'node:https';
import {
  callControl,
  ControlRefusal,
  type ControlAddress,
  type ControlAnswer,
  type ControlCall,
} from '../../doors/agents/client/control-client.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, Flags } from '../command.ts';
import { setting } from '../environment.ts';
import { requireToken, tokenIn } from '../serve/settings.ts';

/** Where a control plane is, if nobody says so. */
export const CONTROL_URL_DEFAULT = 'http://localhost:5000';

/** @throws ReeveError E_USAGE */
export async function controlAddress(ctx: CliContext, flags: Flags): Promise<ControlAddress> {
  const flag = flags.text('url');
  const baseUrl = controlUrl(
    flag ?? setting(ctx, 'CONTROL_URL') ?? CONTROL_URL_DEFAULT,
    flag === undefined ? 'CONTROL_URL' : '--url',
  );
  const token = await operatorToken(ctx, flags);
  const tls = controlTls(ctx, flags.text('ca'));
  return { baseUrl, ...(token === undefined ? {} : { token }), ...(tls === undefined ? {} : { tls }) };
}

/**
 * Whom to trust, and a certificate of one's own where the control plane asks for one.
 * @param ca a flag's file, instead of JARVAS_TLS_CA.
 * @throws ReeveError E_USAGE
 */
export function controlTls(ctx: CliContext, ca?: string): TlsAgent | undefined {
  const read = (path: string | undefined, from: string): Buffer | undefined =>
    path === undefined ? undefined : pem(resolve(ctx.cwd, path), from);
  const variable = (name: string): Buffer | undefined => read(setting(ctx, name), name);
  const trusted = ca === undefined ? variable('JARVAS_TLS_CA') : read(ca, '--ca');
  const [cert, key] = [variable('JARVAS_TLS_CERT'), variable('JARVAS_TLS_KEY')];
  if ((cert === undefined) !== (key === undefined))
    throw new ReeveError('E_USAGE', 'JARVAS_TLS_CERT and JARVAS_TLS_KEY belong together', {
      variable: cert === undefined ? 'JARVAS_TLS_CERT' : 'JARVAS_TLS_KEY',
    });
  if (trusted === undefined && cert === undefined) return undefined;
  return new TlsAgent({
    keepAlive: true,
    ...(trusted === undefined ? {} : { ca: trusted }),
    ...(cert === undefined ? {} : { cert, key }),
  });
}

/** Without the slash at its end. @throws ReeveError E_USAGE */
export function controlUrl(text: string, variable: string): string {
  const base = text.trim().replace(/\/+$/, '');
  const url = URL.parse(base);
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.password !== ''
  )
    throw new ReeveError(
      'E_USAGE',
      `${variable} must be an http or https URL without credentials and query, not ${JSON.stringify(withoutPassword(text))}`,
      { variable, value: withoutPassword(text) },
    );
  return base;
}

/** What may be shown of a text that was to be a URL (I9). */
function withoutPassword(text: string): string {
  return text
    .replace(/\/\/[^/@]*@/, '//…@')
    .replace(/\?.*$/s, '?…')
    .slice(0, 200);
}

/** @throws ReeveError E_USAGE */
function pem(path: string, flag: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ReeveError('E_USAGE', `${flag}: ${path} cannot be read (${code})`, {
      flag,
      file: path,
    });
  }
}

async function operatorToken(ctx: CliContext, flags: Flags): Promise<string | undefined> {
  const flag = flags.text('token-file');
  const file = flag ?? setting(ctx, 'JARVAS_OPERATOR_TOKEN_FILE');
  const from = flag === undefined ? 'JARVAS_OPERATOR_TOKEN_FILE' : '--token-file';
  if (file !== undefined) return requireToken(await tokenIn(resolve(ctx.cwd, file), from), from);
  const token = setting(ctx, 'JARVAS_OPERATOR_TOKEN');
  return token === undefined ? undefined : requireToken(token, 'JARVAS_OPERATOR_TOKEN');
}

/** The call, until the command is told to stop. */
export async function askControl(
  ctx: CliContext,
  address: ControlAddress,
  call: ControlCall,
): Promise<ControlAnswer> {
  try {
    return await callControl(address, { signal: ctx.signal, ...call });
  } catch (error) {
    throw error instanceof ReeveError ? advised(ctx, address, error) : error;
  }
}

/** The same, with what to do about it. */
function advised(ctx: CliContext, { baseUrl }: ControlAddress, error: ReeveError): ReeveError {
  const { details } = error;
  const where = `start one (${ctx.program} serve control-plane), or say where it is with --url or CONTROL_URL`;
  const because = { cause: error };
  if (error.code === 'E_SERVICE_UNAVAILABLE')
    return new ReeveError(error.code, `${error.message}; ${where}`, details, because);
  if (!(error instanceof ControlRefusal)) return error;
  const { status, wireCode } = error;
  if (wireCode === `http_${status}`) {
    const problem = `what answers at ${baseUrl} (status ${status}) is no control plane; ${where}`;
    return new ReeveError('E_SERVICE_UNAVAILABLE', problem, details, because);
  }
  if (status !== 401) return error;
  const token = 'give that of an operator: --token-file, or JARVAS_OPERATOR_TOKEN_FILE';
  return new ReeveError(error.code, `${error.message}; ${token}`, details, because);
}
