/** Job ids (contract wrkr §d): one path component, safe in file names, URLs and shell words. */
import { join } from 'node:path';
import { ReeveError } from '../../model/errors.ts';

/** Leaves room for `jobpack_<id>.zip.sig.json` in a file name of 255 bytes. */
const ID_CHARS_MAX = 200;
const PATTERN = /^[A-Za-z0-9._-]+$/;

export function isJobId(text: string): boolean {
  return PATTERN.test(text) && !text.includes('..') && text !== '.' && text.length <= ID_CHARS_MAX;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA when the text cannot be a job id. */
export function requireJobId(text: string): string {
  if (isJobId(text)) return text;
  const shown = text.length > ID_CHARS_MAX ? `${text.slice(0, ID_CHARS_MAX)}…` : text;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `job id ${JSON.stringify(shown)} must be 1 to ${ID_CHARS_MAX} characters of A-Z a-z 0-9 . _ - without '..'`,
    { job_id: shown },
  );
}

/** What `submit` and `wrap` make of a given id or name (W38). The result may still hold `..`: then it is no job id. */
export function normaliseJobId(text: string): string {
  const id = text
    .trim()
    .toLowerCase()
    .replaceAll(' ', '_')
    .replaceAll(/[^a-z0-9._-]+/g, '_')
    .replaceAll(/^[_.-]+|[_.-]+$/g, '');
  return id === '' ? 'job' : id;
}

/** `<normalised name>_<unix seconds>`; always a job id, whatever the name. */
export function defaultJobId(name: string, nowMs: number): string {
  const base = normaliseJobId(name)
    .replaceAll(/\.{2,}/g, '.')
    .slice(0, 180);
  return `${base}_${Math.floor(nowMs / 1000)}`;
}

/** Where a job's files for people are (contract wrkr §d). */
export function jobDir(storeRoot: string, jobId: string): string {
  return join(storeRoot, 'jobs', jobId);
}
