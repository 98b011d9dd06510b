// A TLS server on loopback: server.mjs '{"names": ["localhost"], "untilDays": 60, …}'. Writes its root to ca.pem, and tells
// its port.

import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer as createTcpServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { certificate } from './certificates.mjs';

const {
  names = ['localhost', '127.0.0.1', '::1'],
  fromDays = -400,
  untilDays = 60,
  /** Days that the certificate between root and server has; none without it. */
  between,
  sendsBetween = true,
  selfSigned = false,
  address = '127.0.0.1',
  /** Plain text instead of TLS, or nothing at all. */
  plain,
} = JSON.parse(process.argv[2] ?? '{}');

const root = certificate({ name: 'Test Root', untilDays: 3650 });
const middle =
  between === undefined ? undefined : certificate({ name: 'Test Between', untilDays: between, issuer: root });
const issuer = selfSigned ? undefined : (middle ?? root);
const own = certificate({ name: 'Test Server', names, fromDays, untilDays, issuer });
writeFileSync('ca.pem', root.pem);

const server =
  plain === undefined
    ? createTlsServer({ key: own.keyPem, cert: own.pem + (sendsBetween ? (middle?.pem ?? '') : '') })
    : createTcpServer((socket) => socket.on('error', () => undefined).write(plain));
server.on('tlsClientError', () => undefined);
server.listen(0, address);
await once(server, 'listening');
const { port } = server.address();
if (plain === 'nothing listens') {
  server.close();
  await once(server, 'close');
}
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.stdin.resume().on('end', () => process.exit(0));
