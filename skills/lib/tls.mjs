/**
 * What a TLS server shows: its certificate, the chain, and what is wrong with them.
 */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as tls from 'node:tls';

/**
 * @param {{host: string, port: number}} endpoint
 * @param {{serverName: string, ca: string | undefined, timeoutMs: number}} options `ca`: PEM, instead of the roots that Node
 *   and the system bring
 * @returns {Promise<{chain: X509Certificate[], chainError: string | undefined, nameError: string | undefined,
 *   protocol: string}>}
 * @throws {Error} when there is no connection, no TLS, or no certificate in time
 */
export function inspect({ host, port }, { serverName, ca, timeoutMs }) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const socket = tls.connect({
    host,
    port,
    ca: ca ?? trusted(),
    rejectUnauthorized: false, // the finding is what is wrong, not that it is
    checkServerIdentity: () => undefined,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
  });
  const timer = setTimeout(
    () => socket.destroy(Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'ETIMEDOUT' })),
    timeoutMs,
  );
  socket.once('error', (error) => {
    clearTimeout(timer);
    reject(error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error);
  });
  socket.once('secureConnect', () => {
    clearTimeout(timer);
    const peer = socket.getPeerCertificate(true);
    if (peer.raw === undefined) {
      socket.destroy();
      reject(new Error('the server shows no certificate'));
      return;
    }
    const wrongName = tls.checkServerIdentity(serverName, peer);
    resolve({
      chain: chainOf(peer),
      chainError: socket.authorized ? undefined : codeOf(socket.authorizationError),
      nameError: wrongName?.message,
      protocol: socket.getProtocol() ?? 'unknown',
    });
    socket.destroy();
  });
  return promise;
}

/** Node's own roots and those that this system was given. */
function trusted() {
  if (typeof tls.getCACertificates !== 'function') return undefined;
  return [...tls.getCACertificates('default'), ...tls.getCACertificates('system')];
}

function chainOf(peer) {
  const seen = new Set();
  const chain = [];
  // Node links the last certificate to itself.
  for (let at = peer; at?.raw !== undefined && !seen.has(at.fingerprint256); at = at.issuerCertificate) {
    seen.add(at.fingerprint256);
    chain.push(new X509Certificate(at.raw));
  }
  return chain;
}

const codeOf = (error) => (typeof error === 'string' ? error : (error?.code ?? error?.message ?? 'unknown'));
