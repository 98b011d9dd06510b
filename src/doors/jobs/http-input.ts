/** What the jobs door accepts in URLs and paths (contract wrkr §i, W68). */
import { isAbsolute, join } from 'node:path';
import type { HttpRequest } from '../http.ts';
import { HttpFailure } from '../http.ts';
import { ReeveError } from '../../model/errors.ts';
import type { RunHead } from '../../store/run-store.ts';
import { requireJobId } from './job-id.ts';
import { requireJob, type Jobs } from './jobs.ts';
import { resolveInside } from './paths.ts';

const ID = /^[A-Za-z0-9._-]+$/;

/** @throws ReeveError E_UNSAFE_OPERATION for `..`; E_INVALID_INPUT_SCHEMA for what is no id. */
export function idIn({ params }: HttpRequest, name: 'job_id' | 'checkpoint_id'): string {
  const id = params[name] ?? '';
  refuseDots(name, id);
  if (ID.test(id)) return id;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${JSON.stringify(id.slice(0, 200))} is no ${name}`, {
    field: name,
    value: id.slice(0, 200),
  });
}

/** The job that the URL names. @throws HttpFailure 404 for an unknown one; as `idIn`. */
export async function jobIn(jobs: Jobs, request: HttpRequest): Promise<RunHead> {
  const jobId = requireJobId(idIn(request, 'job_id'));
  return orNotFound(() => requireJob(jobs, jobId));
}

/** Of something that is looked up by a well-formed id, a refusal of the input means that it is not there. */
export async function orNotFound<T>(lookUp: () => Promise<T>): Promise<T> {
  try {
    return await lookUp();
  } catch (error) {
    if (!(error instanceof ReeveError) || error.code !== 'E_INVALID_INPUT_SCHEMA') throw error;
    throw new HttpFailure(404, error.code, error.message, error.details);
  }
}

/** An id that a body gives for a new job. */
export function refuseDots(field: string, value: string): void {
  if (value.includes('..')) throw unsafe(field, value, "holds '..'");
}

/**
 * A path from a body: relative, and inside of the working directory after symlinks.
 * @param below what will be written below it, which must not be a way out either
 * @returns the absolute path
 * @throws ReeveError E_UNSAFE_OPERATION {field, value}
 */
export async function pathIn(
  field: string,
  path: string,
  cwd: string,
  below: readonly string[] = [],
): Promise<string> {
  if (path.includes('\0')) throw unsafe(field, path, 'holds a NUL character');
  if (path.split(/[/\\]/).includes('..')) throw unsafe(field, path, "holds '..'");
  if (isAbsolute(path) || /^([A-Za-z]:|\\)/.test(path)) throw unsafe(field, path, 'is absolute');
  const inside = await resolveInside(path, cwd);
  if (inside === undefined) throw unsafe(field, path, 'leaves the working directory');
  for (const folder of below) {
    if ((await resolveInside(join(path, folder), cwd)) === undefined)
      throw unsafe(field, path, `leaves the working directory with its ${folder}/`);
  }
  return inside;
}

function unsafe(field: string, value: string, problem: string): HttpFailure {
  const shown = value.slice(0, 4096);
  return new HttpFailure(400, 'E_UNSAFE_OPERATION', `${field}: ${JSON.stringify(shown)} ${problem}`, {
    field,
    value: shown,
  });
}
