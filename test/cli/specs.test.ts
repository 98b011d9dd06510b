// What a spec may not be (contract wrkr §e, W35): refused before anything exists, with the field and the problem.
import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { specOf, type Any, type Home } from './rig.ts';
import { test } from './session.ts';

/** The file is refused with exit 6 and nothing of a job exists, nor has anything run. */
async function refused(home: Home, file: string, label = file): Promise<Any> {
  const error = await home.fails(['submit', file, '--job-id', 'j']);
  expect(error, label).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
  expect(existsSync(home.jobDir('j')), label).toBe(false);
  expect(existsSync(home.path('ran')), label).toBe(false);
  expect(error.message.length, 'a message stays readable').toBeLessThan(2000);
  return error;
}

const RUN = { id: 'run', command: 'touch ran' };

describe.concurrent('W35 a spec that is not valid', () => {
  const changes: Record<string, [string, (spec: Any) => void]> = {
    'an unknown field': ['/colour', (spec) => (spec.colour = 'red')],
    'an unknown field of budgets': ['/budgets/max_coffee', (spec) => (spec.budgets.max_coffee = 1)],
    'an unknown field of a step': ['/inputs/steps/0/comand', (spec) => (spec.inputs.steps[0].comand = 'x')],
    'no created_at': ['/created_at', (spec) => delete spec.created_at],
    'no expected_artifacts': ['/expected_artifacts', (spec) => delete spec.expected_artifacts],
    'no budgets': ['/budgets', (spec) => delete spec.budgets],
    'a limit that is text': ['/budgets/max_retries', (spec) => (spec.budgets.max_retries = '3')],
    'a negative limit': ['/budgets/max_step_count', (spec) => (spec.budgets.max_step_count = -1)],
    'a fraction of a retry': ['/budgets/max_retries', (spec) => (spec.budgets.max_retries = 0.5)],
    'executed as text': ['/inputs/steps/0/executed', (spec) => (spec.inputs.steps[0].executed = 'false')],
    'a command that is a list': [
      '/inputs/steps/0/command',
      (spec) => (spec.inputs.steps[0].command = ['touch', 'ran']),
    ],
    'a NUL in a command': [
      '/inputs/steps/0/command',
      (spec) => (spec.inputs.steps[0].command = 'touch ran\0'),
    ],
    'a step that is text': ['/inputs/steps/0', (spec) => (spec.inputs.steps[0] = 'touch ran')],
    'no steps': ['/inputs/steps', (spec) => delete spec.inputs.steps],
    'an empty list of steps': ['/inputs/steps', (spec) => (spec.inputs.steps = [])],
    'steps that are a map': ['/inputs/steps', (spec) => (spec.inputs.steps = { 0: RUN })],
    'an unknown adapter': ['/adapter/name', (spec) => (spec.adapter.name = 'magic')],
    'an unknown rule': [
      '/environment_fingerprint/rules',
      (spec) => (spec.environment_fingerprint.rules = ['moon']),
    ],
    'env: without a name': [
      '/environment_fingerprint/rules',
      (spec) => (spec.environment_fingerprint.rules = ['env:']),
    ],
    'another schema': ['/schema_id', (spec) => (spec.schema_id = 'wrkr.other')],
    'another version': ['/schema_version', (spec) => (spec.schema_version = 'v2')],
    'a time that is none': ['/created_at', (spec) => (spec.created_at = 'yesterday')],
    'an empty name': ['/name', (spec) => (spec.name = '')],
    'an unknown checkpoint type': [
      '/checkpoint_policy/required_types/0',
      (spec) => (spec.checkpoint_policy.required_types = ['party']),
    ],
    'needs of nobody': ['/inputs/steps/0/needs/0', (spec) => (spec.inputs.steps[0].needs = ['nobody'])],
    'needs of itself': ['/inputs/steps/0/needs/0', (spec) => (spec.inputs.steps[0].needs = ['run'])],
    'needs in a circle': [
      '/inputs/steps/0/needs',
      (spec) =>
        (spec.inputs.steps = [
          { id: 'a', needs: ['b'], command: 'touch ran' },
          { id: 'b', needs: ['a'] },
        ]),
    ],
    'an unknown usage source': [
      '/inputs/steps/0/usage/source',
      (spec) => (spec.inputs.steps[0].usage = { source: 'guess' }),
    ],
    'a workspace outside': ['/inputs/workspace', (spec) => (spec.inputs.workspace = '../')],
    'an absolute workspace elsewhere': ['/inputs/workspace', (spec) => (spec.inputs.workspace = '/tmp')],
    'a workspace that is not there': ['/inputs/workspace', (spec) => (spec.inputs.workspace = 'nowhere')],
    'null where a map belongs': ['/budgets', (spec) => (spec.budgets = null)],
  };
  test.for(Object.entries(changes))('%s', async ([label, [field, change]], { session: home }) => {
    const spec = specOf([{ ...RUN }]);
    change(spec);
    await home.write('s.json', JSON.stringify(spec));
    expect((await refused(home, 's.json', label)).details).toMatchObject({
      field,
      problem: expect.any(String),
    });
  });

  test('all problems are told at once, also as text', async ({ home }) => {
    const { name: _, ...spec } = specOf([{ ...RUN, executed: 'no' }]);
    await home.write('s.json', JSON.stringify({ ...spec, colour: 'red' }));
    const error = await refused(home, 's.json');
    const fields = error.details.problems.map(({ field }: { field: string }) => field);
    expect(fields.toSorted()).toEqual(['/colour', '/inputs/steps/0/executed', '/name']);
    const { stderr, code } = await home.run(['submit', 's.json']);
    expect(code).toBe(6);
    expect(stderr).toMatch(/^E_INVALID_INPUT_SCHEMA: /);
    for (const field of fields) expect(stderr).toContain(field);
  });
});

describe.concurrent('a file that is no spec', () => {
  const spec = specOf([RUN]);
  const yaml = JSON.stringify(spec);
  const steps = JSON.stringify(spec.inputs.steps);
  const bomb = [
    'a0: &a0 [x,x,x,x,x,x,x,x,x,x]',
    ...Array.from({ length: 12 }, (_, n) => `a${n + 1}: &a${n + 1} [${Array(10).fill(`*a${n}`).join(',')}]`),
  ].join('\n');
  const files: Record<string, [string, string | Uint8Array]> = {
    'a YAML bomb of aliases': ['s.yaml', `${bomb}\n`],
    'a bomb inside a valid spec': [
      's.yaml',
      yaml.replace('{"steps"', `{"x": {${bomb.replaceAll('\n', ', ')}}, "steps"`),
    ],
    'an alias to what holds it': ['s.yaml', yaml.replace('{"steps"', '{"x": &x [*x], "steps"')],
    'an alias to nothing': ['s.yaml', yaml.replace(steps, '*nothing')],
    'a tag of a program': ['s.yaml', yaml.replace(steps, '!!js/function "x"')],
    'two documents': ['s.yaml', `${yaml}\n---\n${yaml}\n`],
    'a key twice in YAML': ['s.yaml', 'schema_id: wrkr.jobspec\nschema_id: wrkr.jobspec\n'],
    'a key twice in JSON': ['s.json', `{"name":"x",${yaml.slice(1)}`],
    'a key twice, once escaped': ['s.json', `{"n\\u0061me":"x",${yaml.slice(1)}`],
    'deep JSON': ['s.json', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    'deep YAML': ['s.yaml', '- '.repeat(50_000)],
    'deep flow YAML': ['s.yaml', '['.repeat(100_000)],
    '10 MB of JSON': ['s.json', `{"x":"${'y'.repeat(10_000_000)}"}`],
    '10 MB of YAML': ['s.yaml', 'x: y\n'.repeat(2_000_000)],
    'random bytes': ['s.yaml', Uint8Array.from({ length: 5000 }, (_, n) => (n * 7919 + (n >> 3)) % 256)],
    'half a surrogate': ['s.json', yaml.replace('show a behaviour', String.raw`\ud800`)],
    'bad UTF-8': [
      's.json',
      Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
    ],
    nothing: ['s.yaml', ''],
    'a number': ['s.json', '42'],
    'a list': ['s.yaml', '- a\n- b\n'],
    'JSON with a comment': ['s.json', `// spec\n${yaml}`],
    infinity: ['s.yaml', yaml.replace('"max_retries":100', '"max_retries": .inf')],
  };
  test.for(Object.entries(files))('%s is refused', async ([label, [file, content]], { session: home }) => {
    await home.write(file, content);
    await refused(home, file, label);
  });

  test('a byte order mark before JSON is refused or passed over, never a defect', async ({ home }) => {
    await home.write('s.json', `\ufeff${yaml}`);
    const { code, stderr } = await home.run(['submit', 's.json']);
    expect([0, 6]).toContain(code);
    expect(stderr).not.toContain('E_GENERIC');
  });

  test('a directory, a pipe, a missing file, a file in a file: refused at once', async ({ home }) => {
    await mkdir(home.path('dir.yaml'));
    await home.write('file', '');
    const { spawnSync } = await import('node:child_process');
    spawnSync('mkfifo', [home.path('pipe.yaml')]);
    for (const file of [
      'dir.yaml',
      'pipe.yaml',
      'missing.yaml',
      'file/s.yaml',
      '',
      '/dev/zero',
      `${'x'.repeat(300)}.yaml`,
    ])
      await refused(home, file);
  });
});

describe.concurrent('paths', () => {
  test('a spec outside the working directory is refused, also behind a symbolic link; an absolute one is taken', async ({
    home,
  }) => {
    await home.write('../outside/s.json', JSON.stringify(specOf([RUN])));
    await symlink('../outside', home.path('link'));
    await symlink('../outside/s.json', home.path('s.json'));
    for (const file of ['../outside/s.json', 'link/s.json', 's.json', 'link/../../outside/s.json']) {
      const error = await refused(home, file);
      expect(error.details.problem).toContain('leaves the working directory');
    }
    const path = `${home.dir}/outside/s.json`;
    expect(await home.json(['submit', path, '--job-id', 'j'])).toMatchObject({
      spec_path: path,
      status: 'completed',
    });
  });

  test('a workspace outside is refused behind a symbolic link, and one inside is taken', async ({ home }) => {
    await mkdir(`${home.dir}/outside`);
    await mkdir(home.path('inside'));
    await symlink('../outside', home.path('bad'));
    await symlink('inside', home.path('good'));
    await home.write('s.json', JSON.stringify(specOf([RUN], { inputs: { workspace: 'bad' } })));
    await refused(home, 's.json');
    expect(existsSync(`${home.dir}/outside/ran`)).toBe(false);
    await home.write('s.json', JSON.stringify(specOf([RUN], { inputs: { workspace: 'good' } })));
    await home.json(['submit', 's.json', '--job-id', 'j']);
    expect(existsSync(home.path('inside/ran'))).toBe(true);
  });

  test('init: outside is refused, an existing file is kept unless --force, folders are made', async ({
    home,
  }) => {
    await mkdir(`${home.dir}/outside`);
    await symlink('../outside', home.path('link'));
    for (const path of ['../outside/x.yaml', 'link/x.yaml', ''])
      expect(await home.fails(['init', path]), path).toMatchObject({
        code: 'E_INVALID_INPUT_SCHEMA',
        exit_code: 6,
      });
    expect(await home.json(['init', 'a/b.yaml'])).toEqual({ jobspec_path: home.path('a/b.yaml') });
    await home.write('a/b.yaml', 'mine');
    expect(await home.fails(['init', '--path', 'a/b.yaml'])).toMatchObject({ exit_code: 6 });
    expect(await home.read('a/b.yaml')).toBe('mine');
    await home.json(['init', 'a/b.yaml', '--force']);
    expect(await home.read('a/b.yaml')).toContain('wrkr.jobspec');
    await home.json(['init', '/dev/null/x'].slice(0, 1).concat(`${home.dir}/abs.yaml`));
  });

  test('ill-formed ids are refused everywhere, and touch nothing outside the store', async ({
    session: home,
  }) => {
    await home.write('../victim/events.jsonl', '{}');
    for (const id of [
      '..',
      '.',
      '../victim',
      '../../victim',
      '/etc',
      'a/b',
      'a b',
      'ä',
      'a\u0000b'.replace('\0', '%00'),
      'x'.repeat(300),
      'a..b',
    ]) {
      for (const words of [
        ['status', id],
        ['resume', id],
        ['checkpoint', 'list', id],
        ['cancel', id],
      ]) {
        const error = await home.fails(words);
        expect(error, words.join(' ')).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
        break;
      }
    }
    const error = await home.fails(['status', 'nobody']);
    expect(error).toMatchObject({ exit_code: 6, details: { job_id: 'nobody' } });
  });
});
