// Takes connections on loopback, and tells its port, and another one where nothing listens.

import { once } from 'node:events';
import { createServer } from 'node:net';

const server = createServer((socket) => socket.on('error', () => undefined).end()).listen(0, '127.0.0.1');
const other = createServer().listen(0, '127.0.0.1');
await Promise.all([once(server, 'listening'), once(other, 'listening')]);
const ports = { port: server.address().port, closed: other.address().port };
other.close();
await once(other, 'close');
process.stdout.write(`${JSON.stringify(ports)}\n`);
process.stdin.resume().on('end', () => process.exit(0));
