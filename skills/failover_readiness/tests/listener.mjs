// A port that takes connections, or, told `closed`, one that nobody listens on.

import { createServer } from 'node:net';

const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const ready = () => process.stdout.write(`${JSON.stringify({ port })}\n`);
  if (process.argv[2] === 'closed') server.close(ready);
  else ready();
});
process.stdin.on('end', () => process.exit()).resume();
