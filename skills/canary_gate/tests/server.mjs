// A server on loopback that answers one request after the other as it is told: a status, `hang`, `drip` (the body never
// ends), `garbage`, or `closed` (nobody listens). The last one holds for all further requests.

import { createServer } from 'node:net';

const answers = process.argv.slice(2);
let asked = 0;

const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => {
    const answer = answers[Math.min(asked++, answers.length - 1)];
    const body = 'state: ready';
    if (answer === 'hang') return;
    if (answer === 'garbage') socket.end('hello, I am no web server\r\n\r\n');
    else if (answer === 'drip') socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nst');
    else {
      const length = `content-length: ${body.length}`;
      socket.end(`HTTP/1.1 ${answer} Told\r\nlocation: /\r\n${length}\r\n\r\n${body}`);
    }
  });
}).listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const ready = () => process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}/health` })}\n`);
  if (answers[0] === 'closed') server.close(ready);
  else ready();
});
process.stdin.on('end', () => process.exit()).resume();
