// Tools of real MCP servers as atomic nodes, over stdio and over Streamable HTTP.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { assembled, until, type Given } from './assembly.ts';
import { serveMcp, type ServedMcp } from './mcp-server.ts';
import { test, type Stack } from './support.ts';

const SERVER = join(import.meta.dirname, 'mcp-server.ts');

interface Kind {
  readonly given: Given;
  /** What the tools of the server said. */
  said(): string;
}

function stdio(stack: Stack): Kind {
  const log = stack.path('mcp.log');
  const server = { command: [process.execPath, SERVER], env: ['MCP_LOG', 'MCP_ALLOWED'] };
  const env = { ...process.env, MCP_LOG: log, MCP_ALLOWED: 'yes', MCP_SECRET: 'no' };
  return {
    given: { config: { mcp_servers: { test: server } }, env },
    said() {
      try {
        return readFileSync(log, 'utf8');
      } catch {
        return '';
      }
    },
  };
}

async function http(stack: Stack): Promise<Kind & { readonly served: ServedMcp }> {
  let said = '';
  const served = await serveMcp(0, (line) => (said += `${line}\n`));
  stack.atEnd(() => served.stop());
  const server = { url: served.url, headers_from_env: { 'X-Team-Token': 'TEAM_TOKEN' } };
  return {
    served,
    given: { config: { mcp_servers: { test: server } }, env: { TEAM_TOKEN: 'secret-1' } },
    said: () => said,
  };
}

describe.each([
  ['stdio', async (stack: Stack): Promise<Kind> => stdio(stack)],
  ['http', (stack: Stack): Promise<Kind> => http(stack)],
] as const)('over %s', (_name, open) => {
  test('tools are node types with their schemas and side effects', async ({ stack }) => {
    const { assembly } = await assembled(stack, (await open(stack)).given);
    const types = assembly.types.filter(({ node_type_id: id }) => id.startsWith('mcp.'));
    expect(types.map((type) => [type.node_type_id, type.extensions?.['jarvis.side_effect']])).toEqual([
      ['mcp.test.add', 'read'],
      ['mcp.test.hello', 'write'],
      ['mcp.test.remove', 'irreversible'],
      ['mcp.test.wait', 'write'],
      ['mcp.test.die', 'write'],
    ]);
    expect(types[0]).toMatchObject({
      version: '3.2.1',
      kind: 'atomic',
      description: 'Adds two numbers.',
      input_schema: { required: ['a', 'b'] },
      output_schema: { required: ['sum'] },
      extensions: { 'jarvis.trust_tier': 'third_party', 'jarvis.tags': ['mcp', 'test'] },
    });
    expect(await assembly.checks()).toEqual([{ name: 'mcp_test', status: 'ok' }]);
  });

  test('a tool runs with its inputs checked; its failures are told as such', async ({ stack }) => {
    const { run } = await assembled(stack, (await open(stack)).given);
    expect(await run('mcp.test.add', { a: 1, b: 2 })).toMatchObject({
      state: 'succeeded',
      outputs: { sum: 3 },
    });
    expect(await run('mcp.test.hello')).toMatchObject({ state: 'succeeded', outputs: { text: 'hello' } });
    expect(await run('mcp.test.add', { a: 'x' })).toMatchObject({
      state: 'failed',
      error: {
        code: 'invalid_inputs',
        details: { errors: [{ loc: ['inputs', 'b'] }, { loc: ['inputs', 'a'] }] },
      },
    });
    expect(await run('mcp.test.remove')).toMatchObject({
      state: 'failed',
      error: { code: 'mcp_tool_error', message: 'there is nothing to remove' },
    });
  });

  test('G41 a cancel reaches the server', async ({ stack }) => {
    const kind = await open(stack);
    const { run, executor } = await assembled(stack, kind.given);
    const waiting = run('mcp.test.wait', {}, 'w');
    await until(() => (kind.said().includes('waiting') ? true : undefined));
    await executor.cancel('w');
    expect(await waiting).toMatchObject({ state: 'canceled' });
    await until(() => (kind.said().includes('canceled') ? true : undefined));
  });

  test('G41 a tool that takes longer than its server may is a timeout', async ({ stack }) => {
    const { given } = await open(stack);
    const { mcp_servers } = given.config as { readonly mcp_servers: { readonly test: object } };
    const config = { mcp_servers: { test: { ...mcp_servers.test, timeout_ms: 50 } } };
    const { run } = await assembled(stack, { ...given, config });
    expect(await run('mcp.test.wait')).toMatchObject({ state: 'failed', error: { code: 'timeout' } });
  });

  test('only the tools that are listed, in the version that is given', async ({ stack }) => {
    const { given } = await open(stack);
    const { mcp_servers } = given.config as { readonly mcp_servers: { readonly test: object } };
    const server = { ...mcp_servers.test, tools: ['hello', 'gone'], version: '9.0.0' };
    const { assembly, notes } = await assembled(stack, {
      ...given,
      config: { mcp_servers: { test: server } },
    });
    const types = assembly.types.filter(({ node_type_id: id }) => id.startsWith('mcp.'));
    expect(types).toMatchObject([{ node_type_id: 'mcp.test.hello', version: '9.0.0' }]);
    expect(notes).toContain('the MCP server test has no tool gone');
  });
});

test('a server that dies fails the call that was under way, and is started again by the next', async ({
  stack,
}) => {
  const { run, assembly } = await assembled(stack, stdio(stack).given);
  expect(await run('mcp.test.die')).toMatchObject({
    state: 'failed',
    error: { code: 'mcp_connection_lost', retryable: false },
  });
  expect(await assembly.checks()).toMatchObject([{ name: 'mcp_test', status: 'degraded' }]);
  expect(await run('mcp.test.add', { a: 1, b: 1 })).toMatchObject({ state: 'succeeded' });
  expect(await assembly.checks()).toMatchObject([{ status: 'ok' }]);
});

test('a server that is gone is told apart from one that failed, and found again', async ({ stack }) => {
  const { given, served } = await http(stack);
  const { run } = await assembled(stack, given);
  await served.stop();
  // The first call may still go out on the old connection: nobody can know then.
  const first = await run('mcp.test.add', { a: 1, b: 1 });
  expect(['mcp_server_unavailable', 'mcp_connection_lost']).toContain(first.error?.code);
  const gone = await run('mcp.test.add', { a: 1, b: 1 });
  expect(gone).toMatchObject({
    state: 'failed',
    error: { code: 'mcp_server_unavailable', retryable: true, details: { server: 'test' } },
  });
  const back = await serveMcp(served.port);
  stack.atEnd(() => back.stop());
  expect(await run('mcp.test.add', { a: 1, b: 1 })).toMatchObject({ state: 'succeeded' });
});

test('I9 a server gets the variables that are named; what it writes is noted without its secrets', async ({
  stack,
}) => {
  const kind = stdio(stack);
  const { run, notes } = await assembled(stack, kind.given);
  await run('mcp.test.hello');
  expect(kind.said()).toBe('hello yes -\n');
  const note = await until(() => notes.find((text) => text.startsWith('test: up')));
  expect(note).not.toContain('ghp_');
  const { given, served } = await http(stack);
  await assembled(stack, given);
  expect(served.headers.every((headers) => headers['x-team-token'] === 'secret-1')).toBe(true);
});

test('a server that cannot be reached at the start is told by name', async ({ stack }) => {
  const gone = await serveMcp();
  await gone.stop();
  for (const server of [
    { url: gone.url },
    { command: ['/no/such/program'] },
    { url: gone.url, headers_from_env: { authorization: 'NOT_SET' } },
  ]) {
    const config = { mcp_servers: { search: server } };
    await expect(assembled(stack, { config, env: {} })).rejects.toMatchObject({
      code: 'E_ADAPTER_FAIL',
      message: expect.stringMatching(
        /^the MCP server search cannot be reached: .*(ECONNREFUSED|ENOENT|NOT_SET)/,
      ),
    });
  }
});
