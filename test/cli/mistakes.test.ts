/** What people mistype: each time a code, what was wrong, the value, and what there is instead. */
import { describe, expect } from 'vitest';
import { test, type Any, type Running } from './rig.ts';

const reeve = { program: 'reeve' } as const;

describe.concurrent('a mistake', () => {
  test.for([
    ['list --constructor x', 6, "unknown flag '--constructor' for list"],
    ['list --toString=x', 6, "unknown flag '--toString=x' for list"],
    ['serve registry', 6, "unknown subcommand 'serve registry'; known: run-gateway, "],
    ['serve pdb', 6, "did you mean 'pdp'?"],
    ['checkpoint shwo x', 6, "did you mean 'show'?"],
    ['status a b', 6, "status takes 1 argument(s), not 2: 'b' is one too many"],
    ['wrap --', 6, 'wrap needs a command after --, such as: wrap -- command arguments'],
    ['verify absent.zip', 6, 'reeve export absent.zip writes it'],
    ['job diff absent absent', 6, 'absent is no file, and there is no jobpack of a job of that name at '],
    ['serve pdp --port 99999', 6, '--port must be 0 to 65535, not 99999'],
    ['serve control-plane --port 65536', 6, '--port must be 0 to 65535, not 65536'],
    ['up --host 0.0.0.0 --allow-non-loopback', 8, '--auth-token-file is missing'],
    ['up --port 0 --policy absent.json', 6, 'absent.json cannot be read (ENOENT)'],
    ['rollout start', 2, 'rollout start needs --skill name@version'],
    ['rollout start --skill a@1.0.0', 2, 'rollout start needs agents: --label name=text'],
    ['rollout start --skill a@1.0.0 --batch-size few', 2, '--batch-size is "few"; it is a number of agents'],
    [
      'rollout start --skill a@1.0.0 --label site',
      6,
      '--label is "site"; write {"key": "text"}, @file, key=text',
    ],
    ['rollout list --url http://a:b@x/?q=c', 2, '--url must be an http or https URL without credentials'],
    ['rollout list --url http://127.0.0.1:9', 1, 'start one (reeve serve control-plane)'],
    ['agent --url foo', 2, '--url must be an http or https URL without credentials and query, not "foo"'],
    ['agent --parallel 0', 2, '--parallel must be 1 to 1000, not 0'],
  ] as const)('%s', async ([line, code, message], { home }) => {
    const error: Any = await home.fails(line.split(' '), { ...reeve, env: { JARVAS_ALLOW_ROOT: '1' } });
    expect(error.message).toContain(message);
    expect(error.exit_code).toBe(code);
    expect(error.code).not.toBe('E_GENERIC_FAILURE');
    expect(error.message).not.toMatch(/a:b|q=c/);
  });

  test('of whom is asked: no token, a wrong one, a server of another kind, a second control plane', async ({
    home,
  }) => {
    const store = ['--store', home.path('store')];
    const serving = ['serve', 'control-plane', '--port', '0'];
    const tokens = {
      JARVAS_OPERATOR_TOKEN: 'operator-of-this-test',
      JARVAS_ENROL_TOKEN: 'enrol-of-this-test',
    };
    const plane = home.start([...serving, ...store], { ...reeve, env: tokens });
    const jobs = home.start(['serve', '--listen', '127.0.0.1:0', '--store', home.path('jobs')], reeve);
    const [planeUrl, jobsUrl] = await Promise.all([urlOf(plane), urlOf(jobs)]);
    await home.write('wrong', 'wrong-token');
    const list = ['rollout', 'list', '--url', planeUrl];
    for (const more of [[], ['--token-file', 'wrong']])
      expect(await home.fails([...list, ...more], reeve)).toMatchObject({
        code: 'E_SERVICE_REFUSED',
        message: expect.stringContaining(
          '; give that of an operator: --token-file, or JARVAS_OPERATOR_TOKEN_FILE',
        ),
      });
    expect(await home.fails(['rollout', 'list', '--url', jobsUrl], reeve)).toMatchObject({
      code: 'E_SERVICE_UNAVAILABLE',
      message: expect.stringContaining('(status 404) is no control plane; start one'),
    });
    expect(await home.fails([...serving, ...store], { ...reeve, env: tokens })).toMatchObject({
      code: 'E_STORE_BUSY',
      message: `another process serves the control plane of the store ${home.path('store')}`,
    });
    for (const server of [plane, jobs]) server.kill('SIGTERM');
    await Promise.all([plane.ended, jobs.ended]);
  });
});

async function urlOf(server: Running): Promise<string> {
  const listening = /listening on (\S+)\n/;
  await server.until('it listens', () => listening.test(server.stdout));
  return `http://${listening.exec(server.stdout)?.[1] ?? ''}`;
}
