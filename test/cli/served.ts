import { ask, type Answer, type Ask } from '../server/client.ts';
import type { Home, Running, RunOptions } from './rig.ts';

interface Served {
  readonly running: Running;
  readonly address: string;
  get(path: string, options?: Ask): Promise<Answer>;
  post(path: string, body?: unknown, options?: Ask): Promise<Answer>;
}

/** Starts `reeve serve` on a free port of loopback. */
export async function serve(
  home: Home,
  flags: readonly string[] = [],
  options: RunOptions = {},
): Promise<Served> {
  const running = home.start(['serve', '--listen', '127.0.0.1:0', ...flags], {
    program: 'reeve',
    ...options,
  });
  await running.until('the server listens', () => /listening on \S+\n/.test(running.stdout + running.stderr));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout + running.stderr) ?? [];
  return {
    running,
    address,
    get: (path, more) => ask(address, 'GET', path, more),
    post: (path, body, more) =>
      ask(address, 'POST', path, { ...(body === undefined ? {} : { body }), ...more }),
  };
}
