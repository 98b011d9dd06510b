// `reeve serve atomic-executor`, from real processes: what it is configured with, what it publishes, how it stops.
import { describe, expect } from 'vitest';
import { ask, type Answer } from '../server/client.ts';
import { test, type Home, type Running } from './rig.ts';

interface Served {
  readonly running: Running;
  readonly address: string;
  execute(type: string, inputs: object, id?: string): Promise<Answer>;
}

async function serve(home: Home, args: readonly string[], env: Record<string, string> = {}): Promise<Served> {
  const running = home.start(['serve', ...args, '--port', '0'], { program: 'reeve', env });
  await running.until('the service listens', () => /listening on \S+\n/.test(running.stdout));
  const [, address = ''] = /listening on (\S+)/.exec(running.stdout) ?? [];
  return {
    running,
    address,
    execute: (type, inputs, node_run_id = 'n') =>
      ask(address, 'POST', '/v1/atomic-node-runs:execute', {
        body: { node_run_id, run_id: 'r', node_type_ref: { node_type_id: type, version: '1' }, inputs },
      }),
  };
}

const NODES = `export const nodes = [
  { node_type: { node_type_id: 'team.twice', version: '1.0.0' },
    execute: async ({ text }) => ({ outputs: { text: text + text } }) },
  { node_type: { node_type_id: 'team.bad', version: '1.0.0' },
    execute: async () => { throw new Error('token=ghp_0123456789abcdefghijklmnopqrstuvwxyzAB'); } },
  { node_type: { node_type_id: 'team.stay', version: '1.0.0' },
    execute: (_inputs, { signal }) => new Promise((resolve) => {
      console.error('staying');
      const keep = setInterval(() => {}, 1000);
      signal.addEventListener('abort', () => { clearInterval(keep); resolve({}); });
    }) },
];`;
const CONFIG = `web_fetch: { allow: [example.org] }
commands:
  team.say:
    version: 1.0.0
    side_effect: read
    argv: [echo, "{what}"]
    input_schema: { type: object, properties: { what: { type: string } } }
`;

describe.concurrent('serve atomic-executor', () => {
  test('G41 runs built-in nodes, plugins and commands, and publishes their types', async ({ home }) => {
    await home.write('nodes/team.mjs', NODES);
    await home.write('atomic.yaml', CONFIG);
    const registry = await serve(home, ['node-registry'], { JARVIS_NODE_REGISTRY_SEED: 'true' });
    const env = { JARVIS_NODE_REGISTRY_URL: `http://${registry.address}`, REEVE_ATOMIC_NODES: './nodes' };
    const args = ['atomic-executor', '--config', 'atomic.yaml', '--publish'];
    const { running, execute } = await serve(home, args, env);
    expect(running.stderr).toBe('published 4 node types; 6 were there already\n');
    const types = await ask(registry.address, 'GET', '/v1/node-types?q=team.');
    expect(types.json.map((type: { node_type_id: string }) => type.node_type_id)).toEqual([
      'team.bad',
      'team.say',
      'team.stay',
      'team.twice',
    ]);
    expect((await execute('jarvis.core.echo', { echo: 'x' }, 'a')).json.outputs).toEqual({ echo: 'x' });
    expect((await execute('team.twice', { text: 'ab' }, 'b')).json.outputs).toEqual({ text: 'abab' });
    expect((await execute('team.say', { what: 'hi' }, 'c')).json.outputs).toMatchObject({ text: 'hi\n' });
    expect((await execute('team.bad', {}, 'd')).json.error.code).toBe('handler_error');
    await running.until('the failure is in the log', () => running.stderr.includes('team.bad failed in d'));
    expect(running.stderr).not.toContain('ghp_');
    expect(running.stderr.trim().split('\n')).toHaveLength(2);
    running.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0 });
  });

  test('G41 limits by environment: what is no number above 0 is off, and told', async ({ home }) => {
    await home.write('nodes/team.mjs', NODES);
    const { running, execute } = await serve(home, ['atomic-executor', '--nodes', 'nodes'], {
      JARVIS_DEFAULT_TIMEOUT_SECS: '0.05',
      JARVIS_MAX_CONCURRENCY: 'many',
    });
    expect(running.stderr).toBe('JARVIS_MAX_CONCURRENCY is "many": no limit\n');
    expect((await execute('team.stay', {})).json).toMatchObject({
      state: 'failed',
      error: { code: 'timeout' },
    });
  });

  test('a signal lets short work end', async ({ home }) => {
    const { running, execute } = await serve(home, ['atomic-executor'], { JARVIS_MAX_CONCURRENCY: '0' });
    const answer = execute('jarvis.core.sleep', { seconds: 1 });
    // Once another call is answered, the one before it has arrived.
    await execute('jarvis.core.echo', {}, 'other');
    running.kill('SIGTERM');
    expect((await answer).json).toMatchObject({ state: 'succeeded', outputs: { slept_seconds: 1 } });
    expect(await running.ended).toMatchObject({ code: 0 });
  });

  test('what it is set up with is checked before it listens', async ({ home }) => {
    await home.write('nodes/bad.mjs', 'throw new Error("no luck");');
    await home.write('bad.yaml', 'web_fetch: { allow: [1] }');
    await home.write('torn.yaml', 'a: [');
    await home.write('dead.yaml', 'mcp_servers: { gone: { command: [/no/such/server] } }');
    const start = (args: readonly string[], env: Record<string, string> = {}) =>
      home.run(['serve', 'atomic-executor', '--port', '0', '--json', ...args], { program: 'reeve', env });
    const cases = [
      [['--nodes', 'nodes'], {}, 'E_INVALID_INPUT_SCHEMA', /bad\.mjs cannot be loaded: no luck$/],
      [['--nodes', 'absent'], {}, 'E_INVALID_INPUT_SCHEMA', /^absent is no folder/],
      [['--config', 'absent.yaml'], {}, 'E_INVALID_INPUT_SCHEMA', /absent\.yaml cannot be read \(ENOENT\)$/],
      [
        ['--config', 'bad.yaml'],
        {},
        'E_INVALID_INPUT_SCHEMA',
        /bad\.yaml: \/web_fetch\/allow\/0 must be string/,
      ],
      [['--config', 'torn.yaml'], {}, 'E_INVALID_INPUT_SCHEMA', /torn\.yaml is no plain YAML: /],
      [['--config', 'dead.yaml'], {}, 'E_ADAPTER_FAIL', /^the MCP server gone cannot be reached: ENOENT$/],
      [['--publish'], {}, 'E_INVALID_INPUT_SCHEMA', /set JARVIS_NODE_REGISTRY_URL$/],
      [
        [],
        { REEVE_WEB_FETCH_ALLOW: 'a.b, http://x' },
        'E_INVALID_INPUT_SCHEMA',
        /^REEVE_WEB_FETCH_ALLOW: "http:\/\/x" is neither/,
      ],
    ] as const;
    for (const [args, env, code, message] of cases) {
      const { error, stderr } = await start(args, env);
      expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
      expect(stderr).not.toMatch(/^ {4}at /m);
    }
  });
});
