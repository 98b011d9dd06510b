/** The first Ctrl-C ends every command: those that have something to put in order do that, the others end there and then. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect } from 'vitest';
import { test as base, type Running } from './rig.ts';

/** A server that takes connections, and never says anything. */
const test = base.extend('silent', async ({ home: _ }, { onCleanup }) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    server.emit('reached');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, reached: () => once(server, 'reached') };
});

/** As a shell tells it: what a signal ended, and what ended itself because of one. */
async function codeOf(running: Running): Promise<number | null> {
  const { code, signal } = await running.ended;
  return signal === null ? code : { SIGINT: 130, SIGTERM: 143 }[signal as 'SIGINT'];
}

const reeve = { program: 'reeve' } as const;

describe.concurrent('the first signal', () => {
  test.for([
    'runs get r1',
    'runs start jarvis.core.echo@0.3.8',
    'runs events r1 --follow',
    'nodes list',
    'doctor --stack',
    'rollout status x',
    'rollout wait x',
    'skills list',
  ])('ends %s while a server does not answer', async (line, { home, silent }) => {
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const asked = silent.reached();
      const running = home.start([...line.split(' '), '--url', silent.url, '--json'], reeve);
      await asked;
      running.kill(signal);
      expect(await codeOf(running)).toBe(code);
      expect(running.stdout).toBe('');
      expect(running.stderr).not.toContain('E_');
    }
  });

  test('ends a command that reads its input', async ({ home }) => {
    const pipe = home.path('pipe');
    execFileSync('mkfifo', [pipe]);
    const writing = await open(pipe, 'r+');
    try {
      const under = ['sh', '-c', 'exec "$@" < pipe', 'sh'];
      const running = home.start(['keys', 'show', '-'], { ...reeve, under });
      await writing.write(Buffer.alloc(1_048_576, 32)); // more than a pipe holds: it is being read
      running.kill('SIGINT');
      expect(await codeOf(running)).toBe(130);
    } finally {
      await writing.close();
    }
  });

  test('ends watch, and the job goes on', async ({ home }) => {
    const worker = await home.submitting('j', [{ id: 'one', command: 'echo x > started; sleep 60' }]);
    await worker.until('the step runs', async () => (await home.lines('started')).length > 0);
    const watching = home.start(['watch', 'j']);
    await watching.until('it shows the step', () => watching.stdout !== '');
    watching.kill('SIGINT');
    expect(await codeOf(watching)).toBe(130);
    expect(await home.status('j')).toMatchObject({ status: 'running' });
    worker.kill('SIGINT');
    expect(await codeOf(worker)).toBe(130);
  });
});
