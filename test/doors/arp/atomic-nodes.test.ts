// Plugins, the configuration file, and what is published of both.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { publishTypes } from '../../../src/doors/arp/atomic/publish.ts';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { assembled, write } from './assembly.ts';
import { test } from './support.ts';

const GREET = `export const nodes = [{
  node_type: {
    node_type_id: 'team.greet', version: '1.0.0', description: 'Greets somebody.',
    input_schema: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
  },
  greeting: 'Hello',
  async execute({ name }, call) {
    if (name === 'nobody') throw call.failure('nobody_there', 'Nobody is there.', { details: { name } });
    return { outputs: { text: this.greeting + ' ' + name + ' ' + call.attempt + ' ' + call.request.run_id } };
  },
}];`;
const node = (id: string, more = ''): string =>
  `export const nodes = [{ node_type: { node_type_id: '${id}', version: '1' ${more} }, execute: async () => ({}) }];`;

describe('plugins', () => {
  test('every module of a folder, in the order of names', async ({ stack }) => {
    await write(stack, 'nodes/b.js', node('team.b').replace('export const nodes', 'exports.nodes'));
    await write(stack, 'nodes/a.mjs', GREET);
    await write(stack, 'nodes/c.ts', `const id: string = 'team.c'; ${node("' + id + '")}`);
    for (const other of ['_helper.mjs', '.hidden.mjs', 'readme.md', 'd.d.ts'])
      await write(stack, `nodes/${other}`, 'not a module');
    const { assembly, run } = await assembled(stack, { plugins: ['nodes'] });
    const ids = assembly.types.map(({ node_type_id: id }) => id).filter((id) => id.startsWith('team.'));
    expect(ids).toEqual(['team.greet', 'team.b', 'team.c']);
    expect(assembly.types.find(({ node_type_id: id }) => id === 'team.greet')?.kind).toBe('atomic');
    expect(await run('team.greet', { name: 'Ada' })).toMatchObject({
      outputs: { text: 'Hello Ada 1 run_1' },
    });
    expect(await run('team.greet', { name: 7 })).toMatchObject({ error: { code: 'invalid_inputs' } });
    expect((await run('team.greet', { name: 'nobody' })).error).toEqual({
      code: 'nobody_there',
      message: 'Nobody is there.',
      details: { name: 'nobody' },
    });
  });

  test('an npm package, by whatever its manifest says', async ({ stack }) => {
    const packages = {
      '@team/exports': { exports: { '.': { types: './x.d.ts', import: './main.mjs' } } },
      conditions: { exports: { require: './no.cjs', default: './main.mjs' } },
      plain: { main: 'main.mjs' },
    };
    for (const [name, manifest] of Object.entries(packages)) {
      const folder = stack.path(join('node_modules', name));
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'package.json'), JSON.stringify({ name, ...manifest }));
      await writeFile(join(folder, 'main.mjs'), node(`p.${name.replace('@team/', '')}`));
    }
    const { assembly } = await assembled(stack, { plugins: Object.keys(packages) });
    const ids = assembly.types.map(({ node_type_id: id }) => id).filter((id) => id.startsWith('p.'));
    expect(ids).toEqual(['p.exports', 'p.conditions', 'p.plain']);
  });

  test.for([
    ['that throws', 'throw new Error("no luck")', /bad\.mjs cannot be loaded: no luck$/],
    ['that is no JavaScript', 'export const nodes = [', /bad\.mjs cannot be loaded: /],
    ['without nodes', 'export default 1', /bad\.mjs does not export `nodes`/],
    [
      'with a type that does not fit',
      node('x', ', color: 1'),
      /bad\.mjs nodes\[0\]\.node_type\.color is no field/,
    ],
    [
      'with a composite',
      node('x', ", kind: 'composite'"),
      /bad\.mjs nodes\[0\]\.node_type\.kind must be atomic/,
    ],
    [
      'with nothing to execute',
      "export const nodes = [{ node_type: { node_type_id: 'x', version: '1' } }]",
      /bad\.mjs nodes\[0\]\.execute must be a function/,
    ],
    ['with null', 'export const nodes = [null]', /bad\.mjs nodes\[0\]\.node_type\.node_type_id is missing/],
    [
      'with a schema that is none',
      node('x', ', input_schema: { type: 7 }'),
      /the input schema of x \(.*bad\.mjs\) is none/,
    ],
    [
      'with a schema from elsewhere',
      node('x', ", input_schema: { $ref: 'http://127.0.0.1/s' }"),
      /the input schema of x/,
    ],
    [
      'with a built-in id',
      node('jarvis.core.echo'),
      /jarvis\.core\.echo has two handlers: built in and .*bad\.mjs$/,
    ],
  ] as const)('a module %s is told by its file', async ([, text, message], { stack }) => {
    await write(stack, 'nodes/bad.mjs', text);
    await expect(assembled(stack, { plugins: ['nodes'] })).rejects.toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      message: expect.stringMatching(message),
    });
  });

  test('a folder without modules, and one that is not there', async ({ stack }) => {
    await mkdir(stack.path('empty'));
    await expect(assembled(stack, { plugins: ['empty'] })).rejects.toThrow(/^empty holds no module/);
    for (const place of ['./none', 'none', '@a/b/c'])
      await expect(assembled(stack, { plugins: [place] })).rejects.toThrow(
        /is no folder and no installed package/,
      );
  });

  test('an input schema of draft 07 is read as one', async ({ stack }) => {
    const schema = `, input_schema: { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object',
      properties: { pair: { items: [{ type: 'string' }, { type: 'number' }] } } }`;
    await write(stack, 'nodes/old.mjs', node('old', schema));
    const { run } = await assembled(stack, { plugins: ['nodes'] });
    expect((await run('old', { pair: ['a', 1] })).state).toBe('succeeded');
    expect((await run('old', { pair: [1, 'a'] })).error?.code).toBe('invalid_inputs');
  });
});

describe('the configuration file', () => {
  test.for([
    ['an unknown field', { mcp_server: {} }, '/mcp_server is no known field'],
    [
      'a host that is none',
      { web_fetch: { allow: ['http://a.b'] } },
      '/web_fetch/allow/0 "http://a.b" is neither',
    ],
    [
      'a server with neither',
      { mcp_servers: { a: {} } },
      '/mcp_servers/a must have either a command or a url',
    ],
    [
      'a server with both',
      { mcp_servers: { a: { url: 'http://x', command: ['x'] } } },
      'must have either a command or a url',
    ],
    [
      'a server that is no URL',
      { mcp_servers: { a: { url: 'ftp://x' } } },
      '/mcp_servers/a/url must be an http or https URL',
    ],
    [
      'env beside a URL',
      { mcp_servers: { a: { url: 'http://x', env: [] } } },
      '/mcp_servers/a/env only fits a server with a command',
    ],
    ['a name that is none', { mcp_servers: { 'A b': { url: 'http://x' } } }, '/mcp_servers'],
    [
      'no side effect',
      { commands: { a: { version: '1', argv: ['x'] } } },
      '/commands/a/side_effect is missing',
    ],
    [
      'an input as program',
      { commands: { a: { version: '1', side_effect: 'read', argv: ['{x}'] } } },
      '/commands/a/argv/0 is the program',
    ],
    [
      'an unknown input',
      { commands: { a: { version: '1', side_effect: 'read', argv: ['x', '{y}'] } } },
      '/commands/a/argv/1 names the input y',
    ],
    [
      'a lonely brace',
      { commands: { a: { version: '1', side_effect: 'read', argv: ['x', '{'] } } },
      '/commands/a/argv/1 has a brace alone',
    ],
    [
      'a pattern that is none',
      { commands: { a: { version: '1', side_effect: 'read', argv: ['x'], redact: ['('] } } },
      '/commands/a/redact/0',
    ],
  ] as const)('with %s is refused, with the place', async ([, config, message], { stack }) => {
    await expect(assembled(stack, { config })).rejects.toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      message: expect.stringContaining(`${stack.path('atomic.json')}: `),
    });
    await expect(assembled(stack, { config })).rejects.toThrow(message);
  });
});

test('types are published once; what is there word by word is passed over, another is refused', async ({
  stack,
}) => {
  const served = await stack.registry();
  const registry = registryClient({ baseUrl: served.url });
  await write(stack, 'nodes/a.mjs', GREET);
  const { types } = (await assembled(stack, { plugins: ['nodes'] })).assembly;
  expect(await publishTypes(registry, types)).toEqual({ published: 7, known: 0 });
  expect(await publishTypes(registry, types)).toEqual({ published: 0, known: 7 });
  expect((await served.get('/v1/node-types/team.greet')).json).toMatchObject({
    kind: 'atomic',
    version: '1.0.0',
  });
  const other = types.map((type) => ({ ...type, description: 'other' }));
  await expect(publishTypes(registry, other.slice(-1))).rejects.toMatchObject({
    code: 'E_INVALID_INPUT_SCHEMA',
    message: 'the registry has other node types under team.greet 1.0.0: give these a new version',
  });
});
