// Workers that are started before their database: they wait, say so, and go on (contract wrkr §j: they serve).
import { describe, expect, vi } from 'vitest';
import { describePostgres } from '../store/postgres/rig.ts';
import { test } from './rig.ts';

vi.setConfig({ testTimeout: 120_000 });

describePostgres('while PostgreSQL is starting', (server) => {
  describe('a worker waits for it, and says so', () => {
    const cases: readonly (readonly [name: string, args: readonly string[], up: RegExp])[] = [
      ['work', ['work'], /work: queue=/],
      ['serve', ['serve', '--listen', '127.0.0.1:0'], /listening on/],
      ['up', ['up', '--port', '0', '--dev-allow'], /listening on/],
    ];
    test.for(cases)('reeve %s', async ([name, args, up], { home }) => {
      const url = server().url(`starting_${name}`);
      await server().down('SIGINT');
      const worker = home.start(args, { program: 'reeve', env: { REEVE_STORE_URL: url } });
      await worker.until('a word about it', () => /waiting up to 30 s for the database/.test(worker.stderr));
      expect(worker.stderr.match(/waiting/g)).toHaveLength(1);
      expect(worker.stdout + worker.stderr).not.toMatch(up);
      await server().up();
      await worker.until('its start', () => up.test(worker.stdout + worker.stderr));
      worker.kill('SIGTERM');
      expect(await worker.ended).toMatchObject({ code: 0 });
    });
  });

  test('a command does not wait that long, and a worker that is told to stop ends', async ({ home }) => {
    const env = { REEVE_STORE_URL: server().url('starting') };
    await server().down('SIGINT');
    const worker = home.start(['work'], { program: 'reeve', env });
    const refused = await home.fails(['list'], { program: 'reeve', env });
    expect(refused).toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    await worker.until('a word about it', () => worker.stderr.includes('waiting'));
    worker.kill('SIGTERM');
    expect((await worker.ended).code).not.toBe(0);
    await server().up();
  });
});
