/** Reads a job directory that the reference wrote (contract wrkr §d, W8–W10, W34): the log is the truth in it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { ImportedState } from '../../model/events.ts';
import type { JsonObject } from '../../model/json.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { waitForAppendLock } from './append-lock.ts';
import { emptyJobState, type JobState, type RuntimeConfig } from './fold-lines.ts';
import { ImportFold, importedRun } from './import-run.ts';
import { readLog } from './read-log.ts';
import { RUNTIME_CONFIG_SCHEMA } from './response-schemas.ts';
import type { RunSurroundings } from './to-run.ts';
import { problemsOf } from '../validate.ts';

export interface ImportOptions extends RunSurroundings {
  /** How long a writer that holds `append.lock` is waited for. */
  readonly lockWaitMs?: number;
}

export interface ImportedDirectory {
  /** What the model's `import` command takes. */
  readonly lines: readonly JsonObject[];
  readonly timesMs: readonly number[];
  readonly spec: RunSpec;
  readonly state: ImportedState;
  /** What wrkr itself would say of the job; its lease may still be held by a worker of the reference. */
  readonly job: JobState;
  /** Bytes of a last line that was never finished, and is left out. */
  readonly tornBytes: number;
}

/** What we write is closed; in what others wrote, fields that we do not know are passed over. */
const CONFIG_SCHEMA = { ...RUNTIME_CONFIG_SCHEMA, additionalProperties: true };
const CONFIG_BYTES_MAX = 64 * 1_048_576;

/**
 * @param jobDir `<store>/jobs/<job id>`
 * @returns undefined when no line of a log is there: then there is no such job.
 * @throws ReeveError E_STORE_CORRUPT {file, line, reason}; E_STORE_BUSY while a living writer holds the lock.
 */
export async function importDirectory(
  jobDir: string,
  jobId: string,
  options: ImportOptions,
): Promise<ImportedDirectory | undefined> {
  await waitForAppendLock(join(jobDir, 'append.lock'), options.lockWaitMs);
  // Before the log: a cursor may then be older than the log's end, but never point beyond it.
  const config = await readRuntimeConfig(jobDir);
  const fold = new ImportFold(emptyJobState(jobId));
  const log = await readLog(join(jobDir, 'events.jsonl'), (line, atMs, place) => fold.add(line, atMs, place));
  if (log === undefined || fold.lines.length === 0) return undefined;
  const { spec, state } = importedRun(fold, config, jobId, options);
  return { lines: fold.lines, timesMs: fold.timesMs, spec, state, job: fold.job, tornBytes: log.tornBytes };
}

async function readRuntimeConfig(jobDir: string): Promise<RuntimeConfig | undefined> {
  const file = join(jobDir, 'runtime_config.json');
  const refusal = (reason: string): ReeveError =>
    new ReeveError('E_STORE_CORRUPT', `${file}: ${reason}`, { file, line: 1, reason });
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new ReeveError(
      'E_STORE_UNAVAILABLE',
      `${file} cannot be read (${code})`,
      { file },
      { cause: error },
    );
  }
  if (text.length > CONFIG_BYTES_MAX) throw refusal(`larger than ${CONFIG_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refusal('no JSON');
  }
  const [problem] = await problemsOf(CONFIG_SCHEMA, value);
  if (problem !== undefined) throw refusal(`${problem.field} ${problem.problem}`);
  return value as RuntimeConfig;
}
