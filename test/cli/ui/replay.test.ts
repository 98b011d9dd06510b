// A pack played in a real pseudo-terminal: by keys, and by itself.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test as base } from 'vitest';
import { PackJob } from '../../evidence/pack-job.ts';
import { write } from '../../evidence/support.ts';
import { BIN } from '../rig.ts';
import { hasTerminal, Terminal } from './terminal.ts';

// oxlint-disable-next-line no-empty-pattern -- vitest wants a pattern there
const test = base.extend('play', async ({}, { onCleanup }) => {
  const dir = await mkdtemp(join(tmpdir(), 'reeve-replay-'));
  const open: Terminal[] = [];
  onCleanup(async () => {
    await Promise.all(open.map((terminal) => terminal.close()));
    await rm(dir, { recursive: true, force: true });
  });
  return async (...flags: readonly string[]): Promise<Terminal> => {
    const { path } = await write(dir, new PackJob().toEnd().source());
    const argv = [process.execPath, join(BIN, 'reeve.js'), 'replay', path, ...flags];
    const terminal = new Terminal(argv, { columns: 100, rows: 40, env: { HOME: dir, REEVE_HOME: dir } });
    open.push(terminal);
    return terminal;
  };
});

const COUNT = new PackJob().toEnd().events.length;

if (!hasTerminal) process.stderr.write('SKIPPED: replay: python3 with pty is not on this machine\n');

describe.skipIf(!hasTerminal)('replay on a terminal', { concurrent: true, timeout: 60_000 }, () => {
  test('by keys: forward, back, and out; the terminal is left as it was', async ({ play }) => {
    const terminal = await play('--step');
    const at = (seq: number): Promise<void> =>
      terminal.until(`evt_${seq}`, () =>
        terminal.screen.lines.some((line) => line.startsWith(`evt_${seq} of ${COUNT}  `)),
      );
    await at(1);
    terminal.type('\u001b[C');
    await at(2);
    terminal.type('  ');
    await at(4);
    terminal.type('\u001b[D');
    await at(3);
    terminal.type('\u001b[D\u001b[D\u001b[D');
    await at(1);
    terminal.type(' '.repeat(COUNT + 5));
    await at(COUNT);
    expect(terminal.screen.lines.join('\n')).toMatch(/completed/);
    terminal.type('\u001b[D'.repeat(COUNT - 5));
    await at(5);
    terminal.type('q');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.lines[0]).toMatch(/^demo {2}running {2}/);
    expect(terminal.screen.lines.some((line) => line.startsWith('evt_'))).toBe(false);
    expect(terminal.screen.isCursorVisible).toBe(true);
  });

  test('by itself: it goes to the end and leaves the last state', async ({ play }) => {
    const terminal = await play('--speed', '1000');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen.lines[0]).toMatch(/^demo {2}completed {2}/);
    expect(terminal.screen.redraws).toBeGreaterThanOrEqual(COUNT);
    expect(terminal.screen.isCursorVisible).toBe(true);
  });

  test('by itself: a long wait is cut short, and q ends it', async ({ play }) => {
    // At this speed the run takes days; no event is waited for longer than that.
    const cut = await play('--speed', '0.0001', '--max-pause', '1ms');
    expect(await cut.ended).toBe(0);
    const slow = await play('--speed', '0.0001', '--max-pause', '1h');
    await slow.until('the first event', () => slow.screen.lines.some((line) => line.startsWith('evt_1 of')));
    slow.type('q');
    expect(await slow.ended).toBe(0);
    expect(slow.screen.lines[0]).toMatch(/^demo {2}queued {2}/);
  });
});
