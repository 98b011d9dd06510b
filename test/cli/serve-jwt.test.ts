// `reeve serve --auth jwt`: the tokens of an issuer say who asks and who decides.
import { describe, expect } from 'vitest';
import { Issuer } from '../policy/auth/issuer.ts';
import { DECISION, ledger, test as base, type Home } from './rig.ts';
import { serve } from './served.ts';

const test = base.extend('issuer', async ({ home }, { onCleanup }) => {
  void home; // it is cleaned up after us
  const issuer = new Issuer();
  await issuer.start();
  onCleanup(() => issuer.http.stop());
  return issuer;
});

function env(home: Home, issuer: Issuer, more: Record<string, string> = {}): Record<string, string> {
  return { REEVE_HOME: home.store, ARP_AUTH_ISSUER: issuer.url, ARP_AUTH_AUDIENCE: 'reeve', ...more };
}

describe.concurrent('serve --auth jwt', () => {
  test("who decided is the token's subject, whatever the request says", async ({ home, issuer }) => {
    const secret = 'a client secret';
    const { get, post, running } = await serve(home, ['--auth', 'jwt', '--log', '--json'], {
      env: env(home, issuer, { ARP_AUTH_CLIENT_ID: 'us', ARP_AUTH_CLIENT_SECRET: secret }),
    });
    await running.until('its JSON', () => running.stdout.endsWith('}\n'));
    expect(JSON.parse(running.stdout)).toMatchObject({ auth_enabled: true });
    const [ana, ben, nameless, foreign] = await Promise.all([
      issuer.sign({ aud: 'reeve', sub: 'ana' }),
      issuer.sign({ aud: 'reeve', sub: 'ben' }),
      issuer.sign({ aud: 'reeve', sub: undefined }),
      issuer.sign({ aud: 'another service' }),
    ]);
    const spec = await home.spec([{ id: 'look', command: 'env > seen' }, DECISION, ledger('publish')]);
    const body = { jobspec_path: spec, job_id: 'j' };
    for (const [token, message] of [
      [undefined, 'Missing Authorization header'],
      [foreign, 'Invalid token audience'],
    ] as const) {
      const answer = await post('/v1/jobs:submit', body, token === undefined ? {} : { token });
      expect(answer).toMatchObject({ status: 401, json: { code: 'E_UNSAFE_OPERATION', message } });
      expect(answer.headers['www-authenticate']).toContain(`error_description="${message}"`);
    }
    expect((await get('/openapi.json')).status).toBe(401);
    expect((await get('/healthz')).status).toBe(200);
    expect((await post('/v1/jobs:submit', body, { token: ben })).json).toMatchObject({
      status: 'blocked_decision',
    });
    const { open_decisions: open } = (await get('/v1/jobs/j', { token: nameless })).json;
    const approval = { checkpoint_id: open[0], reason: 'fine', approved_by: 'the boss' };
    expect((await post('/v1/jobs/j:approve', approval, { token: nameless })).status).toBe(403);
    expect((await post('/v1/jobs/j:approve', approval, { token: ana })).json).toMatchObject({
      approved_by: 'ana',
    });
    expect((await post('/v1/jobs/j:resume', {}, { token: ben })).json).toMatchObject({ status: 'completed' });
    const log = (await get('/v1/jobs/j/events', { token: ben })).text;
    expect(log).toContain('"approved_by":"ana"');
    expect(log).not.toContain('the boss');
    expect(await home.read('seen')).toContain('ARP_AUTH_CLIENT_ID=us');
    expect(await home.read('seen')).not.toContain(secret);
    running.kill('SIGTERM');
    const { stderr } = await running.ended;
    expect(stderr).toContain('"caller":"ana"');
    for (const text of [ana, secret]) expect(stderr).not.toContain(text);
  });

  test('an optional token: without one much is possible, but nobody decides', async ({ home, issuer }) => {
    const { get, post } = await serve(home, ['--auth', 'jwt'], {
      env: env(home, issuer, { ARP_AUTH_MODE: 'optional' }),
    });
    const spec = await home.spec([DECISION]);
    expect((await post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' })).status).toBe(200);
    const { open_decisions: open } = (await get('/v1/jobs/j')).json;
    const approval = { checkpoint_id: open[0], reason: 'fine', approved_by: 'the boss' };
    expect(await post('/v1/jobs/j:approve', approval)).toMatchObject({
      status: 403,
      json: { message: expect.stringContaining('use a token that says whose it is') },
    });
    expect((await post('/v1/jobs/j:cancel', { approved_by: 'the boss' })).status).toBe(200);
    await post('/v1/jobs/j:export');
    const { stdout } = await home.run(['replay', 'reeve-out/jobpacks/jobpack_j.zip', '--json'], {
      program: 'reeve',
    });
    expect(stdout).toContain('anonymous');
    expect(stdout).not.toContain('the boss');
  });

  test('disabled: as without tokens', async ({ home, issuer }) => {
    const { get, post } = await serve(home, ['--auth', 'jwt'], {
      env: { REEVE_HOME: home.store, ARP_AUTH_PROFILE: 'dev-insecure' },
    });
    const spec = await home.spec([DECISION]);
    await post('/v1/jobs:submit', { jobspec_path: spec, job_id: 'j' }, { token: 'junk' });
    const { open_decisions: open } = (await get('/v1/jobs/j')).json;
    const approval = { checkpoint_id: open[0], reason: 'fine', approved_by: 'the boss' };
    expect((await post('/v1/jobs/j:approve', approval)).json).toMatchObject({ approved_by: 'the boss' });
    expect(issuer.http.asked).toEqual([]);
  });

  test('what it cannot be started with is said, and others reach it only with required tokens', async ({
    home,
    issuer,
  }) => {
    await home.write('token', 't');
    const open = ['--listen', '0.0.0.0:0', '--allow-non-loopback', '--max-body-bytes', '1000'];
    const jwt = ['serve', '--auth', 'jwt'];
    for (const [args, variables, code, message] of [
      [['serve', '--auth', 'basic'], {}, 6, '--auth is "basic"; it is token or jwt'],
      [[...jwt, '--auth-token-file', 'token'], {}, 6, 'exclude each other'],
      [jwt, { REEVE_SERVE_AUTH_TOKEN: 't' }, 6, 'REEVE_SERVE_AUTH_TOKEN'],
      [[...jwt, '--approvers', 'a.json'], {}, 6, '--approvers'],
      [jwt, { ARP_AUTH_MODE: 'of' }, 6, 'ARP_AUTH_MODE is "of"; accepted is one of required'],
      [[...jwt, ...open], { ARP_AUTH_MODE: 'optional' }, 8, '--auth-token is missing'],
      [[...jwt, ...open], { ARP_AUTH_MODE: 'disabled' }, 8, '--auth-token is missing'],
    ] as const) {
      const result = await home.run([...args, '--json'], { env: env(home, issuer, variables) });
      expect(result, message).toMatchObject({ code, error: { message: expect.stringContaining(message) } });
    }
    const { running, address } = await serve(home, ['--auth', 'jwt', ...open], {
      env: env(home, issuer, { ARP_AUTH_AUDIENCE: '', ARP_AUTH_AUDIENC: 'reeve' }),
    });
    expect(address).toMatch(/^0\.0\.0\.0:\d+$/);
    expect(running.stderr).toContain('warning: ARP_AUTH_AUDIENC is set, and nothing here reads it');
    expect(running.stderr).toContain('warning: ARP_AUTH_AUDIENCE is not set');
  });
});
