// Commands as atomic nodes: real processes under real supervisors.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { filledArguments } from '../../../src/doors/arp/atomic/command/template.ts';
import { assembled, until, type Assembled } from './assembly.ts';
import { test, type Stack } from './support.ts';
import { isAlive } from '../../support/waiting.ts';

const TEXT_INPUT = { type: 'object', properties: { text: {} } };

/** `node -e` with a script that finds its inputs in process.argv from 1 on. */
function script(code: string, more: object = {}) {
  return {
    version: '1.0.0',
    side_effect: 'read',
    argv: [process.execPath, '-e', code.replaceAll('{', '{{').replaceAll('}', '}}'), '--', '{text}'],
    input_schema: TEXT_INPUT,
    ...more,
  };
}

function open(
  stack: Stack,
  commands: object,
  env?: Readonly<Record<string, string | undefined>>,
): Promise<Assembled> {
  return assembled(stack, { config: { commands }, ...(env === undefined ? {} : { env }) });
}

test('a command gets its inputs as arguments, and no shell sees them', async ({ stack }) => {
  const { run, assembly } = await open(stack, {
    'team.say': script('process.stdout.write(JSON.stringify(process.argv.slice(1)))'),
  });
  const evil = '$(touch x); "quoted" --option';
  expect(await run('team.say', { text: evil })).toMatchObject({
    state: 'succeeded',
    outputs: { text: JSON.stringify([evil]), truncated: false },
  });
  expect(await run('team.say', { text: ['a', 2, true] })).toMatchObject({
    outputs: { text: '["a","2","true"]' },
  });
  expect(await run('team.say')).toMatchObject({ outputs: { text: '[]' } });
  expect(await run('team.say', { text: { a: 1 } })).toMatchObject({ error: { code: 'invalid_inputs' } });
  expect(assembly.types.find(({ node_type_id: id }) => id === 'team.say')).toMatchObject({
    version: '1.0.0',
    extensions: { 'jarvis.side_effect': 'read' },
  });
});

test('output as JSON: an object as it is, anything else as its value', async ({ stack }) => {
  const code = 'process.stdout.write(process.argv[1])';
  const { run } = await open(stack, { 'team.json': script(code, { output: 'json' }) });
  const big = { list: Array.from({ length: 20_000 }, (_, at) => at) };
  expect((await run('team.json', { text: JSON.stringify(big) })).outputs).toEqual(big);
  expect((await run('team.json', { text: '[1]' })).outputs).toEqual({ value: [1] });
  expect(await run('team.json', { text: 'no' })).toMatchObject({
    state: 'failed',
    error: { code: 'invalid_output' },
  });
});

test('a command that fails tells its exit code and what it wrote last', async ({ stack }) => {
  const { run } = await open(stack, {
    'team.fail': script('console.error("it broke"); process.exitCode = 3'),
    'team.none': { ...script(''), argv: ['/no/such/program'] },
  });
  expect(await run('team.fail')).toMatchObject({
    state: 'failed',
    error: { code: 'command_failed', details: { exit_code: 3, stderr: 'it broke\n' } },
  });
  expect(await run('team.none')).toMatchObject({
    error: { code: 'command_failed', message: 'the program /no/such/program was not found' },
  });
});

test('I9 a command gets the variables that are named, and its secrets are not passed on', async ({
  stack,
}) => {
  const code = 'console.log(process.env.REEVE_T_ALLOWED, process.env.REEVE_T_OTHER, "ticket-42")';
  process.env['REEVE_T_ALLOWED'] = 'yes';
  process.env['REEVE_T_OTHER'] = 'no';
  stack.atEnd(() => {
    delete process.env['REEVE_T_ALLOWED'];
    delete process.env['REEVE_T_OTHER'];
  });
  const { run } = await open(stack, {
    'team.env': script(code, { env: ['REEVE_T_ALLOWED'], redact: ['ticket-\\d+'] }),
  });
  expect((await run('team.env')).outputs).toMatchObject({ text: 'yes undefined [REDACTED]\n' });
});

/** Writes its process id and that of its child, and stays. */
const STUBBORN = (file: string): string =>
  `const c = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)']);` +
  `require('fs').appendFileSync(${JSON.stringify(file)}, process.pid + '\\n' + c.pid + '\\n'); setInterval(() => 0, 1000)`;

const pids = (file: string): readonly number[] =>
  existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];

test('G41 a cancel ends the command with all its children before it is told', async ({ stack }) => {
  const file = stack.path('pids');
  const { run, executor } = await open(stack, { 'team.stay': script(STUBBORN(file)) });
  const running = run('team.stay', {}, 's');
  const started = await until(() => (pids(file).length > 1 ? pids(file) : undefined));
  await executor.cancel('s');
  expect(await running).toMatchObject({ state: 'canceled', error: { code: 'canceled' } });
  expect(started.filter(isAlive)).toEqual([]);
});

test('G41 a command that takes longer than it may is ended', async ({ stack }) => {
  const file = stack.path('pids');
  const { run } = await open(stack, { 'team.stay': script(STUBBORN(file), { timeout_ms: 400 }) });
  expect(await run('team.stay')).toMatchObject({ state: 'failed', error: { code: 'timeout' } });
  expect(pids(file).filter(isAlive)).toEqual([]);
});

test('H32 an executor that comes after a killed one finds the command, and does not run it twice', async ({
  stack,
}) => {
  const [file, go] = [stack.path('pids'), stack.path('go')];
  const code =
    `require('fs').appendFileSync(${JSON.stringify(file)}, process.pid + '\\n');` +
    `const t = setInterval(() => { if (require('fs').existsSync(${JSON.stringify(go)})) { clearInterval(t); console.log('done') } }, 10)`;
  const commands = { 'team.once': script(code) };
  const before = await open(stack, commands);
  void before.run('team.once', {}, 'n').catch(() => undefined);
  await until(() => (pids(file).length > 0 ? true : undefined));
  const after = await open(stack, commands);
  const again = after.run('team.once', {}, 'n');
  const { writeFile } = await import('node:fs/promises');
  await writeFile(go, '');
  expect(await again).toMatchObject({ state: 'succeeded', outputs: { text: 'done\n' } });
  expect(pids(file)).toHaveLength(1);
});

test('a cancel reaches a command that an executor before this one began', async ({ stack }) => {
  const file = stack.path('pids');
  const commands = { 'team.stay': script(STUBBORN(file)) };
  const before = await open(stack, commands);
  const running = before.run('team.stay', {}, 'n');
  const started = await until(() => (pids(file).length > 1 ? pids(file) : undefined));
  const after = await open(stack, commands);
  await after.executor.cancel('n');
  expect(await running).toMatchObject({ state: 'failed', error: { code: 'command_failed' } });
  expect(started.filter(isAlive)).toEqual([]);
});

test('an input that stands alone may not pass for an option, unless -- stands before it', () => {
  expect(() => filledArguments(['rm', '{path}'], { path: '-rf' })).toThrow(/begins with -/);
  expect(filledArguments(['rm', '--', '{path}'], { path: '-rf' })).toEqual(['rm', '--', '-rf']);
  expect(filledArguments(['rm', '--name={path}'], { path: '-rf' })).toEqual(['rm', '--name=-rf']);
  expect(() => filledArguments(['rm', '{path}'], { path: 'a\0b' })).toThrow(/NUL/);
  expect(filledArguments(['a', '--x={x}', '{{x}}', '{y}'], { y: 0.5 })).toEqual(['a', '{x}', '0.5']);
});

test('a folder of a command starts at the configuration file', async ({ stack }) => {
  const { run } = await open(stack, { 'team.cwd': script('console.log(process.cwd())', { cwd: '.' }) });
  const { realpathSync } = await import('node:fs');
  expect((await run('team.cwd')).outputs).toMatchObject({ text: `${join(realpathSync(stack.dir))}\n` });
});
