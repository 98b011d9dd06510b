/** Reads a JobSpec file and checks all that can be known before a job exists (contract wrkr §e, W35, W41). */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { extname } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { Json } from '../../model/json.ts';
import { normaliseRules } from './fingerprint.ts';
import { resolveUserPath } from './paths.ts';
import { adapterOf, ADAPTERS, JOBSPEC_SCHEMA, STEPS_SCHEMA, type JobSpec } from './schema.ts';
import { parseSpecText } from './spec-text.ts';
import { problemsOf, refuseProblems, type Problem } from './validate.ts';

export const SPEC_BYTES_MAX = 1_048_576;

export interface LoadedSpec {
  readonly spec: JobSpec;
  /** Absolute. */
  readonly path: string;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for whatever is wrong with the path, the file or the spec. */
export async function loadSpec(path: string, cwd: string): Promise<LoadedSpec> {
  const resolved = await resolveUserPath(path, cwd, 'spec');
  const text = await readText(resolved);
  const format = extname(resolved).toLowerCase() === '.json' ? 'json' : 'yaml';
  return { spec: await parseJobSpec(await parseSpecText(text, format)), path: resolved };
}

/** Checks a parsed document. All problems are reported at once. */
export async function parseJobSpec(value: Json): Promise<JobSpec> {
  const problems: Problem[] = [...(await problemsOf(JOBSPEC_SCHEMA, value))];
  const { adapter, inputs } = (value ?? {}) as Partial<JobSpec>;
  const name = typeof adapter?.name === 'string' ? adapterOf(adapter.name) : undefined;
  if (typeof adapter?.name === 'string' && name === undefined) {
    problems.push({
      field: '/adapter/name',
      problem: `is no adapter; known are ${ADAPTERS.join(', ')}`,
      value: adapter.name.slice(0, 100),
    });
  }
  if (name === 'reference' && typeof inputs === 'object' && inputs !== null) {
    const field = '/inputs/steps';
    if (inputs['steps'] === undefined) problems.push({ field, problem: 'is missing' });
    else problems.push(...(await problemsOf(STEPS_SCHEMA, inputs['steps'], field)));
  }
  refuseProblems('the spec is not valid', problems);
  const spec = value as unknown as JobSpec;
  normaliseRules(spec.environment_fingerprint?.rules);
  return spec;
}

async function readText(path: string): Promise<string> {
  const refusal = (problem: string, cause?: unknown): ReeveError =>
    new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `the spec ${path} ${problem}`,
      { field: 'spec', problem, value: path },
      { cause },
    );
  let file: FileHandle;
  try {
    // Not waiting for a writer, should it be a pipe.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw refusal(
      code === 'ENOENT' || code === 'ENOTDIR' ? 'does not exist' : `cannot be read (${code})`,
      error,
    );
  }
  try {
    if (!(await file.stat()).isFile()) throw refusal('is no file');
    const buffer = Buffer.alloc(SPEC_BYTES_MAX + 1);
    let size = 0;
    for (let read = -1; read !== 0 && size < buffer.length; size += read) {
      ({ bytesRead: read } = await file.read(buffer, size, buffer.length - size, size));
    }
    if (size > SPEC_BYTES_MAX) throw refusal(`is larger than ${SPEC_BYTES_MAX} bytes`);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, size));
    } catch (error) {
      throw refusal('is no UTF-8 text', error);
    }
  } finally {
    await file.close();
  }
}
