// Views that move, in a real pseudo-terminal: what is left on the screen, and how the terminal is left.
import { fileURLToPath } from 'node:url';
import { describe, expect, test as base } from 'vitest';
import { hasTerminal, Terminal, type TerminalOptions } from './terminal.ts';

const PROGRAM = fileURLToPath(new URL('./terminal-program.ts', import.meta.url));

/** Starts a view in a terminal that ends with the test. */
// oxlint-disable-next-line no-empty-pattern -- vitest wants a pattern there
const test = base.extend('start', async ({}, { onCleanup }) => {
  const open: Terminal[] = [];
  onCleanup(async () => {
    await Promise.all(open.map((terminal) => terminal.close()));
  });
  return (mode: 'progress' | 'watch', script: string, options: TerminalOptions): Terminal => {
    const terminal = new Terminal([process.execPath, PROGRAM, mode, script], options);
    open.push(terminal);
    return terminal;
  };
});

if (!hasTerminal) process.stderr.write('SKIPPED: live views: python3 with pty is not on this machine\n');

describe.skipIf(!hasTerminal)('progress', { concurrent: true, timeout: 60_000 }, () => {
  test('shows the step, how far it is and the nearest limit, and leaves nothing of that', async ({
    start,
  }) => {
    const terminal = start('progress', 'steps', { columns: 80 });
    await terminal.until('first step', () =>
      terminal.screen.lines.some((line) => /^. transform {2}4\.\ds/.test(line)),
    );
    expect(terminal.screen.lines[0]).toMatch(/^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] transform {2}\d\.\ds {2}1\/3 steps · 1m 05s$/);
    expect(terminal.screen.lines[1]).toBe('  tool calls  ████████████████░░░░  8 of 10');
    terminal.signal('SIGUSR2');
    await terminal.until('second step', () =>
      terminal.screen.lines.some((line) => line.includes('publish  ')),
    );
    terminal.signal('SIGUSR2');
    await terminal.until('end', () => terminal.screen.lines.some((line) => line.includes('3/3 steps')));
    terminal.signal('SIGUSR2');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.lines).toEqual(['job_id=release_42 status=completed']);
    expect(terminal.screen.isCursorVisible).toBe(true);
  });

  test('is redrawn at most ten times a second', async ({ start }) => {
    const startedAtMs = performance.now();
    const terminal = start('progress', 'steady', { columns: 80 });
    await terminal.until('redraws', () => terminal.screen.redraws > 10);
    terminal.signal('SIGUSR2');
    await terminal.ended;
    expect(terminal.screen.redraws).toBeLessThanOrEqual((performance.now() - startedAtMs) / 100 + 1);
  });

  test('what others write to the same terminal stands above it, complete', async ({ start }) => {
    const terminal = start('progress', 'notes', { columns: 80 });
    await terminal.until('step', () => terminal.screen.lines.length === 2);
    terminal.signal('SIGUSR2');
    await terminal.ended;
    expect(terminal.screen.lines).toEqual(['a note from below', 'job_id=release_42 status=completed']);
  });

  test('a terminal of twenty columns gets lines that fit', async ({ start }) => {
    const terminal = start('progress', 'steady', { columns: 20 });
    await terminal.until('step', () => terminal.screen.lines.length === 2);
    expect(terminal.screen.lines[0]).toMatch(/^. transform {2}4\.\ds …$/);
    expect(terminal.screen.lines[1]).toBe('  tool calls  ████…');
    terminal.signal('SIGUSR2');
    await terminal.ended;
    expect(terminal.screen.lines.join('')).toBe('job_id=release_42 status=completed');
  });

  test('a command that breaks leaves the cursor visible', async ({ start }) => {
    const terminal = start('progress', 'throws', { columns: 80 });
    await terminal.until('step', () => terminal.screen.lines.length === 2);
    expect(terminal.screen.isCursorVisible).toBe(false);
    terminal.signal('SIGUSR2');
    expect(await terminal.ended).toBe(1);
    expect(terminal.screen.isCursorVisible).toBe(true);
  });

  test('a signal puts the terminal in order at once, before the command has ended', async ({ start }) => {
    const terminal = start('progress', 'steady', { columns: 80 });
    await terminal.until('step', () => terminal.screen.lines.length === 2);
    terminal.signal('SIGTERM');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.lines).toEqual(['stopping…', 'job_id=release_42 status=completed']);
    expect(terminal.screen.isCursorVisible).toBe(true);
  });

  test('nothing is drawn on a terminal that cannot move its cursor', async ({ start }) => {
    const terminal = start('progress', 'brief', { columns: 80, env: { TERM: 'dumb' } });
    await terminal.ended;
    expect(terminal.output).toBe('job_id=release_42 status=completed\r\n');
  });
});

describe.skipIf(!hasTerminal)('watch', { concurrent: true, timeout: 60_000 }, () => {
  test('follows the job to its end, then shows it once and in full', async ({ start }) => {
    const terminal = start('watch', 'steps', { columns: 80 });
    await terminal.until('view', () =>
      terminal.screen.lines.some((line) => /2 {2}transform {2}. running/.test(line)),
    );
    expect(terminal.screen.lines.at(-1)).toBe('q quits; the job goes on');
    terminal.signal('SIGUSR2');
    await terminal.until('second step', () =>
      terminal.screen.lines.some((line) => /3 {2}publish {4}. running/.test(line)),
    );
    terminal.signal('SIGUSR2');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.lines.filter((line) => line.startsWith('release_42  '))).toEqual([
      'release_42  completed  nightly release',
    ]);
    expect(terminal.screen.lines.filter((line) => / {2}done {3,}1/.test(line))).toHaveLength(3);
    expect(terminal.screen.lines.at(-1)).toMatch(/^ {2}reeve checkpoint list release_42/);
    expect(terminal.screen.isCursorVisible).toBe(true);
    expect(terminal.output).not.toContain('\u001b[?1049h');
  });

  test.for(['q', '\u0003'])('%j ends it and gives the keyboard back', async (key, { start }) => {
    const terminal = start('watch', 'steady', { columns: 80 });
    await terminal.until('view', () => terminal.screen.lines.at(-1) === 'q quits; the job goes on');
    expect(await terminal.isCooked()).toBe(false);
    terminal.type(key);
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.isCursorVisible).toBe(true);
    expect(terminal.screen.lines.at(-1)).toMatch(/^ {2}reeve watch release_42/);
  });

  test('a source that fails leaves the terminal in order', async ({ start }) => {
    const terminal = start('watch', 'fail', { columns: 80 });
    await terminal.until('view', () => terminal.screen.lines.at(-1) === 'q quits; the job goes on');
    terminal.signal('SIGUSR2');
    expect(await terminal.ended).toBe(1);
    expect(terminal.screen.isCursorVisible).toBe(true);
    expect(terminal.output).toContain('the store went away');
  });

  test('a signal ends it', async ({ start }) => {
    const terminal = start('watch', 'steady', { columns: 80 });
    await terminal.until('view', () => terminal.screen.lines.at(-1) === 'q quits; the job goes on');
    terminal.signal('SIGTERM');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.isCursorVisible).toBe(true);
  });

  test('fits a window that is smaller than the job', async ({ start }) => {
    const terminal = start('watch', 'many', { columns: 60, rows: 12 });
    await terminal.until('view', () => terminal.screen.lines.at(-1) === 'q quits; the job goes on');
    await terminal.until('redraw', () => terminal.screen.redraws > 3);
    expect(terminal.screen.lines.length).toBeLessThanOrEqual(11);
    expect(terminal.screen.lines.join('\n')).toContain('transform');
    terminal.type('q');
    await terminal.ended;
    expect(terminal.screen.lines.filter((line) => line.startsWith('release_42  '))).toHaveLength(1);
  });

  test('survives a window that becomes narrower and wider', async ({ start }) => {
    const terminal = start('watch', 'steady', { columns: 100, rows: 40 });
    await terminal.until('view', () => terminal.screen.lines.at(-1) === 'q quits; the job goes on');
    for (const columns of [40, 120, 30, 80]) {
      const before = terminal.screen.redraws;
      terminal.resize(columns, 40);
      await terminal.until('redraws', () => terminal.screen.redraws > before + 3);
      expect(terminal.screen.lines.filter((line) => line.startsWith('release_42  '))).toHaveLength(1);
      expect(terminal.screen.lines.every((line) => line.length < columns)).toBe(true);
    }
    terminal.type('q');
    await terminal.ended;
    expect(terminal.screen.lines.filter((line) => line.startsWith('release_42  '))).toHaveLength(1);
  });
});
