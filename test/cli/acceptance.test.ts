// Acceptance, the GitHub summary and work items through the real programs (contract wrkr §g, §h).
import { existsSync } from 'node:fs';
import { readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  ACCEPT_RESULT_SCHEMA,
  GITHUB_SUMMARY_SCHEMA,
  WORK_ITEM_SCHEMA,
} from '../../src/doors/jobs/response-schemas.ts';
import { problemsOf } from '../../src/doors/validate.ts';
import { filesIn } from '../evidence/support.ts';
import { DECISION, isAlive, until, type Any, type Home, type Result } from './rig.ts';
import { test } from './session.ts';

const CHECKS = ['schema_validity', 'required_artifacts', 'path_constraints', 'test_command', 'lint_command'];
const MAKE = { id: 'make', command: 'mkdir -p out && echo made > out/a.txt', artifacts: ['out/a.txt'] };
const GOOD = { test_command: 'true', lint_command: 'true' };

/** A completed job `j`. */
async function completed(home: Home, more: object = {}): Promise<void> {
  const { json, stderr } = await home.submit('j', [MAKE], { more });
  if (json?.status !== 'completed') throw new Error(stderr);
}

async function config(home: Home, content: object, name = 'accept.yaml'): Promise<string> {
  await home.write(name, JSON.stringify(content));
  return name;
}

async function accept(
  home: Home,
  args: readonly string[] = [],
  options = {},
): Promise<Result & { json: Any }> {
  return home.run(['accept', 'run', 'j', ...args, '--json'], options);
}

const checksOf = (result: Result): Any[] => result.json.checks;
const failedOf = (result: Result): string[] =>
  checksOf(result).flatMap(({ name, passed }: Any) => (passed === true ? [] : [name]));

describe.concurrent('accept init', () => {
  test('writes a configuration that accept run reads; an existing file is 6 without --force', async ({
    home,
  }) => {
    expect((await home.run(['accept', 'init'])).stdout).toBe(`config=${home.path('accept.yaml')}\n`);
    expect(await home.fails(['accept', 'init'])).toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      exit_code: 6,
    });
    expect(await home.json(['accept', 'init', '--force', '--path', 'a.yaml'])).toEqual({
      config_path: home.path('a.yaml'),
    });
    expect(await home.fails(['accept', 'init', '--path', '../a.yaml'])).toMatchObject({ exit_code: 6 });
    await completed(home);
    const result = await accept(home);
    expect(result.json).toMatchObject({ config_path: home.path('accept.yaml') });
    expect(failedOf(result)).toEqual(['test_command', 'lint_command']);
    expect(result.stderr).toBe('');
  });
});

describe.concurrent('accept run', () => {
  test('W60 five checks in order, all of them made, exit 5 without envelope, codes once', async ({
    home,
  }) => {
    await completed(home);
    await config(home, {
      required_artifacts: ['out/b.txt'],
      path_rules: { forbidden_prefixes: ['out'] },
      test_command: 'echo tested >> ran; false',
      lint_command: 'echo linted >> ran; false',
    });
    const result = await accept(home);
    expect([result.code, result.error, result.stderr]).toEqual([5, undefined, '']);
    expect(checksOf(result).map(({ name }) => name)).toEqual(CHECKS);
    expect(failedOf(result)).toEqual(CHECKS.slice(1));
    expect(await home.lines('ran')).toEqual(['tested', 'linted']);
    const { accept_result: document, ...rest } = result.json;
    expect(document).toMatchObject({
      job_id: 'j',
      checks_run: 5,
      checks_passed: 1,
      reason_codes: ['E_ACCEPT_MISSING_ARTIFACT', 'E_ACCEPT_TEST_FAIL'],
    });
    expect(document.failures[0]).toMatchObject({ check: 'required_artifacts', artifact: 'out/b.txt' });
    expect(await problemsOf(ACCEPT_RESULT_SCHEMA, document)).toEqual([]);
    expect(rest).toEqual({
      job_id: 'j',
      config_path: home.path('accept.yaml'),
      accept_result_path: join(home.jobDir('j'), 'accept_result.json'),
      checks: expect.any(Array),
    });
  });

  test('W60 a job that is as it should be: exit 0, and the lines of both', async ({ home }) => {
    await completed(home);
    await config(home, { ...GOOD, required_artifacts: ['out/a.txt'], artifacts_on_disk: true });
    const passed = await home.run(['accept', 'run', 'j']);
    const path = join(home.jobDir('j'), 'accept_result.json');
    expect(passed).toMatchObject({ code: 0, stderr: '' });
    expect(passed.stdout).toBe(`job=j checks=5 passed=5 failures=0\naccept_result=${path}\n`);
    await config(home, { ...GOOD, lint_command: 'printf "a\\033[31mb\\n\\nc"; exit 2' });
    const failed = await home.run(['accept', 'run', 'j', '--junit', 'r.xml'], {
      program: 'reeve',
      env: { REEVE_HOME: home.store },
    });
    expect(failed.code).toBe(5);
    expect(failed.stdout.split('\n')).toEqual([
      'job=j checks=5 passed=4 failures=1',
      `accept_result=${path}`,
      `junit=${home.path('r.xml')}`,
      'failure check=lint_command message=command failed (exit=2): a\\u001b[31mb\\n\\nc',
      '',
    ]);
  });

  test('the result is an event, a file and an entry of the next pack; the last one counts; the job stays done', async ({
    session: home,
  }) => {
    await completed(home);
    const before = await home.status('j');
    await config(home, { ...GOOD, test_command: 'false' });
    await accept(home);
    await config(home, GOOD);
    const { accept_result: last } = (await accept(home)).json;
    const facts = (await home.events('j')).filter(({ type }) => type === 'reeve.fact_recorded');
    expect(facts.map(({ payload }) => payload.name)).toEqual(['accept_result', 'accept_result']);
    expect(facts[1].payload.data).toEqual(last);
    const file = await readFile(join(home.jobDir('j'), 'accept_result.json'), 'utf8');
    expect(JSON.parse(file)).toEqual(last);
    expect(file).toMatch(/^\{"checks_passed":5,"checks_run":5,"created_at":".*"schema_version":"v1"\}$/);
    expect(last.created_at).toMatch(/^[^.]*(\.\d*[1-9])?Z$/);
    // I6: terminal states never change, whatever is noted beside them.
    expect(await home.status('j')).toEqual({ ...before, created_at: expect.any(String) });
    const { path } = await home.json(['export', 'j']);
    const files = filesIn(await readFile(path));
    expect(files.get('accept/accept_result.json')).toBe(file);
    expect(await home.json(['verify', 'j'])).toMatchObject({ job_id: 'j' });
    expect(await home.json(['store', 'check'])).toMatchObject({ ok: true });
  });

  test('an absent file is all defaults, and is told; the default commands are empty, so nothing passes by mistake', async ({
    home,
  }) => {
    await completed(home);
    const result = await accept(home, ['--config', 'mistyped.yaml']);
    expect(result.code).toBe(5);
    expect(checksOf(result).slice(3)).toEqual([
      {
        name: 'test_command',
        passed: false,
        message: 'test_command is empty',
        reason_code: 'E_ACCEPT_TEST_FAIL',
      },
      {
        name: 'lint_command',
        passed: false,
        message: 'lint_command is empty',
        reason_code: 'E_ACCEPT_TEST_FAIL',
      },
    ]);
    expect(result.stderr).toContain('mistyped.yaml is not there');
  });

  test("the configuration is --config, else what the job's spec names, else accept.yaml", async ({
    session: home,
  }) => {
    await completed(home, { acceptance: { config_path: 'ci/a.yaml' } });
    await config(home, { ...GOOD, lint_command: 'exit 3' });
    await config(home, { ...GOOD, lint_command: 'exit 4' }, 'ci/a.yaml');
    await config(home, { ...GOOD, lint_command: 'exit 5' }, 'b.json');
    expect((await accept(home)).json.checks[4].message).toContain('exit=4');
    expect((await accept(home, ['--config', 'b.json'])).json.checks[4].message).toContain('exit=5');
    expect((await accept(home, ['--config', home.path('accept.yaml')])).json.checks[4].message).toContain(
      'exit=3',
    );
  });

  test('what is wrong with a configuration is said with its line, is 6, and leaves no trace', async ({
    session: home,
  }) => {
    await completed(home);
    const bytes = await home.bytes('j');
    await home.write('outside/a.yaml', '');
    await symlink('/etc/hostname', home.path('link.yaml'));
    const cases: [string, number | undefined][] = [
      ['a: [\n  b', 2],
      ['path_rules:\n  max_artifact_path: 1\n', 2],
      ['\n\nrequired_artifacts: text\n', 3],
      ['required_artifacts:\n  - a\n  - 1\n', 3],
      ['command_timeout_seconds: 0', 1],
      ['path_rules: { mode: words }', 1],
      ['schema_id: wrkr.jobspec', 1],
      ['lint_command: [make]', 1],
      ['[]', 1],
      ['test_command: a\ntest_command: b', undefined],
    ];
    for (const [text, line] of cases) {
      await home.write('accept.yaml', text);
      const error = await home.fails(['accept', 'run', 'j']);
      expect(error, text).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
      expect(error.message, text).toContain('accept.yaml');
      if (line !== undefined) expect(error.details.line, text).toBe(line);
    }
    for (const words of [
      ['j', '--config', '../a.yaml'],
      ['j', '--config', 'link.yaml'],
      ['j', '--config', 'outside'],
      ['j', '--config', ''],
      ['j', '--junit', ''],
      ['none'],
      ['../j'],
      [],
    ]) {
      expect(await home.fails(['accept', 'run', ...words]), words.join(' ')).toMatchObject({ exit_code: 6 });
    }
    expect(await home.bytes('j')).toBe(bytes);
    expect(existsSync(join(home.jobDir('j'), 'accept_result.json'))).toBe(false);
    await home.write('accept.yaml', '# nothing\ntest_command:\npath_rules:\n');
    expect((await accept(home)).code).toBe(5);
  });

  test('options of ours: segments, only allowed paths, files on disk', async ({ session: home }) => {
    await completed(home);
    const check = async (more: object): Promise<string[]> => {
      await config(home, { ...GOOD, ...more });
      return failedOf(await accept(home));
    };
    expect(await check({ path_rules: { forbidden_prefixes: ['ou'] } })).toEqual(['path_constraints']);
    expect(await check({ path_rules: { forbidden_prefixes: ['ou'], mode: 'segments' } })).toEqual([]);
    expect(await check({ path_rules: { allowed_prefixes: ['out'], only_allowed: true } })).toEqual([]);
    expect(await check({ path_rules: { only_allowed: true } })).toEqual(['path_constraints']);
    expect(await check({ artifacts_on_disk: true })).toEqual([]);
    await symlink('/etc/passwd', home.path('out/b.txt'));
    for (const path of ['out/c.txt', 'out/b.txt', '/etc/passwd', '../x', 'out/']) {
      const id = `job${path.replaceAll(/[^a-z]/g, '_')}x`;
      await home.submit(id, [{ id: 'claim', artifacts: [path] }]);
      const result = await home.run(['accept', 'run', id, '--json']);
      expect(failedOf(result), path).toEqual(['required_artifacts']);
      expect(checksOf(result)[1].artifact).toBe(path);
    }
  });

  test('a job in any state can be looked at; imported ones too, and what does not fit its schema fails', async ({
    home,
  }) => {
    await home.submit('j', [DECISION, MAKE]);
    await config(home, GOOD);
    expect((await accept(home)).code).toBe(0);
    expect(await home.status('j')).toMatchObject({ status: 'blocked_decision' });
    const lines = [
      { seq: 1, type: 'job_initialized', payload: { started_at: '2026-01-01T00:00:00Z', status: 'queued' } },
      { seq: 2, type: 'status_changed', payload: { from: 'queued', to: 'running' } },
      {
        seq: 3,
        type: 'checkpoint_emitted',
        payload: {
          artifacts_delta: { added: [], changed: [], removed: [] },
          budget_state: { retry_count: 0, step_count: 0, tool_call_count: 0, wall_time_seconds: -1 },
          reason_codes: [],
          required_action: null,
          status: 'running',
          summary: 'odd',
          type: 'progress',
        },
      },
      { seq: 4, type: 'status_changed', payload: { from: 'running', to: 'completed' } },
    ];
    const text = lines.map((line) => `${JSON.stringify({ ...line, created_at: '2026-01-01T00:00:00Z' })}\n`);
    await home.write('../.wrkr/jobs/other/events.jsonl', text.join(''));
    const result = await home.run(['accept', 'run', 'other', '--json']);
    expect(result.code, result.stderr).toBe(5);
    expect(checksOf(result)[0]).toMatchObject({
      passed: false,
      message: expect.stringContaining(
        'checkpoint "cp_3" does not fit its schema: /budget_state/wall_time_seconds',
      ),
      reason_code: 'E_ACCEPT_MISSING_ARTIFACT',
    });
  });
});

describe.concurrent('commands of acceptance', () => {
  test('W61 the message: exit code, both streams in their order, 400 bytes on a boundary of characters', async ({
    session: home,
  }) => {
    await completed(home);
    const message = async (command: string): Promise<string> => {
      await config(home, { ...GOOD, test_command: command });
      return (await accept(home)).json.checks[3].message;
    };
    expect(await message('echo a; echo b >&2; echo c; exit 9')).toBe('command failed (exit=9): a\nb\nc');
    expect(await message('exit 1')).toBe('command failed (exit=1): (no output)');
    expect(await message('kill -KILL $$')).toBe('command failed (exit=137): (no output)');
    expect(await message('no-such-program')).toMatch(/^command failed \(exit=127\): .*not found/);
    expect(await message("yes é | tr -d '\\n' | head -c 100000; exit 1")).toBe(
      `command failed (exit=1): ${'é'.repeat(200)}...`,
    );
    expect(await message("printf '%5000s'; printf x; printf '%5000s'; exit 1")).toBe(
      'command failed (exit=1): x',
    );
    expect(await message("printf 'a\\377b'; exit 1")).toBe('command failed (exit=1): a\ufffdb');
    expect(await message('read line; exit 1')).toBe('command failed (exit=1): (no output)');
  });

  test('output without end does not fill the memory', async ({ home }) => {
    await completed(home);
    await config(home, { ...GOOD, test_command: 'head -c 300000000 /dev/zero; exit 1' });
    const result = await accept(home, [], { env: { NODE_OPTIONS: '--max-old-space-size=64' } });
    expect(result.code, result.stderr).toBe(5);
  });

  test('a command over its time is ended, with all that it started, also what hears no TERM', async ({
    home,
  }) => {
    await completed(home);
    const stubborn =
      "trap '' TERM; echo $$ >> pids; sleep 100 & echo $! >> pids; (setsid sleep 100 & echo $! >> pids); while :; do sleep 1; done";
    await config(home, { ...GOOD, test_command: stubborn, command_timeout_seconds: 0.5 });
    const result = await accept(home);
    expect(checksOf(result)[3]).toMatchObject({
      passed: false,
      message: expect.stringMatching(/^command timed out after 0\.5 s \(exit=137\)/),
      reason_code: 'E_ACCEPT_TEST_FAIL',
    });
    expect(checksOf(result)[4]).toMatchObject({ passed: true });
    const pids = (await home.lines('pids')).map(Number);
    expect(pids).toHaveLength(3);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test('what a command leaves running is ended, and holds nothing up', async ({ home }) => {
    await completed(home);
    await config(home, {
      ...GOOD,
      test_command: 'sleep 100 & echo $! >> pids; (setsid sleep 100 & echo $! >> pids)',
    });
    expect((await accept(home)).code).toBe(0);
    expect((await home.lines('pids')).map(Number).filter(isAlive)).toEqual([]);
  });

  test('Ctrl-C ends the command and records nothing', async ({ home }) => {
    await completed(home);
    const bytes = await home.bytes('j');
    await config(home, { ...GOOD, test_command: 'echo $$ >> pids; sleep 100' });
    const running = home.start(['accept', 'run', 'j', '--ci', '--json']);
    await running.until('the command', async () => (await home.lines('pids')).length === 1);
    running.kill('SIGINT');
    const result = await running.ended;
    expect(result).toMatchObject({
      code: 130,
      stdout: '',
      stderr: expect.stringContaining('nothing was recorded'),
    });
    expect((await home.lines('pids')).map(Number).filter(isAlive)).toEqual([]);
    expect(await home.bytes('j')).toBe(bytes);
    expect(existsSync(home.path('wrkr-out'))).toBe(false);
  });

  test('kill -9 of the program ends the command too', async ({ home }) => {
    await completed(home);
    await config(home, { ...GOOD, test_command: 'echo $$ >> pids; sleep 100 & echo $! >> pids; wait' });
    const running = home.start(['accept', 'run', 'j', '--json']);
    await running.until('the command', async () => (await home.lines('pids')).length === 2);
    running.kill('SIGKILL');
    await running.ended;
    const pids = (await home.lines('pids')).map(Number);
    await until(() => !pids.some(isAlive), 'the end of the command');
  });

  test('a command may use the program on the same store', async ({ home }) => {
    await completed(home);
    const program = `"${process.execPath}" "${join(import.meta.dirname, '../../bin/wrkr.js')}"`;
    await config(home, {
      ...GOOD,
      test_command: `${program} status j | grep completed && ${program} export j`,
    });
    expect((await accept(home)).code).toBe(0);
  });
});

describe.concurrent('--ci', () => {
  test.for([
    ['passes', GOOD, 0],
    ['fails', { ...GOOD, test_command: 'echo "<no> & \\"never\\""; exit 1' }, 5],
  ] as const)('W62 W64 writes all files when it %s', async ([, content, code], { home }) => {
    await completed(home);
    await config(home, content);
    await home.write('step.md', 'before\n');
    const result = await accept(home, ['--ci', '--out-dir', 'o'], {
      env: { GITHUB_STEP_SUMMARY: home.path('step.md') },
    });
    expect(result.code, result.stderr).toBe(code);
    expect(result.json).toMatchObject({
      junit_path: home.path('o/reports/accept_j.junit.xml'),
      jobpack_path: home.path('o/jobpacks/jobpack_j.zip'),
      summary_json_path: home.path('o/reports/github_summary_j.json'),
      summary_markdown_path: home.path('o/reports/github_summary_j.md'),
      step_summary_path: home.path('step.md'),
    });
    expect((await readdir(home.path('o/reports'))).toSorted()).toEqual([
      'accept_j.junit.xml',
      'github_summary_j.json',
      'github_summary_j.md',
    ]);
    const junit = await home.read('o/reports/accept_j.junit.xml');
    expect(junit).toContain(`tests="5" failures="${code === 0 ? 0 : 1}"`);
    requireWellFormed(junit);
    const page = await home.read('o/reports/github_summary_j.md');
    expect(page).toContain(code === 0 ? '`passed` (5/5 checks)' : '`failed` (4/5 checks)');
    expect(await home.read('step.md')).toBe(`before\n${page}`);
    // The pack was made after the result was recorded.
    const files = filesIn(await readFile(home.path('o/jobpacks/jobpack_j.zip')));
    expect(JSON.parse(files.get('accept/accept_result.json') ?? '')).toEqual(result.json.accept_result);
  });

  test('--junit names the report, with --ci too; the text says where things are', async ({ home }) => {
    await completed(home);
    await config(home, GOOD);
    const { stdout, code } = await home.run(['accept', 'run', 'j', '--ci', '--junit', 'deep/r.xml']);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'job=j checks=5 passed=5 failures=0',
      `accept_result=${join(home.jobDir('j'), 'accept_result.json')}`,
      `junit=${home.path('deep/r.xml')}`,
      `summary=${home.path('wrkr-out/reports/github_summary_j.md')}`,
      '',
    ]);
    requireWellFormed(await home.read('deep/r.xml'));
    expect(await readdir(home.path('wrkr-out/reports'))).toEqual([
      'github_summary_j.json',
      'github_summary_j.md',
    ]);
  });
});

describe.concurrent('report github', () => {
  test('W63 W64 from an id or a pack: the same bytes, at any time and place; the step summary is appended to', async ({
    home,
  }) => {
    await completed(home);
    const env = { GITHUB_STEP_SUMMARY: 'step.md' };
    const text = await home.run(['report', 'github', 'j'], { env });
    const paths = ['json', 'md'].map((end) => home.path(`wrkr-out/reports/github_summary_j.${end}`));
    expect(text.stdout.split('\n')).toEqual([
      `summary_json=${paths[0]}`,
      `summary_markdown=${paths[1]}`,
      `step_summary=${home.path('step.md')}`,
      '',
    ]);
    const first = await readFile(paths[0] ?? '', 'utf8');
    const page = await readFile(paths[1] ?? '', 'utf8');
    const printed = await home.json(
      ['report', 'github', 'wrkr-out/jobpacks/jobpack_j.zip', '--out-dir', 'p'],
      {
        env: { ...env, TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8', REEVE_HOME: home.path('no/store') },
        program: 'reeve',
      },
    );
    expect(existsSync(home.path('no'))).toBe(false);
    expect(await home.read('p/reports/github_summary_j.json')).toBe(first);
    expect(await home.read('p/reports/github_summary_j.md')).toBe(page);
    expect(printed).toEqual({
      summary: JSON.parse(first),
      summary_json_path: home.path('p/reports/github_summary_j.json'),
      summary_markdown_path: home.path('p/reports/github_summary_j.md'),
      step_summary_path: home.path('step.md'),
    });
    expect(await problemsOf(GITHUB_SUMMARY_SCHEMA, printed.summary)).toEqual([]);
    expect(page).toBe(`${printed.summary.markdown}\n`);
    expect(await home.read('step.md')).toBe(page + page);
    expect(page).toMatch(
      /## Final Checkpoint\n\njob completed\n\n## Top Failures\n\n- None\n\n## Artifact Pointers\n\n- `out\/a\.txt`\n$/,
    );
  });

  test('an unknown job and a step summary that cannot be written are 6, a damaged pack 2', async ({
    home,
  }) => {
    await completed(home);
    expect(await home.fails(['report', 'github', 'none'])).toMatchObject({ exit_code: 6 });
    expect(
      await home.fails(['report', 'github', 'j'], { env: { GITHUB_STEP_SUMMARY: 'no/step.md' } }),
    ).toMatchObject({
      exit_code: 6,
      details: { field: 'GITHUB_STEP_SUMMARY' },
    });
    const pack = await readFile(home.path('wrkr-out/jobpacks/jobpack_j.zip'));
    pack[300]! ^= 1;
    await home.write('bad.zip', pack);
    expect(await home.fails(['report', 'github', 'bad.zip'])).toMatchObject({ exit_code: 2 });
  });
});

describe.concurrent('bridge work-item', () => {
  test('W65 for a decision: stable bytes, both templates; a dry run writes nothing', async ({ home }) => {
    await home.submit('j', [MAKE, DECISION]);
    const id = (await home.checkpoints('j')).at(-1).checkpoint_id;
    const bytes = await home.bytes('j');
    const dry = await home.json([
      'bridge',
      'work-item',
      'j',
      '--checkpoint',
      id,
      '--dry-run',
      '--template',
      'jira',
    ]);
    expect(dry).toEqual({ payload: expect.anything() });
    expect(await problemsOf(WORK_ITEM_SCHEMA, dry.payload)).toEqual([]);
    expect(existsSync(home.path('wrkr-out'))).toBe(false);
    const text = await home.run(['bridge', 'work-item', 'j', '--checkpoint', id]);
    const stem = home.path(`wrkr-out/reports/work_item_j_${id}`);
    expect(text.stdout.split('\n')).toEqual([
      `job_id=j checkpoint=${id} type=decision-needed`,
      `work_item=${stem}.json`,
      'next_commands:',
      `- wrkr approve j --checkpoint ${id} --reason "approved"`,
      '- wrkr resume j',
      '- wrkr export j',
      '- wrkr accept run j --json',
      '',
    ]);
    const first = await readFile(`${stem}.json`, 'utf8');
    expect(JSON.parse(first)).toEqual(dry.payload);
    for (const template of ['github', 'jira']) {
      const made = await home.json(['bridge', 'work-item', 'j', '--checkpoint', id, '--template', template]);
      expect(made).toEqual({
        payload: dry.payload,
        json_path: `${stem}.json`,
        template_path: `${stem}_${template}.md`,
      });
      expect(await readFile(`${stem}_${template}.md`, 'utf8')).toContain('Next commands:\n- wrkr approve j');
    }
    expect(await readFile(`${stem}.json`, 'utf8')).toBe(first);
    expect(await home.bytes('j')).toBe(bytes);
  });

  test('W65 for a blocked job; others, unknown ones, ill-formed ids and other templates are 6', async ({
    session: home,
  }) => {
    await home.submit('j', [MAKE, { id: 'bad', command: 'false' }]);
    const checkpoints = await home.checkpoints('j');
    const id = checkpoints.at(-1).checkpoint_id;
    const { payload } = await home.json(['bridge', 'work-item', 'j', '--checkpoint', id]);
    expect(payload).toMatchObject({
      checkpoint_type: 'blocked',
      required_action: 'resume',
      reason_codes: ['E_ADAPTER_FAIL'],
      next_commands: ['wrkr resume j', 'wrkr export j', 'wrkr accept run j --json'],
    });
    const before = await readdir(home.path('wrkr-out/reports'));
    for (const words of [
      ['j', '--checkpoint', checkpoints[0].checkpoint_id],
      ['j', '--checkpoint', 'cp_999'],
      ['j', '--checkpoint', `cp_0${id.slice(3)}`],
      ['j', '--checkpoint', id, '--template', 'x/../../../y'],
      ['j', '--checkpoint', id, '--template', 'GitHub'],
      ['j'],
      ['none', '--checkpoint', id],
    ]) {
      expect(await home.fails(['bridge', 'work-item', ...words]), words.join(' ')).toMatchObject({
        exit_code: 6,
      });
    }
    expect(await readdir(home.path('wrkr-out/reports'))).toEqual(before);
  });
});

describe.concurrent('crashes', () => {
  // The transaction of the result is the only one of `accept run`; then the directory is written.
  test.for([
    ['commit:before', [1]],
    ['commit:after', [2]],
    // Reached before the result as well, when the job is looked up.
    ['directory:before', [1, 2]],
    ['directory:after', [1, 2]],
  ] as const)(
    'I3 after kill -9 at %s, event and file say the same as soon as anyone looks',
    async ([place, counts], { home }) => {
      await completed(home);
      await config(home, { ...GOOD, test_command: 'false' });
      await accept(home);
      await config(home, GOOD);
      const killed = await accept(home, [], { env: { REEVE_STOP_AT: place } });
      expect(killed.signal).toBe('SIGKILL');
      await home.status('j');
      const facts = (await home.events('j')).filter(({ type }) => type === 'reeve.fact_recorded');
      expect(counts).toContain(facts.length);
      const file = JSON.parse(await readFile(join(home.jobDir('j'), 'accept_result.json'), 'utf8'));
      expect(file).toEqual(facts.at(-1).payload.data);
    },
  );
});

describe.concurrent('lanes', () => {
  test('a sidecar that only carries: request in, result out, --json last, the exit code as it is', async ({
    home,
  }) => {
    await completed(home);
    await config(home, { ...GOOD, lint_command: 'false' });
    const calls: [argv: string[], code: number][] = [
      [['status', 'j'], 0],
      [['wrap', '--job-id', 'w', '--', 'sh', '-c', 'echo hi'], 0],
      [['accept', 'run', 'j'], 5],
      [['report', 'github', 'j'], 0],
    ];
    for (const [argv, code] of calls) {
      await home.write('wrkr-out/integrations/lane/request.json', JSON.stringify({ argv }));
      const request = JSON.parse(await home.read('wrkr-out/integrations/lane/request.json'));
      const result = await home.run([...request.argv, '--json']);
      expect(result.code, result.stderr).toBe(code);
      await home.write('wrkr-out/integrations/lane/result.json', result.stdout);
      expect(JSON.parse(await home.read('wrkr-out/integrations/lane/result.json'))).toEqual(result.json);
      expect(result.json).toBeDefined();
    }
  });
});

/** Enough of XML to see that this is some: a header, tags that nest, attributes in quotes, references that exist. */
function requireWellFormed(text: string): void {
  expect(text.startsWith('<?xml version="1.0" encoding="UTF-8"?>\n')).toBe(true);
  // oxlint-disable-next-line no-control-regex -- matching control characters is the purpose
  expect(text).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/);
  const open: string[] = [];
  let roots = 0;
  const body = text.slice(text.indexOf('\n') + 1);
  const token =
    /<(\/?)([a-z]+)((?: [a-z]+="(?:[^<&"]|&(?:amp|lt|gt|#\d+|#x[0-9A-F]+);)*")*)>|[^<&]+|&(?:amp|lt|gt|#\d+|#x[0-9A-F]+);/y;
  while (token.lastIndex < body.length) {
    const at = token.lastIndex;
    const found = token.exec(body);
    if (found === null) throw new Error(`no XML at ${JSON.stringify(body.slice(at, at + 60))}`);
    const [, closing, name] = found;
    if (name === undefined) continue;
    if (closing === '/') expect(open.pop()).toBe(name);
    else if (open.push(name) === 1) roots += 1;
  }
  expect([open, roots]).toEqual([[], 1]);
}
