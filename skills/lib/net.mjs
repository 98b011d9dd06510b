/**
 * Names of hosts and TCP connections with an end. Nothing here waits longer than it is told to.
 */
import { connect as connectTcp, isIP } from 'node:net';

/**
 * Takes `host`, `host:port`, `[v6]`, `[v6]:port` and a bare IPv6 address apart.
 * @param {string} text
 * @param {number} defaultPort
 * @returns {{host: string, port: number} | undefined} undefined when it is none of these
 */
export function parseEndpoint(text, defaultPort) {
  if (isIP(text) === 6) return { host: text, port: defaultPort };
  const parts = /^(?:\[([^\]]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const [, v6, name = '', portText] = parts;
  if (v6 !== undefined && isIP(v6) !== 6) return undefined;
  const host = v6 ?? name;
  const port = portText === undefined ? defaultPort : Number(portText);
  if (!isHost(host) || port < 1 || port > 65535) return undefined;
  return { host, port };
}

/** Whether this can be a host: an address, or a name that no tool could take for an option. */
export function isHost(text) {
  return isIP(text) !== 0 || /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})$/.test(text);
}

/** `host:port`, with brackets where the host is an IPv6 address. */
export function showEndpoint({ host, port }) {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * @param {{host: string, port: number}} endpoint
 * @param {number} timeoutMs for the name and the connection together
 * @returns {Promise<{socket: import('node:net').Socket, ms: number}>} what the connection took
 * @throws {Error} with the code of the system, or `ETIMEDOUT`
 */
export function connect({ host, port }, timeoutMs) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const startedMs = performance.now();
  const socket = connectTcp({ host, port });
  const timer = setTimeout(() => socket.destroy(timedOut(timeoutMs)), timeoutMs);
  socket.once('connect', () => {
    clearTimeout(timer);
    socket.removeListener('error', failed);
    socket.on('error', () => undefined); // later ones are seen as the end of the stream
    resolve({ socket, ms: performance.now() - startedMs });
  });
  const failed = (error) => {
    clearTimeout(timer);
    reject(plainCause(error));
  };
  socket.once('error', failed);
  return promise;
}

/**
 * @param {import('node:stream').Duplex} stream
 * @param {(bytes: Buffer) => boolean} enough is asked after every piece
 * @param {number} timeoutMs
 * @returns {Promise<Buffer>} what came until it was enough, the peer ended, 64 KiB were there or the time was over
 */
export function readUntil(stream, enough, timeoutMs) {
  const { promise, resolve } = Promise.withResolvers();
  let bytes = Buffer.alloc(0);
  const timer = setTimeout(done, timeoutMs);
  function take(piece) {
    bytes = Buffer.concat([bytes, piece]);
    if (bytes.length >= 65_536 || enough(bytes)) done();
  }
  function done() {
    clearTimeout(timer);
    stream.removeListener('data', take);
    stream.pause();
    resolve(bytes);
  }
  stream.on('data', take);
  stream.once('error', done);
  stream.once('close', done);
  stream.once('end', done);
  if (stream.destroyed || stream.readableEnded) done();
  else stream.resume();
  return promise;
}

/** What an error of the network means, without numbers of system calls. */
export function whyNoConnection(error) {
  return (
    {
      ECONNREFUSED: 'connection refused',
      ECONNRESET: 'connection reset by the peer',
      EHOSTUNREACH: 'no route to the host',
      ENETUNREACH: 'no route to the network',
      ENOTFOUND: 'the name does not resolve',
      EAI_AGAIN: 'the name cannot be resolved now',
      EADDRNOTAVAIL: 'the address cannot be reached from here',
      EACCES: 'not permitted',
      EPERM: 'not permitted',
      ETIMEDOUT: 'no answer in time',
    }[error.code] ?? error.message
  );
}

/** Whether the name was the trouble, and not the host: then nothing was checked. */
export const isNameTrouble = (error) => error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN';

function timedOut(timeoutMs) {
  return Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'ETIMEDOUT' });
}

/** A host with several addresses fails with one error for each: the first says enough. */
const plainCause = (error) =>
  error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
