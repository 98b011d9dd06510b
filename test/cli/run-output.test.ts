// Output of operational runs: much of it, too much of it, and such as is no text (contract agents §3.1).
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { bytesOf, logOf, metaOf, runOnce, startRun } from './operational.ts';
import { test, until } from './rig.ts';

describe.concurrent('output', () => {
  test('J6: a gigabyte passes in bounded memory, and what is beyond the cap is counted', async ({ home }) => {
    const total = 1_000_000_000;
    const cap = 1_000_003;
    const running = startRun(home, [
      '--run-id=r',
      '--action=act',
      `--max-output=${cap}`,
      `--command=yes 'clean output' | head -c ${total}; exit 5`,
    ]);
    const peak = await peakOf(running.pid, () => running.isOver);
    expect((await running.ended).code).toBe(5);
    expect(bytesOf(home, 'artifacts/output.raw').length).toBe(cap);
    expect(logOf(home).slice(-4)).toEqual([
      `PHASE: TRUNCATED ${total - cap}`,
      'PHASE: COMPLETED',
      'EXIT:5',
      '',
    ]);
    expect(metaOf(home)).toMatchObject({ truncated: true, output_bytes: cap, outcome: 'failed' });
    expect(peak).toBeLessThan(200);
  });

  test('J6: large output below the cap is complete, in bounded memory', async ({ home }) => {
    const lines = 8_000_000;
    const running = startRun(home, [
      '--run-id=r',
      '--action=act',
      '--max-output=1000000000',
      `--command=seq ${lines}`,
    ]);
    const peak = await peakOf(running.pid, () => running.isOver);
    expect((await running.ended).code).toBe(0);
    const output = bytesOf(home, 'artifacts/output.raw');
    expect(output.length).toBe(62_888_896);
    expect(output.subarray(-8).toString()).toBe(`${lines}\n`);
    expect(metaOf(home)).toMatchObject({ truncated: false, output_bytes: output.length });
    const log = bytesOf(home, 'logs/step_act.log');
    expect(log.includes(output.subarray(-1_000))).toBe(true);
    expect(log.length).toBeGreaterThan(output.length);
    expect(peak).toBeLessThan(200);
  });

  test('J7: binary output is kept byte for byte, and the log says what it was', async ({ home }) => {
    const script = 'process.stdout.write(Buffer.from([...Array(256).keys()]))';
    await runOnce(home, ['--', 'node', '-e', script]);
    const bytes = bytesOf(home, 'artifacts/output.raw');
    expect(bytes).toEqual(Buffer.from([...Array(256).keys()]));
    const { binary, output_sha256: sha256 } = metaOf(home);
    expect(binary).toBe(true);
    expect(logOf(home)[5]).toBe(`[binary output: 256 bytes, sha256 ${sha256}]`);
    expect(logOf(home)).toHaveLength(10);
  });
});

/** The most memory that a process ever had, in MiB. */
async function peakOf(pid: number, isOver: () => boolean): Promise<number> {
  let peak = 0;
  await until(
    () => {
      try {
        const text = readFileSync(`/proc/${pid}/status`, 'latin1');
        peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024);
      } catch {}
      return isOver();
    },
    'the end of the run',
    80_000,
  );
  return peak;
}
