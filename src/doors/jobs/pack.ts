/** Jobpacks of jobs in the store (contract wrkr §f): which events, which words, which file. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openEvents } from '../../engine/event-codec.ts';
import { inspectLines, type Inspection } from '../../evidence/inspect.ts';
import { writeJobpack, type PackRecord, type WrittenPack } from '../../evidence/jobpack.ts';
import { fitsSchema } from '../../evidence/pack-reader.ts';
import { isSidecarStale, sidecarPath } from '../../evidence/sidecar.ts';
import { signJobpack, type SignedPack } from '../../evidence/sign.ts';
import { ReeveError } from '../../model/errors.ts';
import type { Json, JsonObject } from '../../model/json.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { loadSigningKey, signsByItself } from '../../policy/key-source.ts';
import type { SigningKey } from '../../policy/keys.ts';
import { requirePattern } from './redact-flag.ts';
import { ACCEPT_FILE, acceptResultIn } from './accept-fact.ts';
import { jobDir, requireJobId } from './job-id.ts';
import { eventsIn, requireJob, runSpecOf, type Jobs } from './jobs.ts';
import { lineOf, projectionOf, type Line, type Projection } from './lines.ts';

const PAGE = 2000;

export interface ExportOptions {
  readonly outDir: string;
  /** `raw` needs `unsafe`: what steps wrote may hold anything. */
  readonly capture?: string;
  readonly unsafeRawCapture?: boolean;
  /** Regular expressions, beside the secrets that are known anyway; what they match is not captured. */
  readonly redact?: readonly string[];
  /** Signs the pack. Default: the key of the environment, where it says that packs are signed; `none`: not even then. */
  readonly key?: SigningKey | 'none';
}

export interface ExportedPack extends WrittenPack {
  readonly signed?: SignedPack;
}

export function jobpackPath(outDir: string, jobId: string): string {
  return join(outDir, 'jobpacks', `jobpack_${requireJobId(jobId)}.zip`);
}

/**
 * Writes the job's pack, as the job stands now, and signs it if there is a key.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown job or capture mode; E_UNSAFE_OPERATION; E_ACCEPT_MISSING_ARTIFACT.
 */
export async function exportJob(jobs: Jobs, id: string, options: ExportOptions): Promise<ExportedPack> {
  const { outDir, capture = 'reference-only', unsafeRawCapture = false, redact = [] } = options;
  const patterns = redact.map(requirePattern);
  if (capture !== 'reference-only' && capture !== 'raw') {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--capture must be reference-only or raw', {
      flag: '--capture',
      value: capture,
    });
  }
  if (capture === 'raw' && !unsafeRawCapture) {
    throw new ReeveError(
      'E_UNSAFE_OPERATION',
      'raw capture puts whole files into the pack; add --unsafe-raw-capture',
      {
        flag: '--unsafe-raw-capture',
      },
    );
  }
  const { id: jobId, version } = await requireJob(jobs, id);
  const spec = await runSpecOf(jobs, jobId);
  const projection = projectionOf(jobId, spec, jobs.version);
  const acceptance = await acceptanceOf(jobs, jobId, version);
  const key = await signerOf(jobs, options.key); // before anything is written
  const pack = await writeJobpack(
    {
      jobId,
      producerVersion: projection.producerVersion,
      records: recordsOf(jobs, projection, version),
      ...(acceptance === undefined ? {} : { acceptance }),
      ...(capture === 'raw'
        ? { raw: { workspace: workspaceOf(spec, jobs.surroundings.cwd), redact: patterns } }
        : {}),
    },
    jobpackPath(outDir, jobId),
  );
  if (key === undefined) {
    if (await isSidecarStale(pack)) jobs.note(staleNote(pack.path));
    return pack;
  }
  const signed = await signJobpack(pack.path, key, pack.manifestSha256);
  if (signed.replaced) jobs.note(droppedNote(signed));
  return { ...pack, signed };
}

/** What is said where a sidecar held signatures of other bytes. */
export function droppedNote({ sidecar }: SignedPack): string {
  return `note: ${sidecar} held signatures of another state of the pack; they were dropped`;
}

function staleNote(path: string): string {
  return `note: ${sidecarPath(path)} is about an earlier state of the pack: sign it again, or remove that file`;
}

async function signerOf(jobs: Jobs, given: ExportOptions['key']): Promise<SigningKey | undefined> {
  if (given !== undefined) return given === 'none' ? undefined : given;
  const { env, cwd } = jobs.surroundings;
  if (!signsByItself(env)) return undefined;
  const { key, warning } = await loadSigningKey(env, cwd);
  if (warning !== undefined) jobs.note(`warning: ${warning}`);
  return key;
}

/** The job's story, from the store. */
export async function inspectJob(jobs: Jobs, id: string): Promise<Inspection> {
  const { id: jobId, version } = await requireJob(jobs, id);
  const projection = projectionOf(jobId, await runSpecOf(jobs, jobId), jobs.version);
  return inspectLines(jobId, linesOf(recordsOf(jobs, projection, version)));
}

/** Events up to a version: what comes while a pack is written is not in it. */
async function* recordsOf(jobs: Jobs, projection: Projection, version: number): AsyncGenerator<PackRecord> {
  for (let after = 0; after < version; ) {
    const stored = await jobs.engine.store.events(projection.jobId, after, Math.min(PAGE, version - after));
    if (stored.length === 0) return;
    const opened = await openEvents(stored, jobs.engine.blobs);
    for (const [index, { body, hash, seq }] of stored.entries()) {
      const recorded = opened[index];
      if (recorded === undefined) continue;
      after = seq;
      yield { line: lineOf(recorded, projection), recorded, body, hash };
    }
  }
}

async function* linesOf(records: AsyncIterable<PackRecord>): AsyncGenerator<Line> {
  for await (const { line } of records) yield line as Line;
}

/** Where the steps ran: what they claim is relative to it. */
export function workspaceOf({ nodes }: RunSpec, cwd: string): string {
  for (const { input } of nodes) {
    const { cwd: workspace } = (input ?? {}) as { cwd?: unknown };
    if (typeof workspace === 'string') return workspace;
  }
  return cwd;
}

/** The last one on record; of an imported job, the one in its directory, which was written before it was imported. */
async function acceptanceOf(jobs: Jobs, jobId: string, version: number): Promise<JsonObject | undefined> {
  let found: Json | undefined;
  for await (const recorded of eventsIn(jobs, jobId, ['fact_recorded']))
    if (recorded.seq <= version) found = acceptResultIn(recorded) ?? found;
  found ??= await importedAcceptance(jobs, jobId);
  if (found === undefined) return undefined;
  if (fitsSchema('accept/accept_result.json', found) && found['job_id'] === jobId) return found;
  jobs.note(`${jobId}: its acceptance result cannot be read, and is left out of the pack`);
  return undefined;
}

async function importedAcceptance(jobs: Jobs, jobId: string): Promise<Json | undefined> {
  const [imported] = await jobs.engine.events(jobId, 0, 1, ['run_imported']);
  if (imported === undefined) return undefined;
  const file = join(jobDir(jobs.root, jobId), ACCEPT_FILE);
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Json;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : null;
  }
}
