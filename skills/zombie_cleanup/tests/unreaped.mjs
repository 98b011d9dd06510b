// A real defunct process: `true` ends, and the program that its shell becomes does not ask for it until it is reminded.

import { spawn } from 'node:child_process';

const PARENT = `
  process.once('SIGCHLD', () => process.exit());
  process.stdin.on('end', () => process.exit()).resume();
  console.log('ready');
`;

const command = 'true & exec "$0" -e "$1"';
const parent = spawn('/bin/sh', ['-c', command, process.execPath, PARENT], {
  stdio: ['inherit', 'pipe', 'inherit'],
});
parent.stdout.once('data', () => process.stdout.write(`${JSON.stringify({ parent: parent.pid })}\n`));
parent.on('exit', () => process.exit());
