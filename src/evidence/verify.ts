/**
 * Verifies a pack offline (contract wrkr §f, "Verify"): needs nothing but the file, and believes nothing in it. Failures
 * come in the order of the contract, whichever is met first: archive, manifest, hashes, undeclared entries, schemas,
 * and then what only the documents together show.
 */
import { createHash } from 'node:crypto';
import { genesisHash } from '../model/chain.ts';
import { ReeveError } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { disagreement } from './agreement.ts';
import { approvalRecorded, unsignedApproval, type OnApproval, type RecordedApproval } from './approvals.ts';
import { artifactEntry, referenceHash } from './artifacts.ts';
import {
  CHAIN_EVENTS,
  CHAIN_FORMAT,
  CHAIN_NODES,
  CHAIN_RUN,
  isObject,
  readChainLine,
} from './chain-entry.ts';
import { nameProblem } from './entry-names.ts';
import { sha256 } from './hash.ts';
import { MANIFEST, manifestHash, type Manifest } from './manifest.ts';
import { LineCursor, mismatch, readDocument, readJson, readManifest, requireEntry } from './pack-reader.ts';
import { approvalOf, artifactPaths, checkpointOf, JobFold, sameJson, type EventRecord } from './records.ts';
import { trimmedTime } from './time.ts';
import { ZipReader } from './zip-reader.ts';

export interface Verified {
  readonly jobId: string;
  readonly manifestSha256: string;
  readonly filesVerified: number;
}

const REQUIRED = ['job.json', 'events.jsonl', 'checkpoints.jsonl', 'artifacts_manifest.json'] as const;
const ACCEPT_RESULT = 'accept/accept_result.json';
const SPEC = 'jobspec.json';

/**
 * @throws ReeveError E_VERIFY_HASH_MISMATCH: the pack is not what it was; E_INVALID_INPUT_SCHEMA: there is no such file,
 * or a document in it does not fit its schema.
 */
export function verifyJobpack(path: string): Promise<Verified> {
  return withVerified(path, async (verified) => verified);
}

/**
 * Verifies a pack and goes on with it while it is open: what `use` reads is of the very file that was verified.
 * @param onApproval told of each approval, in order, before it is known whether the pack as a whole is right.
 */
export async function withVerified<T>(
  path: string,
  use: (verified: Verified, reader: ZipReader) => Promise<T>,
  onApproval?: OnApproval,
): Promise<T> {
  const reader = await ZipReader.open(path);
  try {
    const verified = await verify(reader, onApproval);
    return await use(verified, reader);
  } finally {
    await reader.close();
  }
}

async function verify(reader: ZipReader, onApproval: OnApproval | undefined): Promise<Verified> {
  const manifest = await readManifest(reader);
  const recomputed = manifestHash(manifest);
  if (recomputed !== manifest.manifest_sha256) {
    throw mismatch('the manifest is not what was hashed', {
      path: MANIFEST,
      expected: recomputed,
      actual: manifest.manifest_sha256,
    });
  }
  const hashes = await checkFiles(reader, manifest);
  await checkDocuments(reader, manifest.job_id, hashes, onApproval);
  return {
    jobId: manifest.job_id,
    manifestSha256: manifest.manifest_sha256,
    filesVerified: manifest.files.length,
  };
}

/** Every listed file is there and has its hash; nothing else is there. @returns the hashes, by path. */
async function checkFiles(reader: ZipReader, { files }: Manifest): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const { path, sha256: expected } of files) {
    const problem = nameProblem(path);
    if (problem !== undefined) throw mismatch(`the manifest lists a path that ${problem}`, { path });
    if (path === MANIFEST) throw mismatch('the manifest lists itself', { path });
    if (hashes.has(path)) throw mismatch(`the manifest lists ${path} twice`, { path });
    hashes.set(path, expected);
    const hash = createHash('sha256');
    for await (const chunk of reader.chunks(requireEntry(reader, path))) hash.update(chunk);
    const actual = hash.digest('hex');
    if (actual !== expected) throw mismatch(`${path} is not what was hashed`, { path, expected, actual });
  }
  for (const path of reader.entries.keys()) {
    if (path !== MANIFEST && !hashes.has(path))
      throw mismatch(`the manifest does not list ${path}`, { path });
  }
  for (const path of REQUIRED) requireEntry(reader, path);
  return hashes;
}

/** Keeps what was found until it is known that nothing of more weight comes. */
class Findings {
  readonly #found = new Map<number, ReeveError>();

  /** @param rank the lowest is thrown. Of one rank, the first found. */
  note(rank: number, error: ReeveError): void {
    if (!this.#found.has(rank)) this.#found.set(rank, error);
  }

  /** Throws what weighs most, if it weighs as much as that rank. */
  throwUpTo(rank: number): void {
    const [first = Infinity] = [...this.#found.keys()].toSorted((a, b) => a - b);
    const error = first > rank ? undefined : this.#found.get(first);
    if (error !== undefined) throw error;
  }
}

/** What is wrong with single lines comes in this order; then what they show together, and what the chain does. */
const RANK = { events: 1, checkpoints: 2, approvals: 3, together: 4, chain: 5 } as const;

async function checkDocuments(
  reader: ZipReader,
  jobId: string,
  hashes: ReadonlyMap<string, string>,
  onApproval: OnApproval | undefined,
): Promise<void> {
  const job = await readDocument(reader, 'job.json');
  const artifacts = await readDocument(reader, 'artifacts_manifest.json');
  const result = reader.entries.has(ACCEPT_RESULT) ? await readDocument(reader, ACCEPT_RESULT) : undefined;
  const findings = new Findings();
  const check = new LinesCheck(reader, jobId, findings, onApproval);
  await check.run();
  findings.throwUpTo(RANK.together);
  requireJob(jobId, job, 'job.json');
  requireJob(jobId, artifacts, 'artifacts_manifest.json');
  if (result !== undefined) requireJob(jobId, result, ACCEPT_RESULT);
  checkArtifacts(artifacts, hashes);
  // Only our packs tell so much that more can be checked; the reference's state may differ from its log.
  if (check.chain === undefined) return;
  const end = await readEnd(reader, jobId);
  findings.throwUpTo(RANK.chain);
  await check.chain.finish(reader, end, job, artifacts);
}

function requireJob(jobId: string, { job_id: found }: JsonObject, path: string, line?: number): void {
  if (found === jobId) return;
  throw mismatch(
    `${path} belongs to job ${JSON.stringify(found)}, the manifest to ${JSON.stringify(jobId)}`,
    {
      path,
      ...(line === undefined ? {} : { line }),
      expected: jobId,
      actual: found,
    },
  );
}

/** Captured content has to be in the pack, with the hash that it is said to have; without content, only names are hashed. */
function checkArtifacts(
  { capture_mode: mode, artifacts }: JsonObject,
  hashes: ReadonlyMap<string, string>,
): void {
  for (const { path, sha256: expected } of artifacts as unknown as readonly {
    path: string;
    sha256: string;
  }[]) {
    const entry = mode === 'raw' ? artifactEntry(path) : path;
    const actual = mode === 'raw' ? hashes.get(entry) : referenceHash(path);
    if (actual !== expected)
      throw mismatch(`the artifact ${JSON.stringify(path)} is not what its hash says`, {
        path: entry,
        expected,
        actual,
      });
  }
}

/** Reads the events, and beside them the lines that have to be their projection. Nothing is kept but the decisions. */
class LinesCheck {
  /** Undefined in packs of the reference. */
  readonly chain: ChainCheck | undefined;
  readonly #jobId: string;
  readonly #findings: Findings;
  readonly #events: LineCursor;
  readonly #checkpoints: LineCursor;
  readonly #approvals: LineCursor;
  readonly #decisions = new Set<unknown>();
  readonly #onApproval: OnApproval | undefined;
  /** False once the lines are known not to belong together; schemas are still checked to the end. */
  #isTogether = true;
  #isBroken = false;

  constructor(reader: ZipReader, jobId: string, findings: Findings, onApproval: OnApproval | undefined) {
    this.#jobId = jobId;
    this.#findings = findings;
    this.#onApproval = onApproval;
    this.#events = new LineCursor(reader, 'events.jsonl', 'events.jsonl');
    this.#checkpoints = new LineCursor(reader, 'checkpoints.jsonl', 'checkpoints.jsonl');
    this.#approvals = new LineCursor(reader, 'approvals.jsonl', 'approvals.jsonl');
    const hasChain = [CHAIN_EVENTS, CHAIN_NODES, CHAIN_RUN].some((path) => reader.entries.has(path));
    this.chain = hasChain ? new ChainCheck(reader, jobId) : undefined;
  }

  async run(): Promise<void> {
    try {
      for (let seq = 1; ; seq += 1) {
        const event = (await this.#take(this.#events, RANK.events)) as EventRecord | undefined;
        if (event === undefined) break;
        if (this.#isTogether) await this.#together(() => this.#event(event, seq));
        await this.#approval(event);
      }
      if (this.#isTogether) {
        await this.#together(async () => {
          await this.#project(undefined, this.#checkpoints, RANK.checkpoints, 'checkpoints.jsonl');
          await this.#project(undefined, this.#approvals, RANK.approvals, 'approvals.jsonl');
        });
        await this.#chained(async (chain) => chain.end());
      }
      while ((await this.#take(this.#checkpoints, RANK.checkpoints)) !== undefined);
      while ((await this.#take(this.#approvals, RANK.approvals)) !== undefined);
    } finally {
      await Promise.all([this.#events.close(), this.#checkpoints.close(), this.#approvals.close()]);
      await this.chain?.close();
    }
  }

  /** The next line, noting when it does not fit its schema; then nothing after it is of interest. */
  async #take(cursor: LineCursor, rank: number): Promise<JsonObject | undefined> {
    try {
      return await cursor.next();
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      this.#findings.note(rank, error);
      this.#isTogether = false;
      return undefined;
    }
  }

  async #together(check: () => Promise<void>): Promise<void> {
    try {
      await check();
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      this.#findings.note(RANK.together, error);
      this.#isTogether = false;
    }
  }

  /** Once the chain is broken, or the lines do not belong together, nothing more is asked of it. */
  async #chained(check: (chain: ChainCheck) => Promise<void>): Promise<void> {
    if (this.chain === undefined || !this.#isTogether || this.#isBroken) return;
    try {
      await check(this.chain);
    } catch (error) {
      if (!(error instanceof ReeveError)) throw error;
      this.#findings.note(RANK.chain, error);
      this.#isBroken = true;
    }
  }

  /** Checks an event against the chain, and tells of the approval that it recorded. */
  async #approval(event: EventRecord): Promise<void> {
    const told = approvalOf(event);
    let recorded = told && unsignedApproval(told);
    await this.#chained(async (chain) => {
      recorded = (await chain.event(event)) ?? recorded;
    });
    if (recorded !== undefined) this.#onApproval?.(recorded);
  }

  async #event(event: EventRecord, seq: number): Promise<void> {
    const line = this.#events.count;
    const path = 'events.jsonl';
    requireJob(this.#jobId, event as unknown as JsonObject, path, line);
    if (event.event_id !== `evt_${seq}`) {
      throw mismatch(`${path}, line ${line}: event ${event.event_id} where evt_${seq} belongs`, {
        path,
        line,
        expected: `evt_${seq}`,
        actual: event.event_id,
      });
    }
    const checkpoint = checkpointOf(event);
    if (checkpoint !== undefined) {
      await this.#project(checkpoint, this.#checkpoints, RANK.checkpoints, 'checkpoints.jsonl');
      if (checkpoint['type'] === 'decision-needed') this.#decisions.add(checkpoint['checkpoint_id']);
    }
    const approval = approvalOf(event);
    if (approval !== undefined) {
      await this.#project(approval, this.#approvals, RANK.approvals, 'approvals.jsonl');
      if (!this.#decisions.has(approval['checkpoint_id'])) {
        throw mismatch(
          `an approval names ${JSON.stringify(approval['checkpoint_id'])}, which is no decision before it`,
          {
            path: 'approvals.jsonl',
            line: this.#approvals.count,
            checkpoint_id: approval['checkpoint_id'],
          },
        );
      }
    }
  }

  /** The next line has to say what an event says; without one, there has to be no further line. */
  async #project(
    wanted: JsonObject | undefined,
    cursor: LineCursor,
    rank: number,
    path: string,
  ): Promise<void> {
    const found = await this.#take(cursor, rank);
    if (!this.#isTogether) return;
    if (found !== undefined) requireJob(this.#jobId, found, path, cursor.count);
    if (found === undefined && wanted === undefined) return;
    if (wanted !== undefined && found !== undefined && isProjection(wanted, found)) return;
    throw mismatch(`${path} is not what the events say`, {
      path,
      ...(found === undefined ? {} : { line: cursor.count }),
    });
  }
}

/** Times may be written in another form, and a checkpoint may have been written down by another version. */
function isProjection(wanted: JsonObject, found: JsonObject): boolean {
  const keys = Object.keys(found);
  if (keys.length !== Object.keys(wanted).length) return false;
  const isCheckpoint = wanted['schema_id'] === 'wrkr.checkpoint';
  return keys.every((key) => {
    if (isCheckpoint && (key === 'producer_version' || key === 'schema_version')) return true;
    if (key === 'created_at') return sameTime(wanted[key], found[key]);
    return sameJson(wanted[key], found[key]);
  });
}

function sameTime(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  return typeof a === 'string' && typeof b === 'string' && trimmedTime(a) === trimmedTime(b);
}

/** Below `reeve/` only a format to come is not for this version to judge; all else that is wrong was changed. */
function mismatchOf(error: unknown): unknown {
  if (!(error instanceof ReeveError) || error.code !== 'E_INVALID_INPUT_SCHEMA') return error;
  return mismatch(error.message, error.details ?? {}, error);
}

function throwMismatch(error: unknown): never {
  throw mismatchOf(error);
}

/** What `reeve/run.json` says of the chain, once it is known to be of this job and of a form that is known. */
async function readEnd(reader: ZipReader, jobId: string): Promise<Json | undefined> {
  for (const path of [CHAIN_EVENTS, CHAIN_NODES]) requireEntry(reader, path);
  const run = await readJson(reader, CHAIN_RUN).catch(throwMismatch);
  if (!isObject(run)) throw mismatch(`${CHAIN_RUN} is no record of a run`, { path: CHAIN_RUN });
  const { format } = run;
  if (format !== CHAIN_FORMAT) {
    const message = `${CHAIN_RUN} is of a format that this version does not know`;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', message, { path: CHAIN_RUN, format });
  }
  requireJob(jobId, run, CHAIN_RUN);
  return run['chain'];
}

/** What `reeve/…` adds: the run's own events, their chain, and that they are the events told in wrkr's words. */
class ChainCheck {
  readonly #lines: LineCursor;
  readonly #job = new JobFold();
  readonly #paths = new Set<string>();
  #hash: string;
  #count = 0;
  #document: Json | undefined;

  constructor(reader: ZipReader, jobId: string) {
    this.#lines = new LineCursor(reader, CHAIN_EVENTS);
    this.#hash = genesisHash(jobId, sha256);
  }

  /** @returns the approval that the event recorded. */
  async event(record: EventRecord): Promise<RecordedApproval | undefined> {
    const text = await this.#text();
    if (text === undefined) throw this.#refuse('ends before the events do');
    const read = readChainLine(text, this.#hash);
    if ('problem' in read) throw this.#refuse(read.problem);
    const { hash, event } = read;
    const difference = disagreement(record, event);
    if (difference !== undefined)
      throw this.#refuse(`differs from ${record.event_id} of events.jsonl (${difference})`);
    this.#hash = hash;
    this.#count += 1;
    const { spec } = event.event;
    if (isObject(spec)) this.#document = spec['document'];
    this.#job.add(record);
    const checkpoint = checkpointOf(record);
    for (const path of checkpoint === undefined ? [] : artifactPaths(checkpoint)) this.#paths.add(path);
    if (event.event['type'] !== 'approval_recorded') return undefined;
    const approval = approvalRecorded(this.#jobId, event.event);
    if ('problem' in approval) throw this.#refuse(approval.problem);
    return approval;
  }

  /** After the last event. */
  async end(): Promise<void> {
    if ((await this.#text()) !== undefined) throw this.#refuse('goes on after the last event');
  }

  async #text(): Promise<string | undefined> {
    try {
      return await this.#lines.text();
    } catch (error) {
      throw mismatchOf(error);
    }
  }

  /** After the documents have been checked by themselves. */
  async finish(
    reader: ZipReader,
    end: Json | undefined,
    job: JsonObject,
    artifacts: JsonObject,
  ): Promise<void> {
    const { head, events } = isObject(end) ? end : {};
    if (head !== this.#hash || events !== this.#count) {
      throw mismatch(`${CHAIN_RUN} names another end of the chain`, {
        path: CHAIN_RUN,
        expected: head,
        actual: this.#hash,
      });
    }
    if (job['status'] !== this.#job.status || !sameJson(job['budgets'], this.#job.budgets))
      throw mismatch('job.json is not what the events add up to', { path: 'job.json' });
    await this.#checkSpec(reader);
    const listed = (artifacts['artifacts'] as readonly JsonObject[]).map(({ path }) => path);
    if (listed.length !== this.#paths.size || !listed.every((path) => this.#paths.delete(path as string)))
      throw mismatch('artifacts_manifest.json is not what the checkpoints claim', {
        path: 'artifacts_manifest.json',
      });
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  async #checkSpec(reader: ZipReader): Promise<void> {
    if (!reader.entries.has(SPEC)) return;
    if (!sameJson(await readJson(reader, SPEC).catch(throwMismatch), this.#document))
      throw mismatch(`${SPEC} is not what the run was asked for with`, { path: SPEC });
  }

  #refuse(problem: string): ReeveError {
    const line = this.#lines.count;
    return mismatch(`${CHAIN_EVENTS}, line ${line}: ${problem}`, {
      path: CHAIN_EVENTS,
      line,
      reason: problem,
    });
  }
}
