// Verifying believes nothing (contract wrkr §f): every pack here was made by somebody who means harm, or by the reference.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { inspectJobpack } from '../../src/evidence/inspect.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { verifyBoth } from './both.ts';
import { rawZip, type RawArchive, type RawEntry } from './raw-zip.ts';
import {
  editDocument,
  editLine,
  expectRefused,
  filesIn,
  finishedPack,
  hash,
  jcs,
  referencePack,
  rehashed,
  test,
  verifyBytes,
  without,
  type Any,
  type Files,
} from './support.ts';

/** More of them: REEVE_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['REEVE_FUZZ_RUNS'] ?? 300);

const entriesOf = (files: Files): RawEntry[] => [...files].map(([name, data]) => ({ name, data }));

describe('packs of the reference', () => {
  test('W45 stored or deflated, in any order, with and without approvals and acceptance', async ({ dir }) => {
    for (const method of ['stored', 'deflated'] as const) {
      for (const approvals of [true, false]) {
        for (const acceptance of [true, false]) {
          const pack = referencePack({ approvals, acceptance, entry: { method } });
          expect(await verifyBytes(dir, pack)).toMatchObject({
            jobId: 'job_v',
            filesVerified: 4 + Number(approvals) + Number(acceptance),
          });
        }
      }
    }
    await verifyBytes(dir, rawZip(entriesOf(filesIn(referencePack())).toReversed()));
    // Python and others: no descriptor's flag would also do, but modes of a regular file do.
    await verifyBytes(
      dir,
      rehashed(filesIn(referencePack()), {
        entry: { madeBy: 0x0314, attributes: 0o600 * 65536, extra: Buffer.alloc(0) },
      }),
    );
  });

  test('times may end in zeros: the document is hashed as it is', async ({ dir }) => {
    let files = editDocument(
      filesIn(referencePack()),
      'job.json',
      (job) => (job.created_at = '2026-01-02T03:04:05.500Z'),
    );
    files = editLine(
      files,
      'checkpoints.jsonl',
      0,
      (record) => (record.created_at = '2026-01-02T04:04:03.000001000+01:00'),
    );
    await verifyBytes(
      dir,
      rehashed(files, { change: (manifest) => (manifest['created_at'] = '2026-01-02T03:04:05.000Z') }),
    );
  });

  test('inspect reads them', async ({ dir }) => {
    const path = join(dir, 'pack.zip');
    await writeFile(path, referencePack());
    expect(await inspectJobpack(path, 'verify')).toMatchObject({
      status: 'running',
      event_count: 6,
      timeline: expect.arrayContaining([
        {
          at: '2026-01-02T03:04:03.000001Z',
          kind: 'checkpoint',
          id: 'cp_4',
          summary: 'decision-needed:blocked_decision',
        },
        { at: '2026-01-02T03:04:04.123456789Z', kind: 'approval', id: 'approval_1', summary: 'cp_4' },
      ]),
    });
  });
});

describe('the file', () => {
  test('W54 a file that is absent is 6, and so is a directory; an empty file and other things are no archive', async ({
    dir,
  }) => {
    await expect(verifyBoth(join(dir, 'absent.zip'))).rejects.toMatchObject({ exitCode: 6 });
    await mkdir(join(dir, 'folder'));
    await expect(verifyBoth(join(dir, 'folder'))).rejects.toMatchObject({ exitCode: 6 });
    for (const bytes of ['', 'PK', 'x'.repeat(100_000), '\0'.repeat(22), rawZip([]).toString('latin1')]) {
      await expectRefused(dir, Buffer.from(bytes, 'latin1'), 2);
    }
  });

  test('W54 bytes before, behind or between are refused, and every truncation', async ({ dir }) => {
    const pack = referencePack();
    const entries = entriesOf(filesIn(pack));
    const hostile: [string, Buffer][] = [
      ['before', Buffer.concat([Buffer.from('x'), pack])],
      ['behind', Buffer.concat([pack, Buffer.from('x')])],
      ['before, with offsets that know of it', rawZip(entries, { before: 'junk' })],
      ['between', rawZip(entries.map((entry, at) => (at === 2 ? { ...entry, gap: 'junk' } : entry)))],
      [
        'before the directory',
        rawZip(entries.map((entry, at) => (at === entries.length - 1 ? { ...entry, gap: 'junk' } : entry))),
      ],
      ['two archives', Buffer.concat([pack, pack])],
    ];
    for (const [what, bytes] of hostile) await expectRefused(dir, bytes, 2, what);
    const small = rawZip([{ name: 'manifest.json', data: '{}' }]);
    for (let length = 0; length < small.length; length += 1)
      await expectRefused(dir, small.subarray(0, length), 2, `${length} bytes`);
    for (let length = 1; length < pack.length; length += 97)
      await expectRefused(dir, pack.subarray(0, length), 2, `${length} bytes`);
  });

  // Every bit of every byte: large.slow.test.ts.
  test('W50 a flipped bit is refused, wherever it is', async ({ dir }) => {
    const pack = referencePack({ approvals: false, acceptance: false });
    for (let at = 0; at < pack.length; at += 5) {
      const bytes = Buffer.from(pack);
      bytes[at]! ^= 1 << (at % 8);
      await expectRefused(dir, bytes, 2, `byte ${at}`);
    }
  });

  const archives: [string, RawArchive, Partial<RawEntry>][] = [
    ['a comment', { comment: 'hello' }, {}],
    ['another disk', { disk: 1 }, {}],
    ['more entries than there are', { miscount: 1 }, {}],
    ['fewer entries than there are', { miscount: -1 }, {}],
    ['encryption', {}, { flags: 9 }],
    ['strong encryption', {}, { flags: 0x48 }],
    ['a masked header', {}, { flags: 0x2008 }],
    ['a comment of an entry', {}, { comment: 'hello' }],
    ['a ZIP64 field', {}, { extra: Buffer.from('010008000000000000000000', 'hex') }],
    ['another name in a field', {}, { extra: Buffer.from('7570010001', 'hex') }],
    ['a damaged field', {}, { extra: Buffer.from('555409', 'hex') }],
    ['another name in the local header', {}, { local: { name: 'job.jsox' } }],
    ['another date in the local header', {}, { local: { date: 0x22 } }],
    ['another field in the local header', {}, { local: { extra: Buffer.alloc(0) } }],
    ['a wrong CRC', {}, { claims: { crc: 1 } }],
    ['a size too small', {}, { claims: { bytes: 3, packedBytes: 3 } }],
    ['a size too big', {}, { claims: { bytes: 30_000, packedBytes: 30_000 } }],
    ['sizes of ZIP64', {}, { claims: { bytes: 0xffffffff, packedBytes: 0xffffffff } }],
    ['W51 a symlink', {}, { madeBy: 0x0314, attributes: 0o120777 * 65536 }],
    ['W51 a device', {}, { madeBy: 0x0314, attributes: 0o060600 * 65536 }],
    ['a set-uid mode', {}, { madeBy: 0x0314, attributes: 0o104755 * 65536 }],
    ['W51 a DOS directory', {}, { attributes: 0x10 }],
    ['a system that has other modes', {}, { madeBy: 0x0a14 }],
    ['a deflated entry that does not end', {}, { method: 'deflated', packed: Buffer.from([0x00]) }],
    ['a deflated entry that is none', {}, { method: 'deflated', packed: Buffer.from('ffffff', 'hex') }],
  ];
  test.for(archives)('%s is refused', async ([, archive, change], { dir }) => {
    const files = filesIn(referencePack());
    const entries = entriesOf(files).map((entry) =>
      entry.name === 'job.json' ? { ...entry, ...change } : entry,
    );
    await expectRefused(dir, rawZip(entries, archive), 2);
  });

  test('a deflated entry with something behind its data is refused', async ({ dir }) => {
    const { deflateRawSync } = await import('node:zlib');
    const entries = entriesOf(filesIn(referencePack())).map(
      (entry): RawEntry =>
        entry.name === 'job.json'
          ? {
              ...entry,
              method: 'deflated',
              packed: Buffer.concat([deflateRawSync(entry.data), Buffer.from('junk')]),
            }
          : entry,
    );
    await expectRefused(dir, rawZip(entries), 2);
  });

  test('W51 names that no archive should have are refused, even when they are declared', async ({ dir }) => {
    const names = [
      '',
      '/etc/x',
      '../x',
      'a/../../x',
      'a/./x',
      './x',
      'a//x',
      'a/',
      'reports/',
      'a\\x',
      'C:x',
      'c:/x',
      'a\nx',
      'a\u0000x',
      'a\u007fx',
      'a\u0085x',
    ];
    for (const name of names) {
      const files = new Map(filesIn(referencePack())).set(name, '{}');
      await expectRefused(dir, rehashed(files), 2, JSON.stringify(name));
    }
    const bad = Buffer.from([0x61, 0xff]);
    await expectRefused(dir, rawZip([...entriesOf(filesIn(referencePack())), { name: bad, data: '' }]), 2);
    await verifyBytes(
      dir,
      rehashed(new Map(filesIn(referencePack())).set('notes/ünï \u{1f600}.txt', 'fine')),
    );
  });

  test('W51 an entry that is there twice is refused, whichever of the two is right', async ({ dir }) => {
    const entries = entriesOf(filesIn(referencePack()));
    const forged: RawEntry = { name: 'job.json', data: '{}' };
    await expectRefused(dir, rawZip([...entries, forged]), 2);
    await expectRefused(dir, rawZip([forged, ...entries]), 2);
  });
});

describe('manifest and files', () => {
  test('W51 an entry that is not declared, and one that is not there', async ({ dir }) => {
    const files = filesIn(referencePack());
    const extra = await expectRefused(dir, rawZip([...entriesOf(files), { name: 'x', data: '' }]), 2);
    expect(extra.details).toMatchObject({ path: 'x' });
    for (const path of files.keys()) {
      const error = await expectRefused(dir, rawZip(entriesOf(without(files, path))), 2, path);
      expect(error.details).toMatchObject({ path });
    }
  });

  test('an entry with other bytes: path, expected, actual', async ({ dir }) => {
    const files = filesIn(referencePack());
    const job = `${files.get('job.json')} `;
    const error = await expectRefused(dir, rawZip(entriesOf(new Map(files).set('job.json', job))), 2);
    expect(error.details).toMatchObject({
      path: 'job.json',
      expected: hash(files.get('job.json') ?? ''),
      actual: hash(job),
    });
  });

  test('W52 an edited hash is 2 with expected and actual; what the schema does not allow is 6', async ({
    dir,
  }) => {
    const files = filesIn(referencePack());
    const edited = (edit: (manifest: Any) => void): Buffer =>
      rawZip(entriesOf(editDocument(files, 'manifest.json', edit)));
    const real = JSON.parse(files.get('manifest.json') ?? '').manifest_sha256;
    const error = await expectRefused(
      dir,
      edited((manifest) => (manifest.manifest_sha256 = 'a'.repeat(64))),
      2,
    );
    expect(error.details).toMatchObject({ expected: real, actual: 'a'.repeat(64) });
    await expectRefused(
      dir,
      edited((manifest) => (manifest.producer_version = 'other')),
      2,
    );
    await expectRefused(
      dir,
      edited((manifest) => (manifest.manifest_sha256 = real.toUpperCase())),
      6,
    );
    await expectRefused(
      dir,
      edited((manifest) => (manifest.note = 'x')),
      6,
    );
    await expectRefused(
      dir,
      edited((manifest) => delete manifest.job_id),
      6,
    );
    await expectRefused(
      dir,
      edited((manifest) => (manifest.created_at = 'yesterday')),
      6,
    );
    await expectRefused(
      dir,
      edited((manifest) => (manifest.schema_version = 'v2')),
      6,
    );
    await expectRefused(
      dir,
      edited((manifest) => (manifest.files[0].size = 1)),
      6,
    );
    await expectRefused(
      dir,
      edited((manifest) => (manifest.files[0].sha256 = 'x')),
      6,
    );
    for (const text of ['', 'null', '[]', '{', '\ufeff{}', '"x"']) {
      await expectRefused(dir, rawZip(entriesOf(new Map(files).set('manifest.json', text))), 6, text);
    }
    // A field that JSON.parse would let become something else.
    await expectRefused(
      dir,
      rawZip(
        entriesOf(
          new Map(files).set('manifest.json', files.get('manifest.json')!.replace('{', '{"__proto__":{},')),
        ),
      ),
      6,
    );
  });

  test('W53 rehashed: a path listed twice, the manifest listing itself, a bad path, a required file left out', async ({
    dir,
  }) => {
    const files = filesIn(referencePack());
    const listing = (edit: (list: Any[]) => void): Buffer =>
      rehashed(files, { change: (manifest) => edit(manifest['files'] as Any[]) });
    await expectRefused(
      dir,
      listing((list) => list.push(list[0])),
      2,
    );
    await expectRefused(
      dir,
      listing((list) => list.push({ path: 'manifest.json', sha256: 'a'.repeat(64) })),
      2,
    );
    await expectRefused(
      dir,
      listing((list) => list.push({ path: '../x', sha256: 'a'.repeat(64) })),
      2,
    );
    await expectRefused(
      dir,
      listing((list) => list.splice(0)),
      2,
    );
    for (const path of ['job.json', 'events.jsonl', 'checkpoints.jsonl', 'artifacts_manifest.json']) {
      const error = await expectRefused(dir, rehashed(without(files, path)), 2, path);
      expect(error.details).toMatchObject({ path });
    }
  });
});

describe('what documents say', () => {
  test('W53 rehashed: a job id that differs anywhere is 2', async ({ dir }) => {
    const files = filesIn(referencePack());
    const other = (record: Any): void => {
      record.job_id = 'job_w';
    };
    await expectRefused(dir, rehashed(files, { change: other }), 2);
    for (const name of ['job.json', 'artifacts_manifest.json', 'accept/accept_result.json']) {
      await expectRefused(dir, rehashed(editDocument(files, name, other)), 2, name);
    }
    for (const name of ['events.jsonl', 'checkpoints.jsonl', 'approvals.jsonl']) {
      await expectRefused(dir, rehashed(editLine(files, name, 0, other)), 2, name);
    }
  });

  test('W53 rehashed: events with a gap, a repetition, another order, or none', async ({ dir }) => {
    const files = filesIn(referencePack());
    const lines = (files.get('events.jsonl') ?? '').trimEnd().split('\n');
    const events = (changed: readonly (string | undefined)[]): Files =>
      new Map(files).set('events.jsonl', changed.map((line) => `${line}\n`).join(''));
    await expectRefused(dir, rehashed(events(lines.toSpliced(1, 1))), 2);
    await expectRefused(dir, rehashed(events(lines.slice(1))), 2);
    await expectRefused(dir, rehashed(events([lines[0], ...lines])), 2);
    await expectRefused(dir, rehashed(events([lines[1], lines[0], ...lines.slice(2)])), 2);
    await expectRefused(dir, rehashed(events([])), 2);
    await expectRefused(
      dir,
      rehashed(editLine(files, 'events.jsonl', 1, (event) => (event.event_id = 'evt_02'))),
      2,
    );
    // Blank lines are passed over, and the last line may lack its newline.
    await verifyBytes(dir, rehashed(new Map(files).set('events.jsonl', `\n  \n${lines.join('\n\n')}`)));
  });

  test('W53 rehashed: a forged checkpoint or approval', async ({ dir }) => {
    const files = filesIn(referencePack());
    const refused = async (changed: Files, what: string) => expectRefused(dir, rehashed(changed), 2, what);
    await refused(
      editLine(files, 'checkpoints.jsonl', 0, (record) => (record.summary = 'all fine')),
      'summary',
    );
    await refused(
      editLine(files, 'checkpoints.jsonl', 0, (record) => (record.checkpoint_id = 'cp_5')),
      'id',
    );
    await refused(
      editLine(files, 'checkpoints.jsonl', 0, (record) => record.artifacts_delta.added.push('x')),
      'delta',
    );
    await refused(
      editLine(files, 'checkpoints.jsonl', 0, (record) => (record.created_at = '2026-01-02T03:04:04Z')),
      'time',
    );
    await refused(
      editLine(files, 'checkpoints.jsonl', 0, (record) => delete record.required_action),
      'action',
    );
    await refused(new Map(files).set('checkpoints.jsonl', ''), 'none');
    await refused(
      new Map(files).set(
        'checkpoints.jsonl',
        `${files.get('checkpoints.jsonl')}${files.get('checkpoints.jsonl')}`,
      ),
      'twice',
    );
    await refused(
      editLine(files, 'approvals.jsonl', 0, (record) => (record.approved_by = 'boss')),
      'approver',
    );
    await refused(
      editLine(files, 'approvals.jsonl', 0, (record) => (record.producer_version = 'other')),
      'producer',
    );
    await refused(without(files, 'approvals.jsonl'), 'approval left out');
    const approval = files.get('approvals.jsonl') ?? '';
    await refused(new Map(files).set('approvals.jsonl', approval + approval), 'approval twice');
    await refused(
      new Map(filesIn(referencePack({ approvals: false }))).set('approvals.jsonl', approval),
      'approval from nowhere',
    );
    // Whose version wrote a checkpoint down does not matter.
    await verifyBytes(
      dir,
      rehashed(editLine(files, 'checkpoints.jsonl', 0, (record) => (record.producer_version = 'other'))),
    );
  });

  test('W53 rehashed: an approval of what is no decision of the pack', async ({ dir }) => {
    const files = filesIn(referencePack());
    const naming = (id: string): Files => {
      const changed = editLine(files, 'events.jsonl', 4, (event) => (event.payload.checkpoint_id = id));
      return editLine(changed, 'approvals.jsonl', 0, (record) => (record.checkpoint_id = id));
    };
    for (const id of ['cp_1', 'cp_5', 'cp_04', 'cp_99'])
      await expectRefused(dir, rehashed(naming(id)), 2, id);
    let progress = editLine(files, 'events.jsonl', 3, (event) => (event.payload.type = 'progress'));
    progress = editLine(progress, 'checkpoints.jsonl', 0, (record) => (record.type = 'progress'));
    await expectRefused(dir, rehashed(progress), 2);
  });

  test('schemas are checked in their order, with the line; a bad document weighs more than a forged one', async ({
    dir,
  }) => {
    const files = filesIn(referencePack());
    const bad = (record: Any): void => {
      record.note = 'x';
    };
    for (const name of ['job.json', 'artifacts_manifest.json', 'accept/accept_result.json']) {
      expect(
        (await expectRefused(dir, rehashed(editDocument(files, name, bad)), 6, name)).details,
      ).toMatchObject({ path: name });
      await expectRefused(
        dir,
        rehashed(editDocument(files, name, (record) => (record.created_at = '2026-01-02'))),
        6,
        name,
      );
    }
    for (const name of ['events.jsonl', 'checkpoints.jsonl', 'approvals.jsonl']) {
      const error = await expectRefused(dir, rehashed(editLine(files, name, -1, bad)), 6, name);
      expect(error.details).toMatchObject({
        path: name,
        line: name === 'events.jsonl' ? 6 : 1,
        error: expect.any(String),
      });
      await expectRefused(dir, rehashed(new Map(files).set(name, `${files.get(name)}{"a"\n`)), 6, name);
      await expectRefused(dir, rehashed(new Map(files).set(name, `${files.get(name)}null\n`)), 6, name);
    }
    const both = editLine(
      editLine(files, 'events.jsonl', 0, (event) => (event.event_id = 'evt_9')),
      'approvals.jsonl',
      0,
      bad,
    );
    expect((await expectRefused(dir, rehashed(both), 6)).details).toMatchObject({ path: 'approvals.jsonl' });
  });

  test('a line or document beyond 16 MiB is refused, and so is JSON nested without end', async ({ dir }) => {
    const files = filesIn(referencePack({ approvals: false }));
    const long = ' '.repeat(17 * 1_048_576);
    await expectRefused(dir, rehashed(new Map(files).set('job.json', `${long}${files.get('job.json')}`)), 2);
    await expectRefused(
      dir,
      rehashed(new Map(files).set('events.jsonl', `${files.get('events.jsonl')}${long}`)),
      2,
    );
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    const nested = (name: string): Files =>
      new Map(files).set(
        name,
        (files.get(name) ?? '').replace('"reason_codes":[]', `"reason_codes":${deep}`),
      );
    await expectRefused(dir, rehashed(nested('events.jsonl')), 2);
    await expectRefused(dir, rehashed(nested('checkpoints.jsonl')), 2);
  });
});

describe('packs of ours say more, and all of it has to fit', () => {
  const forged = async (dir: string, edit: (files: Files) => Files): Promise<Buffer> =>
    rehashed(edit(filesIn(await finishedPack(dir))));

  test('an event of the chain that was changed, left out, added or moved', async ({ dir }) => {
    const lines = (files: Files): string[] => (files.get('reeve/events.jsonl') ?? '').trimEnd().split('\n');
    const chain = (change: (lines: string[]) => string[]) => (files: Files) =>
      new Map(files).set(
        'reeve/events.jsonl',
        change(lines(files))
          .map((line) => `${line}\n`)
          .join(''),
      );
    const changes: [string, (lines: string[]) => string[]][] = [
      ['left out', (all) => all.toSpliced(3, 1)],
      ['cut', (all) => all.slice(0, -1)],
      ['added', (all) => [...all, all.at(-1) ?? '']],
      ['moved', (all) => [all[1] ?? '', all[0] ?? '', ...all.slice(2)]],
      ['changed', (all) => all.map((line) => line.replace('"by":"ann"', '"by":"bob"'))],
      ['no JSON', (all) => all.with(2, 'x')],
      ['another hash', (all) => all.with(2, (all[2] ?? '').replace(/"hash":"./, '"hash":"x'))],
      ['another shape', (all) => all.with(2, `${(all[2] ?? '').slice(0, -1)},"x":1}`)],
    ];
    for (const [what, change] of changes) await expectRefused(dir, await forged(dir, chain(change)), 2, what);
  });

  test("wrkr's words changed together with their projection still differ from what was hashed", async ({
    dir,
  }) => {
    const approver = (files: Files): Files => {
      const index = (files.get('events.jsonl') ?? '')
        .split('\n')
        .findIndex((line) => line.includes('"approval_recorded"'));
      const changed = editLine(files, 'events.jsonl', index, (event) => (event.payload.approved_by = 'boss'));
      return editLine(changed, 'approvals.jsonl', 0, (record) => (record.approved_by = 'boss'));
    };
    expect((await expectRefused(dir, await forged(dir, approver), 2)).message).toContain('approved_by');
    const summary = (files: Files): Files => {
      const index = (files.get('events.jsonl') ?? '')
        .split('\n')
        .findIndex((line) => line.includes('"checkpoint_emitted"'));
      const changed = editLine(files, 'events.jsonl', index, (event) => (event.payload.summary = 'other'));
      return editLine(changed, 'checkpoints.jsonl', 0, (record) => (record.summary = 'other'));
    };
    await expectRefused(dir, await forged(dir, summary), 2);
    const time = (files: Files): Files =>
      editLine(files, 'events.jsonl', 0, (event) => (event.created_at = '2025-03-01T09:00:09Z'));
    await expectRefused(dir, await forged(dir, time), 2);
    const type = (files: Files): Files =>
      editLine(files, 'events.jsonl', 1, (event) => (event.type = 'status_changed_'));
    await expectRefused(dir, await forged(dir, type), 2);
  });

  test('job.json, artifacts, spec and run.json that say something else', async ({ dir }) => {
    const edits: [string, (record: Any) => void][] = [
      ['job.json', (record) => (record.status = 'canceled')],
      ['job.json', (record) => (record.budgets.step_count = 1)],
      ['artifacts_manifest.json', (record) => record.artifacts.pop()],
      ['artifacts_manifest.json', (record) => (record.artifacts[0].path = 'x')],
      ['jobspec.json', (record) => (record.objective = 'x')],
      ['reeve/run.json', (record) => (record.chain.head = 'a'.repeat(64))],
      ['reeve/run.json', (record) => (record.chain.events = 1)],
      ['reeve/run.json', (record) => (record.job_id = 'x')],
      ['reeve/run.json', (record) => delete record.chain],
    ];
    for (const [name, edit] of edits) {
      await expectRefused(dir, await forged(dir, (files) => editDocument(files, name, edit)), 2, name);
    }
    await expectRefused(
      dir,
      await forged(dir, (files) => editDocument(files, 'reeve/run.json', (record) => (record.format = 2))),
      6,
    );
    for (const name of ['reeve/run.json', 'reeve/events.jsonl', 'reeve/nodes.jsonl']) {
      await expectRefused(dir, await forged(dir, (files) => without(files, name)), 2, name);
    }
    // Without any of them it is what the reference would have written.
    await verifyBytes(
      dir,
      await forged(dir, (files) =>
        without(files, 'reeve/run.json', 'reeve/events.jsonl', 'reeve/nodes.jsonl'),
      ),
    );
  });
});

describe('whatever comes, verifying ends with an answer', () => {
  test('archives with random changes: one of our errors, or the same pack', async ({ dir }) => {
    const packs = [
      await finishedPack(dir),
      referencePack(),
      referencePack({ entry: { method: 'deflated' } }),
    ];
    const change = fc.record({
      kind: fc.constantFrom('flip', 'cut', 'insert', 'copy', 'number'),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      to: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      value: fc.nat(0xffff),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        async (which, changes) => {
          let bytes = Buffer.from(packs[which] ?? '');
          for (const { kind, at, to, value } of changes) {
            const [from, target] = [Math.floor(at * bytes.length), Math.floor(to * bytes.length)];
            if (kind === 'flip') bytes[from]! ^= 1 << (value % 8);
            else if (kind === 'cut')
              bytes = Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + (value % 64))]);
            else if (kind === 'insert')
              bytes = Buffer.concat([
                bytes.subarray(0, from),
                Buffer.alloc(value % 64, value),
                bytes.subarray(from),
              ]);
            else if (kind === 'copy') bytes.copy(bytes, target, from, from + (value % 256));
            else bytes.writeUInt16LE(value, Math.min(from, bytes.length - 2));
          }
          await verifyBytes(dir, bytes).catch((error: unknown) => {
            expect(error).toBeInstanceOf(ReeveError);
          });
        },
      ),
      { numRuns: RUNS, seed: 7 },
    );
  });

  test('documents and lines with random values: one of our errors, or a pack that fits', async ({ dir }) => {
    const ours = filesIn(await finishedPack(dir));
    const names = [...ours.keys()].filter((name) => name !== 'manifest.json');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.nat(),
        fc.nat(),
        fc.jsonValue({ maxDepth: 3 }),
        async (name, line, field, value) => {
          const lines = (ours.get(name) ?? '').trimEnd().split('\n');
          const index = line % lines.length;
          const record = JSON.parse(lines[index] ?? '');
          const key = Object.keys(record)[field % Object.keys(record).length] ?? '';
          const inner =
            field % 3 === 0 && typeof record[key] === 'object' && record[key] !== null ? record[key] : record;
          const innerKey =
            inner === record
              ? key
              : (Object.keys(inner)[line % Math.max(1, Object.keys(inner).length)] ?? 'x');
          inner[innerKey] = value;
          const text = lines.with(index, field % 7 === 0 ? JSON.stringify(value) : jcs(record)).join('\n');
          const files = new Map(ours).set(name, name.endsWith('.jsonl') ? `${text}\n` : text);
          await verifyBytes(dir, rehashed(files)).catch((error: unknown) => {
            expect(error).toBeInstanceOf(ReeveError);
          });
        },
      ),
      { numRuns: RUNS, seed: 8 },
    );
  });

  test('a pack that goes away while it is read is an error of ours', async ({ dir }) => {
    const path = join(dir, 'gone.zip');
    await writeFile(path, referencePack());
    await rm(path);
    await expect(verifyBoth(path)).rejects.toBeInstanceOf(ReeveError);
  });
});
