// Completion in a real bash: what it offers for a line that is being typed.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../../src/cli/commands/index.ts';
import { completionScript, SHELLS } from '../../../src/cli/ui/completion.ts';
import { STATUSES } from '../../../src/doors/jobs/map.ts';
import { CHECKPOINT_TYPES } from '../../../src/model/node.ts';
import { hasTerminal, Terminal } from './terminal.ts';

const PAGE = {
  jobs: [{ job_id: 'release_42', name: '"job_id": "not_this"' }, { job_id: 'rel.7' }, { job_id: 'other' }],
};
const dir = mkdtempSync(join(tmpdir(), 'reeve-completion-'));
const [BASH, ZSH, FISH] = SHELLS;
const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

for (const shell of SHELLS.filter((each) => !has(each))) {
  process.stderr.write(`SKIPPED: ${shell} is not on this machine, its completion script is not run\n`);
}

beforeAll(() => {
  mkdirSync(join(dir, 'bin'));
  mkdirSync(join(dir, 'work', 'my dir'), { recursive: true });
  writeFileSync(join(dir, 'work', 'jobspec.yaml'), '');
  writeFileSync(join(dir, 'work', 'my spec.yaml'), '');
  writeFileSync(join(dir, 'page.json'), JSON.stringify(PAGE, undefined, 2));
  const fake = `#!/bin/sh\necho "$@" >> ${dir}/calls\necho noise >&2\ncat ${dir}/page.json\n`;
  writeFileSync(join(dir, 'bin', 'reeve'), fake);
  chmodSync(join(dir, 'bin', 'reeve'), 0o755);
  for (const shell of SHELLS)
    writeFileSync(join(dir, `reeve.${shell}`), completionScript(shell, 'reeve', COMMANDS));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What bash offers at the end of the line, its words split as readline does. */
function offered(...words: readonly string[]): string[] {
  const script = `source ${dir}/reeve.bash
complete -p reeve >/dev/null || exit 9
COMP_WORDS=(reeve "$@"); COMP_CWORD=$#
_reeve
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync(BASH, ['--norc', '-c', script, 'bash', ...words], {
    cwd: join(dir, 'work'),
    env: { PATH: `${dir}/bin:${process.env['PATH'] ?? ''}` },
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').filter((word) => word !== '');
}

describe.skipIf(!has(BASH))('bash', () => {
  test('the script is well formed, also for wrkr', () => {
    for (const program of ['reeve', 'wrkr']) {
      const input = completionScript('bash', program, COMMANDS);
      expect(spawnSync(BASH, ['-n'], { input, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
      expect(input).toContain(`complete -F _${program} ${program}`);
    }
  });

  test('commands, and the second word of those that have two', () => {
    expect(offered('')).toEqual([...new Set(COMMANDS.map(({ path }) => path[0]))]);
    expect(offered('che')).toEqual(['checkpoint']);
    expect(offered('checkpoint', '')).toEqual(['list', 'show', 'emit']);
    expect(offered('--json', 'store', 'p')).toEqual(['prune']);
  });

  test('flags, those of the command and the global ones', () => {
    expect(offered('submit', '--')).toEqual([
      '--job-id',
      '--queue',
      '--allow-secrets',
      '--json',
      '--explain',
      '--help',
      '--store',
    ]);
    expect(offered('checkpoint', 'emit', 'release_42', '--type', 'plan', '--required-k')).toEqual([
      '--required-kind',
    ]);
    expect(offered('--')).toEqual(['--json', '--explain', '--help', '--store']);
  });

  test('job ids, from the store that the line names', () => {
    expect(offered('status', '')).toEqual(['release_42', 'rel.7', 'other']);
    expect(offered('checkpoint', 'list', 'rel')).toEqual(['release_42', 'rel.7']);
    expect(offered('--store', '/tmp/s', 'resume', '--reason', 'because', 'o')).toEqual(['other']);
    expect(readFileSync(`${dir}/calls`, 'utf8').split('\n').at(-2)).toBe(
      '--store /tmp/s list --json --limit 100',
    );
  });

  test('no job ids where a command takes none, or no more', () => {
    expect(offered('status', 'release_42', '')).toEqual([]);
    expect(offered('resume', '--reason', '')).toEqual([]);
    expect(offered('version', '')).toEqual([]);
  });

  test('statuses and checkpoint types, also after =', () => {
    expect(offered('list', '--status', '')).toEqual([...STATUSES]);
    expect(offered('list', '--status', '=', 'blocked_d')).toEqual(['blocked_decision']);
    expect(offered('list', '--status', '=')).toEqual([...STATUSES]);
    expect(offered('checkpoint', 'emit', 'x', '--type', '')).toEqual([...CHECKPOINT_TYPES]);
    expect(offered('completion', '')).toEqual([...SHELLS]);
  });

  test('files and directories, with blanks in their names', () => {
    expect(offered('submit', '')).toEqual(expect.arrayContaining(['jobspec.yaml', 'my spec.yaml']));
    expect(offered('wrap', '--out-dir', '')).toEqual(['my dir']);
  });

  test.skipIf(!hasTerminal)('the tab key, in a bash that a person uses', async () => {
    const terminal = new Terminal(['bash', '--norc', '--noprofile', '-i'], {
      columns: 120,
      env: { PATH: `${dir}/bin:${process.env['PATH'] ?? ''}`, TERM: 'dumb', INPUTRC: '/dev/null', PS1: '> ' },
    });
    try {
      terminal.type(`bind 'set enable-bracketed-paste off'; source ${dir}/reeve.bash; echo read''y\n`);
      await terminal.until('prompt', () => terminal.output.includes('ready'));
      terminal.type('reeve ch\tem\tother --ty\tdec\t');
      await terminal.until('line', () =>
        terminal.output.includes('reeve checkpoint emit other --type decision-needed '),
      );
      terminal.type('\u0015reeve cancel ot\t');
      await terminal.until('line', () => terminal.output.includes('reeve cancel other '));
      expect(terminal.output).not.toContain('noise');
    } finally {
      await terminal.close();
    }
  });

  test('a program that fails offers nothing and says nothing', () => {
    writeFileSync(join(dir, 'page.json'), '{"schema_id": "wrkr.error_envelope"}');
    expect(offered('status', '')).toEqual([]);
    writeFileSync(join(dir, 'page.json'), JSON.stringify(PAGE, undefined, 2));
  });
});

test.skipIf(!has(ZSH))('zsh reads its script', () => {
  expect(spawnSync(ZSH, ['-n', join(dir, 'reeve.zsh')], { encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  });
});

test.skipIf(!has(FISH))('fish completes with its script', () => {
  const at = (line: string): string =>
    spawnSync(FISH, ['-c', `source ${dir}/reeve.fish; complete -C '${line}'`], {
      env: { ...process.env, PATH: `${dir}/bin:${process.env['PATH'] ?? ''}`, HOME: dir },
      encoding: 'utf8',
    }).stdout;
  expect(at('reeve checkpoint ')).toContain('emit');
  expect(at('reeve status ')).toContain('release_42');
  expect(at('reeve list --status blocked_d')).toContain('blocked_decision');
});

test.each(['zsh', 'fish'] as const)('the %s script knows every command and flag', (shell) => {
  const script = completionScript(shell, 'reeve', COMMANDS);
  for (const { path, flags } of COMMANDS) {
    for (const word of path) expect(script).toContain(word);
    for (const flag of Object.keys(flags))
      expect(script).toContain(shell === 'fish' ? `-l ${flag} ` : `--${flag}`);
  }
});
