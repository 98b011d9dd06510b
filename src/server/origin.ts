/**
 * Refuses what a foreign web page makes a browser send: a name that was rebound to this address, or a request across
 * sites (contract wrkr §i, W70). Programs other than browsers send neither `Origin` nor `Sec-Fetch-Site`.
 */
import { isIP } from 'node:net';
import { HttpFailure } from '../doors/http.ts';

export interface HostRules {
  /** What the server listens on; empty: every interface. */
  readonly host: string;
  /** Names by which it is known, for instance behind a proxy. */
  readonly names: readonly string[];
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** @throws HttpFailure 403 */
export function refuseForeign(headers: Headers, rules: HostRules): void {
  const host = textOf(headers['host']);
  // HTTP/1.0 need not say; a browser always does. Node refuses HTTP/1.1 without it.
  if (host !== undefined && !isOurs(hostnameOf(host), rules)) throw foreign('host', host);
  const origin = textOf(headers['origin']);
  if (origin !== undefined && !isSameOrigin(origin, host)) throw foreign('origin', origin);
  const site = textOf(headers['sec-fetch-site']);
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw foreign('sec-fetch-site', site);
}

function isOurs(name: string | undefined, { host, names }: HostRules): boolean {
  if (name === undefined) return false;
  if (names.some((known) => known.toLowerCase() === name)) return true;
  if (name === 'localhost' || name === host.toLowerCase() || isLoopbackIp(name)) return true;
  // Rebinding needs a name. Where others may reach us, an address is as good as another.
  return host !== 'localhost' && !isLoopbackIp(host) && isIP(name) !== 0;
}

function isLoopbackIp(text: string): boolean {
  return text === '::1' || (isIP(text) === 4 && text.startsWith('127.'));
}

/** The name in `name:port`, in lower case; undefined for what is no authority. */
function hostnameOf(authority: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([^:@/[\]\s]+))(?::\d{1,5})?$/i.exec(authority) ?? [];
  return (bracketed ?? plain)?.toLowerCase();
}

/** A proxy in front may speak https where we hear http: the authority decides, without a default port. */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  const [, scheme = '', authority = ''] = /^(https?):\/\/([^/]+)$/i.exec(origin) ?? [];
  if (authority === '' || host === undefined) return false;
  const port = scheme.toLowerCase() === 'https' ? ':443' : ':80';
  const bare = (text: string): string => text.toLowerCase().replace(new RegExp(`${port}$`), '');
  return bare(authority) === bare(host);
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',');
}

function foreign(header: string, value: string): HttpFailure {
  return new HttpFailure(
    403,
    'E_UNSAFE_OPERATION',
    `a request from elsewhere is refused: ${header} is foreign`,
    {
      header,
      value: value.slice(0, 300),
    },
  );
}
