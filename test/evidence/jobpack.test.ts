// What a pack is, byte by byte (contract wrkr §f), and that the same events always give the same one.
import { readFile, readdir, stat, writeFile, mkdir, chmod, symlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { trimmedTime } from '../../src/evidence/time.ts';
import { ZipWriter } from '../../src/evidence/zip-writer.ts';
import { inspectJobpack, inspectLines } from '../../src/evidence/inspect.ts';
import { diffJobpacks } from '../../src/evidence/diff.ts';
import { footerText, parseFooter } from '../../src/evidence/receipt.ts';
import { manifestHash } from '../../src/evidence/manifest.ts';
import { verifyJobpack } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { rawZip, readPlainZip } from './raw-zip.ts';
import { verifyBoth } from './both.ts';
import { PackJob, sourceOf } from './pack-job.ts';
import { filesIn, hash, jcs, test, write, type Any } from './support.ts';

async function zipOf(entries: readonly (readonly [string, string])[], bytesMax?: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  const writer = new ZipWriter({ write: async (bytes) => void parts.push(Buffer.from(bytes)) }, bytesMax);
  for (const [name, text] of entries) await writer.add(name, [Buffer.from(text)]);
  await writer.end();
  return Buffer.concat(parts);
}

async function codeOf(action: () => Promise<unknown>): Promise<string> {
  const error: unknown = await action().then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (error instanceof ReeveError) return error.code;
  throw error;
}

describe('the archive', () => {
  test('W48 one entry, computed by hand', async () => {
    // CRC-32 of "hello" is 3610a686.
    const expected = [
      '504b0304 1400 0800 0000 0000 2100 00000000 00000000 00000000 0500 0900', // local header
      '612e747874 5554050001 00a6ce12 68656c6c6f', // a.txt, extra field, hello
      '504b0708 86a61036 05000000 05000000', // descriptor
      '504b0102 1400 1400 0800 0000 0000 2100 86a61036 05000000 05000000 0500 0900 0000 0000 0000 00000000 00000000',
      '612e747874 5554050001 00a6ce12',
      '504b0506 0000 0000 0100 0100 3c000000 41000000 0000',
    ];
    expect((await zipOf([['a.txt', 'hello']])).toString('hex')).toBe(expected.join('').replaceAll(' ', ''));
  });

  test('W48 a pack is what the recipe makes of its entries, in the order of their bytes', async ({ dir }) => {
    const { bytes } = await write(dir, new PackJob().toEnd().source());
    const entries = [...readPlainZip(bytes)].map(([name, data]) => ({ name, data }));
    expect(entries.map(({ name }) => name)).toEqual([
      'approvals.jsonl',
      'artifacts_manifest.json',
      'checkpoints.jsonl',
      'events.jsonl',
      'job.json',
      'jobspec.json',
      'manifest.json',
      'reeve/events.jsonl',
      'reeve/nodes.jsonl',
      'reeve/run.json',
    ]);
    expect(rawZip(entries).equals(bytes)).toBe(true);
  });

  test('names beyond ASCII say that they are UTF-8, and are ordered by their bytes', async () => {
    const astral = '\u{1f600}';
    const beyond = '\ue000';
    await expect(
      zipOf([
        [astral, ''],
        [beyond, ''],
      ]),
    ).rejects.toThrow(TypeError);
    const archive = await zipOf([
      [beyond, 'a'],
      [astral, 'b'],
    ]);
    expect(archive.readUInt16LE(6)).toBe(0x0808);
  });

  test('more than a pack may hold is refused with the limit in the details', async () => {
    expect(
      await codeOf(() =>
        zipOf(
          [
            ['a', 'x'.repeat(60)],
            ['b', 'x'.repeat(60)],
          ],
          100,
        ),
      ),
    ).toBe('E_INVALID_INPUT_SCHEMA');
    expect(await codeOf(() => zipOf([['../a', '']]))).toBe('E_INVALID_INPUT_SCHEMA');
  });
});

describe('the documents', () => {
  test('W49 every document and line is canonical; the manifest lists all others, sorted, with their hashes', async ({
    dir,
  }) => {
    const { bytes, manifestSha256 } = await write(dir, new PackJob().toEnd().source());
    const files = filesIn(bytes);
    for (const [name, text] of files) {
      if (name.endsWith('.json')) expect(text, name).toBe(jcs(JSON.parse(text)));
      else for (const line of text.slice(0, -1).split('\n')) expect(line, name).toBe(jcs(JSON.parse(line)));
    }
    const manifest = JSON.parse(files.get('manifest.json') ?? '');
    const others = [...files].filter(([name]) => name !== 'manifest.json');
    expect(manifest.files).toEqual(others.map(([path, text]) => ({ path, sha256: hash(text) })));
    expect(manifest.manifest_sha256).toBe(manifestSha256);
    expect(hash(jcs({ ...manifest, manifest_sha256: '0'.repeat(64) }))).toBe(manifestSha256);
  });

  test('W49 the hash vector of the contract', () => {
    const manifest = {
      created_at: '2026-01-02T03:04:05.5Z',
      files: [
        { path: 'job.json', sha256: '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' },
      ],
      job_id: 'job_v',
      manifest_sha256: 'f'.repeat(64),
      producer_version: 't',
      schema_id: 'wrkr.jobpack_manifest',
      schema_version: 'v1',
    };
    expect(manifestHash(manifest)).toBe('77d357a20823e760aec6bdbdff312a3b8859fd44a4b346dd9b25a17d81231e35');
  });

  test("artifacts are hashed by name only, and every checkpoint's are there", async ({ dir }) => {
    const { bytes } = await write(dir, new PackJob().toEnd().source());
    const { artifacts, capture_mode: mode } = JSON.parse(filesIn(bytes).get('artifacts_manifest.json') ?? '');
    expect(mode).toBe('reference-only');
    expect(artifacts).toEqual(
      ['notes/collected.txt', 'notes/published.txt'].map((path) => ({
        path,
        sha256: hash(`reference:${path}`),
      })),
    );
    expect(hash('reference:reports/demo.md')).toBe(
      'd3be897ea5e96f3e05da6ec32449a9f25fdf30ce6548e8b2e09a55c250f5e9b7',
    );
  });

  test("job.json, events and approvals say what the job's events say", async ({ dir }) => {
    const files = filesIn((await write(dir, new PackJob().toEnd().source())).bytes);
    expect(JSON.parse(files.get('job.json') ?? '')).toMatchObject({
      schema_id: 'wrkr.job',
      name: 'demo',
      status: 'completed',
      budgets: { retry_count: 0, step_count: 3, tool_call_count: 2 },
    });
    const lines = (path: string): Any[] =>
      (files.get(path) ?? '')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
    const events = lines('events.jsonl');
    expect(events.map(({ event_id }) => event_id)).toEqual(events.map((_, at) => `evt_${at + 1}`));
    // A step that is not executed is said not to be (W40).
    expect(events.filter(({ executed }) => !executed).map(({ payload }) => payload.step_id)).toEqual([
      'judge',
    ]);
    expect(lines('checkpoints.jsonl').map(({ type }) => type)).toEqual([
      'plan',
      'progress',
      'decision-needed',
      'progress',
      'completed',
    ]);
    expect(lines('approvals.jsonl')).toMatchObject([
      { approved_by: 'ann', reason: 'read it', schema_id: 'wrkr.approval_record' },
    ]);
    expect(lines('reeve/nodes.jsonl').map(({ id, state, attempts }) => [id, state, attempts])).toEqual([
      ['job', 'succeeded', 0],
      ['0:collect', 'succeeded', 1],
      ['1:judge', 'succeeded', 1],
      ['2:publish', 'succeeded', 1],
    ]);
  });

  test("W47 the clock of the export is nowhere in it: times are the last event's, or a later acceptance's", async ({
    dir,
  }) => {
    const job = new PackJob().toEnd();
    const last = new Date(job.nowMs).toISOString().replace(/\.?0*Z$/, 'Z');
    const acceptance = {
      schema_id: 'wrkr.accept_result',
      schema_version: 'v1',
      created_at: '2030-01-01T00:00:00.500Z',
      producer_version: 'x',
      job_id: 'demo',
      checks_run: 1,
      checks_passed: 1,
      failures: [],
      reason_codes: [],
    };
    const createdAt = async (more = {}): Promise<Any[]> => {
      const files = filesIn((await write(dir, job.source(more))).bytes);
      return ['manifest.json', 'job.json', 'artifacts_manifest.json', 'reeve/run.json'].map(
        (name) => JSON.parse(files.get(name) ?? '').created_at,
      );
    };
    expect(new Set(await createdAt())).toEqual(new Set([last]));
    expect(new Set(await createdAt({ acceptance }))).toEqual(new Set(['2030-01-01T00:00:00.5Z']));
    expect(
      new Set(await createdAt({ acceptance: { ...acceptance, created_at: '2001-01-01T00:00:00Z' } })),
    ).toEqual(new Set([last]));
  });

  test('payloads too big for a row of the store are in the pack, under the hash that the chain has', async ({
    dir,
  }) => {
    const job = new PackJob().toDecision();
    const data = { text: '<é\u2028>'.repeat(10_000) };
    job.note(data);
    const { bytes, path } = await write(dir, job.source());
    const line =
      (filesIn(bytes).get('reeve/events.jsonl') ?? '').split('\n').find((text) => text.includes('"spill"')) ??
      '';
    const { body, spill } = JSON.parse(line);
    expect(body.spilled).toBe(hash(jcs(spill)));
    await verifyJobpack(path);
  });

  test('JSON that no verifier would follow is not written', async ({ dir }) => {
    const nested = (levels: number): PackJob => {
      const job = new PackJob().toEnd();
      const text = `${'['.repeat(levels)}${']'.repeat(levels)}`;
      job.note(JSON.parse(`{"deep":${text}}`));
      return job;
    };
    const { path } = await write(dir, nested(996).source());
    await verifyBoth(path);
    await expect(write(dir, nested(997).source())).rejects.toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
      details: { path: 'reeve/events.jsonl', depth_max: 1000 },
    });
  });

  test('events that are not what was hashed give no pack', async ({ dir }) => {
    const source = new PackJob().toEnd().source();
    const records = (async function* () {
      for await (const record of source.records) {
        yield record.recorded.seq === 5
          ? { ...record, body: record.body.replace('"at":1', '"at":2') }
          : record;
      }
    })();
    expect(await codeOf(() => write(dir, { ...source, records }))).toBe('E_STORE_CORRUPT');
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('times', () => {
  test.each([
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z'],
    ['2026-01-02T03:04:05.000Z', '2026-01-02T03:04:05Z'],
    ['2026-01-02t03:04:05.500z', '2026-01-02T03:04:05.5Z'],
    ['2026-01-02T03:04:05.1234567890Z', '2026-01-02T03:04:05.123456789Z'],
    ['2026-01-02T03:04:05.25+05:30', '2026-01-01T21:34:05.25Z'],
    ['2024-02-29T23:59:59-01:00', '2024-03-01T00:59:59Z'],
    ['2025-02-29T00:00:00Z', undefined],
    ['2026-01-02T24:00:00Z', undefined],
    ['2026-01-02T03:04:60Z', undefined],
    ['2026-13-02T03:04:00Z', undefined],
    ['2026-01-02 03:04:05Z', undefined],
    ['2026-01-02T03:04:05', undefined],
    ['2026-01-02T03:04:05.Z', undefined],
    ['0000-01-01T00:00:00+00:01', undefined],
    ['2026-01-02T03:04:05+24:00', undefined],
  ])('%s is written %s', (text, trimmed) => {
    expect(trimmedTime(text)).toBe(trimmed);
  });
});

describe('raw capture', () => {
  const setUp = async (dir: string): Promise<{ workspace: string; out: string }> => {
    const [workspace, out] = [join(dir, 'ws'), join(dir, 'out')];
    await mkdir(join(workspace, 'notes'), { recursive: true });
    await writeFile(join(workspace, 'notes/collected.txt'), 'collected');
    await writeFile(join(workspace, 'notes/published.txt'), 'published');
    return { workspace, out };
  };
  const job = (): PackJob => new PackJob().toEnd();

  test('W57 bytes and hashes of the artifacts are in the pack, and it verifies', async ({ dir }) => {
    const { workspace, out } = await setUp(dir);
    const { bytes, path } = await write(out, job().source({ raw: { workspace } }));
    const files = filesIn(bytes);
    expect(files.get('artifacts/notes/collected.txt')).toBe('collected');
    expect(JSON.parse(files.get('artifacts_manifest.json') ?? '')).toMatchObject({
      capture_mode: 'raw',
      artifacts: [
        { path: 'notes/collected.txt', sha256: hash('collected') },
        { path: 'notes/published.txt', sha256: hash('published') },
      ],
    });
    await verifyJobpack(path);
  });

  test('W57 a file that is not there, or is none, gives E_ACCEPT_MISSING_ARTIFACT and no pack', async ({
    dir,
  }) => {
    const { workspace, out } = await setUp(dir);
    const file = join(workspace, 'notes/published.txt');
    await rm(file);
    expect(await codeOf(() => write(out, job().source({ raw: { workspace } })))).toBe(
      'E_ACCEPT_MISSING_ARTIFACT',
    );
    await mkdir(file);
    expect(await codeOf(() => write(out, job().source({ raw: { workspace } })))).toBe(
      'E_ACCEPT_MISSING_ARTIFACT',
    );
    expect(await readdir(out)).toEqual([]);
  });

  test('nothing outside of the workspace is captured, neither by name nor through a link', async ({
    dir,
  }) => {
    const { workspace, out } = await setUp(dir);
    await writeFile(join(dir, 'secret'), 'secret');
    await rm(join(workspace, 'notes/published.txt'));
    await symlink('../../secret', join(workspace, 'notes/published.txt'));
    expect(await codeOf(() => write(out, job().source({ raw: { workspace } })))).toBe('E_UNSAFE_OPERATION');
    await rm(join(workspace, 'notes/published.txt'));
    await symlink('collected.txt', join(workspace, 'notes/published.txt'));
    expect(
      filesIn((await write(out, job().source({ raw: { workspace } }))).bytes).get(
        'artifacts/notes/published.txt',
      ),
    ).toBe('collected');
    for (const path of ['../secret', '/etc/passwd', 'notes/../../secret', 'a\\b', 'notes/']) {
      const events = job().events.map((recorded) => {
        const { event } = recorded;
        if (event.type !== 'checkpoint_emitted') return recorded;
        return { ...recorded, event: { ...event, delta: { ...event.delta, changed: [path] } } };
      });
      const source = sourceOf('demo', events, { raw: { workspace } });
      expect(await codeOf(() => write(out, source)), path).toBe('E_UNSAFE_OPERATION');
    }
  });
});

describe('a failed export leaves nothing', () => {
  test.skipIf(process.getuid?.() === 0)('a directory that may not be written', async ({ dir }) => {
    await chmod(dir, 0o500);
    expect(await codeOf(() => write(dir, new PackJob().toEnd().source()))).toBe('E_STORE_UNAVAILABLE');
    await chmod(dir, 0o700);
    expect(await readdir(dir)).toEqual([]);
  });

  test("a directory that is a file, and a pack's place taken by a directory", async ({ dir }) => {
    await writeFile(join(dir, 'file'), '');
    expect(await codeOf(() => write(dir, new PackJob().toEnd().source(), 'file/pack.zip'))).toBe(
      'E_STORE_UNAVAILABLE',
    );
    await mkdir(join(dir, 'pack.zip', 'in'), { recursive: true });
    await expect(write(dir, new PackJob().toEnd().source())).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    });
    expect((await readdir(dir)).toSorted()).toEqual(['file', 'pack.zip']);
  });

  test('events that stop coming leave the pack before it as it was', async ({ dir }) => {
    const { bytes } = await write(dir, new PackJob().toEnd().source());
    const source = new PackJob().toEnd().source();
    const records = (async function* () {
      for await (const record of source.records) {
        if (record.recorded.seq === 9) throw new Error('the store is gone');
        yield record;
      }
    })();
    await expect(write(dir, { ...source, records })).rejects.toThrow('the store is gone');
    expect(await readdir(dir)).toEqual(['pack.zip']);
    expect((await readFile(join(dir, 'pack.zip'))).equals(bytes)).toBe(true);
    expect((await stat(join(dir, 'pack.zip'))).mode & 0o777).toBe(0o600);
  });
});

describe('reading a pack', () => {
  test('W59 inspect counts, orders by time, kind and id, and tells the same of a pack and of the events', async ({
    dir,
  }) => {
    const job = new PackJob().toEnd();
    const { path } = await write(dir, job.source());
    const found = await inspectJobpack(path, 'verify');
    expect(found).toMatchObject({
      job_id: 'demo',
      status: 'completed',
      event_count: job.events.length,
      checkpoint_count: 5,
      approval_count: 1,
    });
    expect(found.timeline).toHaveLength(job.events.length + 6);
    const order = { approval: 0, checkpoint: 1, event: 2 };
    const keys = found.timeline.map(({ at, kind, id }) => [Date.parse(at), order[kind], id] as const);
    expect(keys).toEqual(keys.toSorted((a, b) => a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : 1)));
    const approval = found.timeline.find(({ kind }) => kind === 'approval');
    expect(approval).toMatchObject({ id: 'approval_1', summary: expect.stringMatching(/^cp_\d+$/) });
    const lines = (async function* () {
      for await (const { line } of job.source().records) yield line;
    })();
    expect(await inspectLines('demo', lines)).toEqual(found);
  });

  test('W59 a pack does not differ from itself; from an earlier one it does in what has happened since', async ({
    dir,
  }) => {
    const { path } = await write(dir, new PackJob().toEnd().source());
    expect(await diffJobpacks(path, path, 'verify')).toMatchObject({ added: [], removed: [], changed: [] });
    const { path: earlier } = await write(dir, new PackJob().toDecision().source(), 'earlier.zip');
    const diff = await diffJobpacks(earlier, path, 'verify');
    expect(diff.added).toEqual(['approvals.jsonl']);
    expect(diff.removed).toEqual([]);
    expect(diff.changed).toContain('events.jsonl');
    expect(diff.changed).not.toContain('jobspec.json');
    expect((await diffJobpacks(path, earlier, 'no-verify')).removed).toEqual(['approvals.jsonl']);
  });

  test('W58 the footer fits its pattern and can be read back; other lines cannot', () => {
    const receipt = { jobId: 'job_1', manifestSha256: 'a'.repeat(64) };
    expect(footerText(receipt)).toBe(
      `WRKR job_id=job_1 manifest=sha256:${'a'.repeat(64)} verify="wrkr verify job_1"`,
    );
    expect(parseFooter(footerText(receipt))).toEqual(receipt);
    for (const text of [
      '',
      `${footerText(receipt)} `,
      footerText(receipt).replace('aaa', 'AAA'),
      `x${footerText(receipt)}`,
    ]) {
      expect(() => parseFooter(text)).toThrow(ReeveError);
    }
    expect(() => footerText({ ...receipt, jobId: 'a b' })).toThrow(ReeveError);
  });
});
