// Much of everything: every bit, a thousand packs, ten thousand events, bombs and big files within bounded memory.
import { mkdir, open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { verifyJobpack } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { verify } from '../../verify.mjs';
import { verifyBoth } from './both.ts';
import { measured } from './measured.ts';
import { PackJob, sourceOf } from './pack-job.ts';
import { rawZip } from './raw-zip.ts';
import {
  expectRefused,
  filesIn,
  finishedPack,
  jcs,
  referencePack,
  rehashed,
  seeded,
  test,
  verifyBytes,
  write,
  type Any,
  type Files,
} from './support.ts';
import { rechained } from './tamper-cases.ts';

const FRACTION_ENDS_IN_ZERO = /T\d\d:\d\d:\d\d\.\d*0Z/;

function longJob(steps: number): PackJob {
  const declared = Array.from({ length: steps }, (_, n) => ({
    id: `s${n}`,
    summary: `step ${n} is done`,
    command: 'true',
    artifacts: [`out/${n}.txt`],
  }));
  return new PackJob('demo', declared).toDecision();
}

/** Flips one bit after the other in a file; each must make it refused with 2. */
async function expectFlipsRefused(
  dir: string,
  pack: Buffer,
  flips: Iterable<readonly [at: number, bit: number]>,
): Promise<void> {
  const path = join(dir, 'flipped.zip');
  await writeFile(path, pack);
  const file = await open(path, 'r+');
  try {
    for (const [at, bit] of flips) {
      await file.write(Buffer.of(pack[at]! ^ (1 << bit)), 0, 1, at);
      const code = await verifyBoth(path, `byte ${at}, bit ${bit}`).then(
        () => 'verified',
        (error: unknown) => (error instanceof ReeveError ? error.exitCode : error),
      );
      expect(code, `byte ${at}, bit ${bit}`).toBe(2);
      await file.write(pack, at, 1, at);
    }
    await verifyBoth(path);
  } finally {
    await file.close();
  }
}

test('W50 every flipped bit of a small pack is refused', async ({ dir }) => {
  const pack = referencePack({ approvals: false, acceptance: false });
  const flips = Array.from({ length: pack.length * 8 }, (_, n) => [n >> 3, n & 7] as const);
  await expectFlipsRefused(dir, pack, flips);
});

test('W50 10,000 flipped bits of a pack of ours are refused', async ({ dir }) => {
  const pack = (await write(dir, longJob(20).source())).bytes;
  const random = seeded(50);
  const flips = Array.from(
    { length: 10_000 },
    () => [Math.floor(random() * pack.length), Math.floor(random() * 8)] as const,
  );
  await expectFlipsRefused(dir, pack, flips);
});

test('W54 a pack cut off at any length is refused', async ({ dir }) => {
  const pack = referencePack();
  for (let length = 0; length < pack.length; length += 1)
    await expectRefused(dir, pack.subarray(0, length), 2);
});

test('W46 over 1,000 packs at random milliseconds no time ends in a fraction of zero, and all verify', async ({
  dir,
}) => {
  const random = seeded(46);
  for (let n = 0; n < 1000; n += 1) {
    const job = new PackJob();
    job.nowMs += Math.floor(random() * 86_400_000);
    const { bytes } = await write(dir, job.toEnd().source());
    for (const [name, text] of filesIn(bytes)) expect(text, name).not.toMatch(FRACTION_ENDS_IN_ZERO);
    if (n % 50 === 0) await verifyBytes(dir, bytes);
  }
});

test('10,000 events: written and verified; the times are told, not asserted', async ({ dir }) => {
  const job = longJob(2500);
  await write(dir, job.source());
  const startMs = performance.now();
  const { path } = await write(dir, job.source());
  const writtenMs = performance.now();
  await verifyJobpack(path);
  const verifiedMs = performance.now();
  await verify(path);
  const times = [writtenMs - startMs, verifiedMs - writtenMs, performance.now() - verifiedMs];
  const [writing, ours, theirs] = times.map((ms) => `${ms.toFixed(0)} ms`);
  process.stderr.write(
    `${job.events.length} events: written in ${writing}, verified in ${ours}, by verify.mjs in ${theirs}\n`,
  );
});

test('lines that do not fit in memory any more wait in a file, and the pack is the same', async ({ dir }) => {
  const job = longJob(40);
  // Each under the 16 KiB from which a payload is kept apart, all together far more than is held in memory.
  for (let n = 0; n < 1500; n += 1) {
    job.note({ n, text: 'x'.repeat(15_000) });
  }
  const { path, bytes } = await write(dir, job.source());
  await verifyBoth(path);
  expect(bytes.length).toBeGreaterThan(40_000_000);
  expect((await write(dir, sourceOf('demo', job.events), 'again.zip')).bytes.equals(bytes)).toBe(true);
});

test('W55 bombs are refused with 2 within 128 MiB of memory, however they are made', async ({ dir }) => {
  const files = filesIn(referencePack());
  const spaces = ' '.repeat(64 * 1_048_576);
  const path = join(dir, 'bomb.zip');
  const bombs: [string, Buffer][] = [
    ['declared', rehashed(new Map(files).set('bomb', spaces), { entry: { method: 'deflated' } })],
    [
      'an undeclared entry',
      rawZip(
        [...files, ['bomb', spaces] as const].map(([name, data]) => ({
          name,
          data,
          method: 'deflated' as const,
        })),
      ),
    ],
    [
      'lying about its size',
      rawZip(
        [...files, ['bomb', spaces] as const].map(([name, data]) => ({
          name,
          data,
          method: 'deflated' as const,
          ...(name === 'bomb' ? { claims: { bytes: 1000 } } : {}),
        })),
      ),
    ],
    [
      'in a line, below the ratio',
      rehashed(new Map(files).set('events.jsonl', noise(64 * 1_048_576)), { entry: { method: 'deflated' } }),
    ],
    ['stored', rehashed(new Map(files).set('job.json', spaces))],
    [
      'in the manifest',
      rawZip([...new Map(files).set('manifest.json', spaces)].map(([name, data]) => ({ name, data }))),
    ],
    ['brackets in a line', rehashed(new Map(files).set('events.jsonl', '['.repeat(8 * 1_048_576)))],
    [
      'in many entries',
      rawZip(
        Array.from({ length: 40 }, (_, n) => ({
          name: `bomb${n}`,
          data: spaces.slice(0, 15 * 1_048_576),
          method: 'deflated' as const,
        })),
      ),
    ],
  ];
  for (const [what, bytes] of bombs) {
    await writeFile(path, bytes);
    for (const action of ['verify', 'verify.mjs']) {
      const { code, peakMiB } = await measured(action, path, 64);
      expect(code, `${what}, ${action}`).toBe('E_VERIFY_HASH_MISMATCH');
      expect(peakMiB, `${what}, ${action}`).toBeLessThan(128);
    }
  }
});

test('W55 paths that no manifest lists are not kept, however many a pack claims', async ({ dir }) => {
  const path = join(dir, 'claims.zip');
  await writeFile(path, rehashed(withCheckpoints(filesIn(await finishedPack(dir)), 75, 20_000)));
  // All of them would not fit into this heap.
  for (const action of ['verify', 'verify.mjs'])
    expect((await measured(action, path, 64)).code, action).toBe('E_VERIFY_HASH_MISMATCH');
});

test('W57 a 500 MB artifact is captured and verified in less than 200 MB of memory', async ({ dir }) => {
  const workspace = join(dir, 'ws');
  await mkdir(join(workspace, 'notes'), { recursive: true });
  await writeFile(join(workspace, 'notes/collected.txt'), 'small');
  const big = join(workspace, 'notes/published.txt');
  await writeFile(big, 'begins');
  await truncate(big, 500_000_000);
  const captured = await measured('capture', dir, 100);
  expect(captured.code).toBe('ok');
  expect(captured.peakMiB).toBeLessThan(190);
  for (const action of ['verify', 'verify.mjs']) {
    const verified = await measured(action, join(dir, 'pack.zip'), 100);
    expect(verified.code, action).toBe('ok');
    expect(verified.peakMiB, action).toBeLessThan(190);
  }
  // What no verifier would take is not written either.
  await truncate(big, 540_000_000);
  expect((await measured('capture', dir, 100)).code).toBe('E_INVALID_INPUT_SCHEMA');
});

/** The last checkpoint said again, each time with other paths; otherwise all is as it should be. */
function withCheckpoints(files: Files, more: number, paths: number): Files {
  const linesOf = (path: string): Any[] =>
    (files.get(path) ?? '')
      .trimEnd()
      .split('\n')
      .map((line): Any => JSON.parse(line));
  const textOf = (lines: Any[]): string => lines.map((line) => `${jcs(line)}\n`).join('');
  const [events, checkpoints] = [linesOf('events.jsonl'), linesOf('checkpoints.jsonl')];
  return rechained((links) => {
    const event = events.findLast(({ type }) => type === 'checkpoint_emitted');
    const { body } = links[events.indexOf(event)];
    for (let n = 0; n < more; n += 1) {
      const seq = links.length + 1;
      const added = Array.from({ length: paths }, (_, at) => `p${n * paths + at}`);
      const delta = { added, changed: [], removed: [] };
      links.push({ body: { ...body, seq, event: { ...body.event, delta } } });
      const payload = { ...event.payload, artifacts_delta: delta };
      events.push({ ...event, event_id: `evt_${seq}`, payload });
      checkpoints.push({ ...checkpoints.at(-1), checkpoint_id: `cp_${seq}`, artifacts_delta: delta });
    }
    return links;
  })(new Map(files))
    .set('events.jsonl', textOf(events))
    .set('checkpoints.jsonl', textOf(checkpoints));
}

/** Text that compresses, but not beyond the limit. */
function noise(length: number): string {
  const random = seeded(1);
  const block = Array.from({ length: 4096 }, () => String.fromCharCode(97 + Math.floor(random() * 26))).join(
    '',
  );
  const blocks = Array.from(
    { length: Math.ceil(length / 4200) },
    (_, n) => `${n}`.padEnd(104) + block.slice(n % 4000) + block.slice(0, n % 4000),
  );
  return blocks.join('').slice(0, length);
}
