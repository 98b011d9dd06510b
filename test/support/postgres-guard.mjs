// Outlives the test that started a database server, however that test ends: once its pipe closes, the server is stopped
// and its files are removed.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const [dir = ''] = process.argv.slice(2);
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
process.stdin.resume().on('end', () => {
  let pid = 0;
  try {
    pid = Number(readFileSync(join(dir, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
    for (const signal of ['SIGCONT', 'SIGQUIT']) process.kill(pid, signal);
  } catch {}
  const wait = setInterval(() => {
    try {
      if (pid > 0) process.kill(pid, 0);
      else throw new Error('there is none');
    } catch {
      clearInterval(wait);
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    }
  }, 10);
});
