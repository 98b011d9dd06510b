/** What is kept of output: exact, bounded, redacted. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LineSplitter, Tail, TAIL_BYTES, tailText } from '../../../src/executors/process/output.ts';
import { Rig } from './rig.ts';

describe('real commands', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.open();
  });
  afterEach(() => rig.close());

  test('200 MiB of output: exact tail, exact count, bounded memory', async () => {
    const script = 'head -c 209715200 /dev/zero | tr "\\0" x; printf "%65536s" end';
    const status = await rig.run(rig.executor(), rig.shell('k1', script));
    expect(status.outputs).toMatchObject({ stdout_bytes: 209_715_200 + 65_536, truncated: true });
    expect(status.outputs?.['stdout_tail']).toBe('end'.padStart(65_536));
    const memory = readFileSync(`/proc/${rig.claim('k1').supervisor.pid}/status`, 'utf8');
    const peakKb = Number(/VmHWM:\s+(\d+) kB/.exec(memory)?.[1]);
    process.stdout.write(`supervisor peak after 200 MiB: ${Math.round(peakKb / 1024)} MiB\n`);
    expect(peakKb).toBeLessThan(150 * 1000);
  });

  test('full capture keeps every byte of both streams, also binary ones', async () => {
    const script = 'head -c 3000000 /dev/urandom | tee copy; head -c 70000 /dev/urandom | tee copy2 >&2';
    const more = { capture: 'full', captureDir: rig.path('artifacts') };
    const status = await rig.run(rig.executor(), rig.shell('k1', script, more));
    expect(status.outcome).toBe('succeeded');
    const hash = (name: string): string =>
      createHash('sha256')
        .update(readFileSync(rig.path(name)))
        .digest('hex');
    expect(hash('artifacts/output/stdout.log')).toBe(hash('copy'));
    expect(hash('artifacts/output/stderr.log')).toBe(hash('copy2'));
    const kept = readFileSync(rig.record('k1', 'stdout.tail'));
    expect(kept.equals(readFileSync(rig.path('copy')).subarray(-kept.length))).toBe(true);
    expect(kept.length).toBeGreaterThan(TAIL_BYTES - 4);
    for (const name of ['stdout_tail', 'stderr_tail']) {
      const text = status.outputs?.[name] as string;
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(TAIL_BYTES);
      expect(text).not.toContain('\0');
    }
  });

  test('a capture that cannot begin fails the attempt before the command runs', async () => {
    writeFileSync(rig.path('file'), '');
    for (const captureDir of [rig.path('file'), '/proc/nowhere']) {
      const more = { capture: 'full', captureDir };
      const status = await rig.run(rig.executor(), rig.shell(basename(captureDir), 'echo > ran', more));
      expect(status).toMatchObject({ outcome: 'failed', error: { code: 'E_ADAPTER_FAIL' } });
    }
    expect(() => readFileSync(rig.path('ran'))).toThrow('ENOENT');
  });

  test('I9: what the patterns match is kept nowhere', async () => {
    const script =
      'printf "ticket=abc123 fine\\ntic"; sleep 0.1; printf "ket=def456"; echo "err ticket=x9" >&2';
    const more = { capture: 'full', captureDir: rig.path('artifacts'), redact: ['ticket=\\w+'] };
    const status = await rig.run(rig.executor(), rig.shell('k1', script, more));
    expect(status.outputs).toMatchObject({
      stdout_tail: '[REDACTED] fine\n[REDACTED]',
      stderr_tail: 'err [REDACTED]\n',
      stdout_bytes: 'ticket=abc123 fine\nticket=def456'.length,
    });
    expect(readFileSync(rig.path('artifacts/output/stdout.log'), 'utf8')).toBe('[REDACTED] fine\n[REDACTED]');
  });
});

/** The bytes in pieces of any size. */
const pieces = fc.array(fc.uint8Array({ maxLength: 50_000, size: 'max' }), { maxLength: 8 });

test('a tail is the end of what was pushed', () => {
  fc.assert(
    fc.property(pieces, (chunks) => {
      const tail = new Tail();
      for (const chunk of chunks) tail.push(Buffer.from(chunk));
      const all = Buffer.concat(chunks);
      const kept = tail.bytes();
      expect(tail.totalBytes).toBe(all.length);
      expect(kept.equals(all.subarray(all.length - kept.length))).toBe(true);
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(all.length, TAIL_BYTES - 3));
      expect(kept.length).toBeLessThanOrEqual(TAIL_BYTES);
    }),
    { numRuns: 50 },
  );
});

test('a tail begins with a whole character', () => {
  const tail = new Tail();
  tail.push(Buffer.from('€'.repeat(30_000)));
  expect(tail.bytes().toString('utf8')).toBe('€'.repeat(Math.floor(TAIL_BYTES / 3)));
});

test('text of a tail is bounded even where every byte is replaced', () => {
  expect(Buffer.byteLength(tailText(Buffer.alloc(TAIL_BYTES, 0xff)))).toBeLessThanOrEqual(TAIL_BYTES);
  expect(tailText(Buffer.from('a\0b'))).toBe('a\uFFFDb');
});

test('lines arrive whole however they are cut, and long ones are skipped and counted', () => {
  const lines = fc.array(
    fc.string({ maxLength: 30 }).filter((line) => !line.includes('\n')),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 9 }), (expected, size) => {
      const seen: string[] = [];
      const splitter = new LineSplitter(60, (line) => seen.push(line));
      const bytes = Buffer.from(expected.map((line) => `${line}\n${'x'.repeat(61)}\n`).join(''));
      for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size));
      const fits = expected.filter((line) => Buffer.byteLength(line) <= 60);
      expect(seen).toEqual(fits.map((line) => Buffer.from(line).toString()).filter((line) => line !== ''));
      expect(splitter.skipped).toBe(2 * expected.length - fits.length);
    }),
  );
});
