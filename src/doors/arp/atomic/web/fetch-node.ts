/**
 * `jarvis.web.fetch`: GET of a document from a host that is allowed. Every redirect is checked like the first URL, and the
 * address that was checked is the one that is connected to: a name cannot lead elsewhere in between.
 */
import { lookup } from 'node:dns';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { NodeFailure, type NodeCall } from '../node.ts';
import { bare, type AllowedHosts } from './allowed-hosts.ts';

export interface FetchRules {
  readonly hosts: AllowedHosts;
  /** Of a body; more is cut off. */
  readonly bytesMax: number;
  /** From the first connection to the last byte. */
  readonly timeoutMs: number;
}

export const FETCH_DEFAULTS = { bytesMax: 1_048_576, timeoutMs: 30_000 } as const;

const REDIRECTS_MAX = 5;
const REDIRECT = new Set([301, 302, 303, 307, 308]);

export function fetchNode(rules: FetchRules) {
  return async (
    inputs: Readonly<Record<string, unknown>>,
    { signal }: Pick<NodeCall, 'signal'>,
  ): Promise<Readonly<Record<string, unknown>>> => {
    const { url: first, max_bytes: most } = inputs as {
      readonly url: string;
      readonly max_bytes: number | null;
    };
    const inTime = AbortSignal.timeout(rules.timeoutMs);
    const over = AbortSignal.any([signal, inTime]);
    try {
      let url = urlOf(first);
      for (let redirects = 0; ; redirects += 1) {
        const answer = await ask(url, rules.hosts, over);
        const next = REDIRECT.has(answer.statusCode ?? 0) ? answer.headers.location : undefined;
        if (next === undefined)
          return await document(url, answer, Math.min(most ?? Infinity, rules.bytesMax));
        answer.destroy();
        if (redirects === REDIRECTS_MAX)
          throw new NodeFailure(
            'too_many_redirects',
            `${shown(first)} led to more than ${REDIRECTS_MAX} others`,
          );
        url = urlOf(next, url);
      }
    } catch (error) {
      if (error instanceof NodeFailure) throw error;
      if (inTime.aborted) {
        throw new NodeFailure(
          'fetch_timeout',
          `${shown(first)} took longer than ${rules.timeoutMs / 1000} s`,
          {
            retryable: true,
          },
        );
      }
      const { code } = error as NodeJS.ErrnoException;
      const why = typeof code === 'string' ? code : 'the connection failed';
      throw new NodeFailure('fetch_failed', `${shown(first)} could not be fetched: ${why}`, {
        retryable: true,
      });
    }
  };
}

/** @throws NodeFailure */
function urlOf(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new NodeFailure('invalid_url', `${shown(text)} is no http or https URL`, { retryable: false });
  if (url.username !== '' || url.password !== '')
    throw new NodeFailure('invalid_url', 'a URL may not hold a name or password', { retryable: false });
  return url;
}

/** @throws NodeFailure `host_not_allowed`, `address_not_allowed`; what the connection throws */
function ask(url: URL, hosts: AllowedHosts, signal: AbortSignal): Promise<IncomingMessage> {
  const host = bare(url.hostname);
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  if (!hosts.allowsHost(host, port)) {
    const message = `${host}:${port} is not on the list of hosts that may be fetched from`;
    throw new NodeFailure('host_not_allowed', message, { details: { host, port }, retryable: false });
  }
  if (isIP(host) !== 0) refusePrivate(host, [host], hosts);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = send(url, {
      signal,
      agent: false,
      lookup: checkedLookup(hosts),
      headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'reeve' },
    });
    sent.on('error', reject);
    sent.on('response', resolve);
    sent.end();
  });
}

/** Refuses as soon as one of several addresses is not allowed: which one is taken is chance. */
function checkedLookup(hosts: AllowedHosts): LookupFunction {
  return (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error, '');
      try {
        refusePrivate(
          host,
          found.map(({ address }) => address),
          hosts,
        );
      } catch (refused) {
        return done(refused as Error, '');
      }
      const [first] = found;
      return options.all === true ? done(null, found) : done(null, first?.address ?? '', first?.family);
    });
  };
}

function refusePrivate(host: string, addresses: readonly string[], hosts: AllowedHosts): void {
  if (addresses.every((address) => hosts.allowsAddress(address))) return;
  const message = `${host} leads to an address that is neither public nor on the list`;
  throw new NodeFailure('address_not_allowed', message, { details: { host }, retryable: false });
}

async function document(url: URL, answer: IncomingMessage, bytesMax: number) {
  const encoding = answer.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    answer.destroy();
    throw new NodeFailure('fetch_failed', `${shown(url.href)} answers in an encoding that was not asked for`);
  }
  const parts: Buffer[] = [];
  let size = 0;
  let truncated = false;
  for await (const part of answer as AsyncIterable<Buffer>) {
    parts.push(part.subarray(0, bytesMax - size));
    size += part.length;
    if (size > bytesMax) {
      truncated = true;
      break; // which closes the connection
    }
  }
  const type = answer.headers['content-type'] ?? null;
  return {
    status: answer.statusCode,
    url: url.href,
    content_type: type,
    body: decoder(type).decode(Buffer.concat(parts), { stream: truncated }),
    truncated,
  };
}

/** By the charset of the type; UTF-8 where there is none, or one that nobody knows. */
function decoder(type: string | null): InstanceType<typeof TextDecoder> {
  const charset = /charset="?([\w.:-]+)/i.exec(type ?? '')?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(charset);
  } catch {
    return new TextDecoder();
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
