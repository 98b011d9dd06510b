import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import canonicalize from 'canonicalize';
import { expect, test as base } from 'vitest';
import { writeJobpack, type PackSource, type WrittenPack } from '../../src/evidence/jobpack.ts';
import type { Verified } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { verifyBoth } from './both.ts';
import { PackJob } from './pack-job.ts';
import { rawZip, readPlainZip, type RawArchive, type RawEntry } from './raw-zip.ts';

/** A test with a folder of its own. */
// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
export const test = base.extend('dir', async ({}, { onCleanup }) => {
  const dir = await mkdtemp(join(tmpdir(), 'reeve-evidence-'));
  onCleanup(() => rm(dir, { recursive: true, force: true }));
  return dir;
});

export async function write(
  dir: string,
  source: PackSource,
  name = 'pack.zip',
): Promise<WrittenPack & { bytes: Buffer }> {
  const pack = await writeJobpack(source, join(dir, name));
  return { ...pack, bytes: await readFile(pack.path) };
}

/** A finished job's pack, as bytes. */
export async function finishedPack(dir: string): Promise<Buffer> {
  return (await write(dir, new PackJob().toEnd().source())).bytes;
}

/** With both verifiers, which have to say the same. */
export async function verifyBytes(dir: string, bytes: Uint8Array, what = ''): Promise<Verified> {
  const path = join(dir, 'verified.zip');
  await writeFile(path, bytes);
  return verifyBoth(path, what);
}

/** Verifying must fail with this exit code, and with one of our errors, whichever verifier is asked. */
export async function expectRefused(
  dir: string,
  bytes: Uint8Array,
  exitCode: 2 | 6,
  what = '',
): Promise<ReeveError> {
  const error = await verifyBytes(dir, bytes, what).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error, what).toBeInstanceOf(ReeveError);
  expect((error as ReeveError).exitCode, `${what}: ${(error as ReeveError).message}`).toBe(exitCode);
  return error as ReeveError;
}

export type Files = Map<string, string>;
export type RawFiles = ReadonlyMap<string, string | Uint8Array>;

/** The entries of a pack as texts. */
export function filesIn(pack: Buffer): Files {
  return new Map([...readPlainZip(pack)].map(([name, bytes]) => [name, bytes.toString('utf8')]));
}

/** A pack of these files with a manifest that fits them: what a forger who knows the format would write. */
export function rehashed(
  files: RawFiles,
  options: {
    readonly change?: (manifest: Record<string, unknown>) => void;
    readonly entry?: Partial<RawEntry>;
    readonly archive?: RawArchive;
  } = {},
): Buffer {
  const old = JSON.parse(String(files.get('manifest.json') ?? '{}')) as Record<string, unknown>;
  const listed = [...files.keys()].filter((name) => name !== 'manifest.json').toSorted();
  const manifest: Record<string, unknown> = {
    ...old,
    files: listed.map((path) => ({ path, sha256: hash(files.get(path) ?? '') })),
  };
  options.change?.(manifest);
  manifest['manifest_sha256'] = hash(jcs({ ...manifest, manifest_sha256: '0'.repeat(64) }));
  const all = new Map<string, string | Uint8Array>(files).set('manifest.json', jcs(manifest));
  const names = [...all.keys()].toSorted();
  return rawZip(
    names.map((name) => ({ name, data: all.get(name) ?? '', ...options.entry })),
    options.archive,
  );
}

/** Changes one line of a `.jsonl` entry. */
export function editLine(files: Files, path: string, index: number, edit: (record: Any) => void): Files {
  const lines = (files.get(path) ?? '').trimEnd().split('\n');
  const record = JSON.parse(lines.at(index) ?? '');
  edit(record);
  lines.splice(index, 1, jcs(record));
  return new Map(files).set(path, `${lines.join('\n')}\n`);
}

// oxlint-disable-next-line typescript/no-explicit-any
export type Any = any;

export function editDocument(files: Files, path: string, edit: (record: Any) => void): Files {
  const record = JSON.parse(files.get(path) ?? '');
  edit(record);
  return new Map(files).set(path, jcs(record));
}

export function without(files: Files, ...paths: readonly string[]): Files {
  return new Map([...files].filter(([path]) => !paths.includes(path)));
}

export function hash(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function jcs(value: unknown): string {
  return canonicalize(value) ?? '';
}

/** A generator of numbers in [0, 1) that a seed repeats. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A pack as the reference writes one, made from the contract alone: no entries of ours, times printed from a typed time,
 * a producer version that differs between checkpoints and events.
 */
export function referencePack(
  options: {
    readonly approvals?: boolean;
    readonly acceptance?: boolean;
    readonly entry?: Partial<RawEntry>;
  } = {},
): Buffer {
  const { approvals = true, acceptance = true, entry = {} } = options;
  const at = (second: number, fraction = ''): string => `2026-01-02T03:04:0${second}${fraction}Z`;
  const envelope = (kind: string, created_at: string, producer_version = 'v1.2.3') => ({
    schema_id: `wrkr.${kind}`,
    schema_version: 'v1',
    created_at,
    producer_version,
    job_id: 'job_v',
  });
  const checkpoint = {
    artifacts_delta: { added: ['reports/demo.md'], changed: [], removed: [] },
    budget_state: { wall_time_seconds: 1, retry_count: 0, step_count: 1, tool_call_count: 0 },
    reason_codes: [],
    required_action: { kind: 'approval', instructions: 'look at it' },
    status: 'blocked_decision',
    summary: 'publish <it> & \u2028 go?',
    type: 'decision-needed',
  };
  const approval = {
    ...envelope('approval_record', at(4, '.123456789'), 'dev'),
    checkpoint_id: 'cp_4',
    reason: 'read it',
    approved_by: 'ann',
  };
  const lines: [string, string, object][] = [
    ['job_initialized', at(1), { started_at: at(1), status: 'queued' }],
    ['status_changed', at(1, '.5'), { from: 'queued', to: 'running' }],
    [
      'adapter_step',
      at(2),
      {
        adapter: 'reference',
        artifacts: [],
        command: '',
        executed: false,
        step_id: 'a',
        step_index: 0,
        summary: '',
      },
    ],
    ['checkpoint_emitted', at(3, '.000001'), checkpoint],
    ...(approvals ? [['approval_recorded', at(5), approval] as [string, string, object]] : []),
    ['counters_updated', at(6), { retry_count: 0, step_count: 1, tool_call_count: 0 }],
  ];
  const events = lines.map(([type, created, payload], index) => ({
    ...envelope('event', created),
    event_id: `evt_${index + 1}`,
    type,
    executed: type !== 'adapter_step',
    payload,
  }));
  const jsonl = (records: readonly object[]): string => records.map((record) => `${jcs(record)}\n`).join('');
  const files: Files = new Map([
    ['manifest.json', jcs({ ...envelope('jobpack_manifest', at(9, '.7')), files: [], manifest_sha256: '' })],
    [
      'job.json',
      jcs({
        ...envelope('job', at(9, '.8')),
        name: 'job_v',
        status: 'running',
        budgets: { retry_count: 0, step_count: 9, tool_call_count: 0 },
      }),
    ],
    ['events.jsonl', jsonl(events)],
    [
      'checkpoints.jsonl',
      jsonl([{ ...envelope('checkpoint', at(3, '.000001'), 'dev'), checkpoint_id: 'cp_4', ...checkpoint }]),
    ],
    [
      'artifacts_manifest.json',
      jcs({
        ...envelope('artifacts_manifest', at(9, '.9')),
        capture_mode: 'reference-only',
        artifacts: [{ path: 'reports/demo.md', sha256: hash('reference:reports/demo.md') }],
      }),
    ],
  ]);
  if (approvals) files.set('approvals.jsonl', jsonl([approval]));
  if (acceptance) {
    files.set(
      'accept/accept_result.json',
      jcs({
        ...envelope('accept_result', at(8)),
        checks_run: 5,
        checks_passed: 5,
        failures: [],
        reason_codes: [],
      }),
    );
  }
  return rehashed(files, { entry });
}
