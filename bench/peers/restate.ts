// Restate: a client is one invocation of a handler, a step is `ctx.run`, whose result is in the journal of the server
// before the handler goes on. The server is a process of its own in any case; "here" means that the handler is in the
// process of the client. Restate's own settings, but for ports, folder and telemetry: its log is synced.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import { createServer, type Http2Server } from 'node:http2';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as restate from '@restatedev/restate-sdk';
import {
  bytesBelow,
  freePort,
  Inbox,
  nowMs,
  startWorker,
  type Place,
  type System,
  type Told,
} from '../systems/system.ts';

interface WithRestate extends Place {
  readonly endpointPort: number;
}

let times: number[] = [];

function service(tell: (message: Told) => void) {
  return restate.service({
    name: 'bench',
    handlers: {
      steps: async (ctx: restate.Context, each: number): Promise<number> => {
        for (let n = 0; n < each; n += 1) {
          const before = performance.now();
          await ctx.run('step', async () => n);
          times.push(performance.now() - before);
        }
        return each;
      },
      one: async (ctx: restate.Context, id: string): Promise<number> => {
        await ctx.run('step', async () => {
          tell({ kind: 'begun', id, atMs: nowMs() });
        });
        return 1;
      },
      parent: async (ctx: restate.Context, children: number): Promise<number> => {
        const all = Array.from({ length: children }, (_, n) => ctx.run(`child-${n}`, async () => n));
        await restate.RestatePromise.all(all);
        return children;
      },
    },
  });
}

export async function work(place: Place, tell: (message: Told) => void): Promise<() => Promise<void>> {
  const { endpointPort } = place as WithRestate;
  const handler = restate.createEndpointHandler({ services: [service(tell)], logger: () => undefined });
  const server: Http2Server = createServer(handler);
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.listen(endpointPort, '127.0.0.1');
  await once(server, 'listening');
  return async () => {
    for (const session of sessions) session.destroy();
    server.close();
  };
}

async function startRestate(dir: string): Promise<{
  pid: number | undefined;
  ingress: string;
  admin: string;
  stop: () => Promise<void>;
}> {
  const [ingress, admin, node] = [await freePort(), await freePort(), await freePort()];
  const binary = createRequire(
    createRequire(import.meta.url).resolve('@restatedev/restate-server/package.json'),
  ).resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`);
  const settings = join(dir, 'restate.toml');
  writeFileSync(
    settings,
    `node-name = "bench"
cluster-name = "bench"
base-dir = ${JSON.stringify(join(dir, 'restate'))}
bind-address = "127.0.0.1:${node}"
advertised-address = "http://127.0.0.1:${node}"
listen-mode = "tcp"
disable-telemetry = true
[admin]
bind-address = "127.0.0.1:${admin}"
[ingress]
bind-address = "127.0.0.1:${ingress}"
`,
  );
  const log = openSync(join(dir, 'restate.log'), 'a');
  const server = spawn(binary, ['--config-file', settings, '--no-logo'], {
    stdio: ['ignore', log, log],
    env: { ...process.env, RESTATE_DISABLE_TELEMETRY: 'true', DO_NOT_TRACK: '1' },
  });
  const exited = once(server, 'exit');
  const urls = [`http://127.0.0.1:${ingress}/restate/health`, `http://127.0.0.1:${admin}/health`];
  for (const url of urls)
    while (
      !(await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      ))
    )
      await delay(50);
  return {
    pid: server.pid,
    ingress: `http://127.0.0.1:${ingress}`,
    admin: `http://127.0.0.1:${admin}`,
    async stop() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}

async function ask(url: string, body: unknown): Promise<unknown> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

export async function open(given: Place): Promise<System> {
  const server = await startRestate(given.dir);
  const place: WithRestate = { ...given, endpointPort: await freePort() };
  const begun = new Inbox<number>();
  const tell = ({ id, atMs }: Told): void => begun.put(id, atMs);
  const stop = place.elsewhere ? await startWorker(import.meta.url, place, tell) : await work(place, tell);
  await ask(`${server.admin}/deployments`, { uri: `http://127.0.0.1:${place.endpointPort}` });
  let count = 0;
  return {
    async steps(clients, each) {
      times = [];
      await Promise.all(Array.from({ length: clients }, () => ask(`${server.ingress}/bench/steps`, each)));
      return times;
    },
    async dispatch() {
      count += 1;
      const id = `one-${count}`;
      const fromMs = nowMs();
      await ask(`${server.ingress}/bench/one/send`, id);
      const acceptedMs = nowMs() - fromMs;
      const begunMs = (await begun.take(id)) - fromMs;
      return { acceptedMs, begunMs };
    },
    fanOut: async (children) => void (await ask(`${server.ingress}/bench/parent`, children)),
    bytes: () => bytesBelow(join(place.dir, 'restate')),
    ...(server.pid === undefined ? {} : { serverPid: server.pid }),
    async close() {
      await stop();
      await server.stop();
    },
  };
}
