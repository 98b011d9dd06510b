import { genesisHash } from '../model/chain.ts';
import { ReeveError } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { disagreement } from './agreement.ts';
import { approvalRecorded, type RecordedApproval } from './approvals.ts';
import {
  CHAIN_EVENTS,
  CHAIN_FORMAT,
  CHAIN_NODES,
  CHAIN_RUN,
  isObject,
  readChainLine,
} from './chain-entry.ts';
import { requireJob } from './findings.ts';
import { sha256 } from './hash.ts';
import { LineCursor, mismatch, readJson, requireEntry } from './pack-reader.ts';
import { artifactPaths, checkpointOf, JobFold, sameJson, type EventRecord } from './records.ts';
import type { ZipReader } from './zip-reader.ts';

const SPEC = 'jobspec.json';

/** Below `reeve/` only a format to come is not for this version to judge; all else that is wrong was changed. */
function mismatchOf(error: unknown): unknown {
  if (!(error instanceof ReeveError) || error.code !== 'E_INVALID_INPUT_SCHEMA') return error;
  return mismatch(error.message, error.details ?? {}, error);
}

function throwMismatch(error: unknown): never {
  throw mismatchOf(error);
}

/** What `reeve/run.json` says of the chain, once it is known to be of this job and of a form that is known. */
export async function readEnd(reader: ZipReader, jobId: string): Promise<Json | undefined> {
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
export class ChainCheck {
  readonly #jobId: string;
  readonly #lines: LineCursor;
  readonly #job = new JobFold();
  /** What the artifacts manifest lists, and what of it no checkpoint has claimed yet: no more is kept of the paths. */
  readonly #listed: ReadonlySet<string>;
  readonly #unclaimed: Set<string>;
  readonly #listsTwice: boolean;
  #claimsOthers = false;
  #hash: string;
  #count = 0;
  #document: Json | undefined;

  constructor(reader: ZipReader, jobId: string, artifacts: readonly string[]) {
    this.#jobId = jobId;
    this.#listed = new Set(artifacts);
    this.#unclaimed = new Set(artifacts);
    this.#listsTwice = this.#listed.size < artifacts.length;
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
    for (const path of checkpoint === undefined ? [] : artifactPaths(checkpoint)) {
      this.#unclaimed.delete(path);
      this.#claimsOthers ||= !this.#listed.has(path);
    }
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
  async finish(reader: ZipReader, end: Json | undefined, job: JsonObject): Promise<void> {
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
    if (this.#listsTwice || this.#claimsOthers || this.#unclaimed.size > 0)
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
