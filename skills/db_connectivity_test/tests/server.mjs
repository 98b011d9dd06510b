// Speaks as a database does, or as none should: server.mjs KIND. Tells its port on loopback.

import { once } from 'node:events';
import { createServer } from 'node:net';

const errorOf = (code) => {
  const fields = Buffer.from(`SFATAL\0C${code}\0Mthe reason\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
};
/** Answers to the first request (whether there is TLS) and to the login. */
const postgres = (login) => (socket) => {
  socket.once('data', (request) => {
    if (request.toString('hex') !== '0000000804d2162f') return socket.end('?');
    socket.write('N');
    return socket.once('data', (startup) => {
      if (startup.readUInt32BE(4) === 196_608) socket.write(login);
    });
  });
};
const mysqlPacket = (body) => Buffer.concat([Buffer.from([body.length, 0, 0, 0]), body]);
const greeting = mysqlPacket(
  Buffer.concat([Buffer.from('\x0a8.0.36-0ubuntu0\0', 'latin1'), Buffer.alloc(40, 7)]),
);

const KINDS = {
  postgresql: postgres(Buffer.from('R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0', 'latin1')),
  starting: postgres(errorOf('57P03')),
  full: postgres(errorOf('53300')),
  refusing: postgres(errorOf('28000')),
  mute: () => undefined,
  mysql: (socket) => {
    socket.write(greeting.subarray(0, 3)); // a greeting may come in pieces
    setImmediate(() => socket.write(greeting.subarray(3)));
  },
  blocked: (socket) =>
    socket.end(mysqlPacket(Buffer.from('\xff\x10\x04#08004Too many connections', 'latin1'))),
  redis: (socket) => socket.once('data', () => socket.write('-NOAUTH Authentication required.\r\n')),
  loading: (socket) =>
    socket.once('data', () => socket.write('-LOADING Redis is loading the dataset in memory\r\n')),
  http: (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')),
};
const speak = KINDS[process.argv[2] ?? 'mute'];
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  speak?.(socket);
}).listen(0, process.argv[3] ?? '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
if (process.argv[2] === 'nothing') {
  server.close();
  await once(server, 'close');
}
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.stdin.resume().on('end', () => process.exit(0));
