/** Reads a JobSpec file and checks all that can be known before a job exists (contract wrkr §e, W35, W41). */
import { extname } from 'node:path';
import type { Json } from '../../model/json.ts';
import { normaliseRules } from './fingerprint.ts';
import { resolveUserPath } from './paths.ts';
import { fileRefusal, readTextFile } from './read-text.ts';
import { adapterOf, ADAPTERS, JOBSPEC_SCHEMA, STEPS_SCHEMA, type JobSpec } from './schema.ts';
import { parseSpecText } from './spec-text.ts';
import { problemsOf, refuseProblems, type Problem } from '../validate.ts';

export interface LoadedSpec {
  readonly spec: JobSpec;
  /** Absolute. */
  readonly path: string;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for whatever is wrong with the path, the file or the spec. */
export async function loadSpec(path: string, cwd: string): Promise<LoadedSpec> {
  const resolved = await resolveUserPath(path, cwd, 'spec');
  const file = { path: resolved, what: 'the spec', field: 'spec' };
  const text = await readTextFile(file);
  if (text === undefined) throw fileRefusal(file, 'does not exist');
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
