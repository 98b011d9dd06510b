/**
 * A campaign that finds nothing may be blind. These are faults to plant in a copy of the built program; each must be seen:
 * `npm run crash -- --plant <name> --kills 60`.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Edit {
  /** Below `dist/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const PLANTED: Readonly<Record<string, readonly Edit[]>> = {
  /** A server takes a job in half a second after it has said so. */
  'early-answer': [
    {
      file: 'doors/jobs/routes-steer.js',
      find: 'const submitted = await runner.submit(specPath, jobId);',
      replace: `setTimeout(() => runner.submit(specPath, jobId).catch(() => undefined), 500);
    const soon = { job_id: jobId, status: 'queued', adapter: 'reference' };
    return { status: 202, json: { ...soon, spec_name: 'x', objective: 'x', spec_path: 'x' } };
    const submitted = undefined;`,
    },
  ],
  /** What nobody can know counts as not started. */
  'unknown-denied': [
    {
      file: 'executors/process/standing.js',
      find: "return { phase: 'unknown', reason: fault === undefined",
      replace: "return { phase: 'not_started' };\n    return { phase: 'unknown', reason: fault === undefined",
    },
  ],
  /** Whoever comes next starts what was under way again, without looking what became of it. */
  'blind-restart': [
    {
      file: 'executors/process/process-executor.js',
      find: 'return settleStanding(record, this.#now());\n    }\n    async cancel',
      replace: "return { phase: 'not_started' };\n    }\n    async cancel",
    },
  ],
};

/** A copy of the built program with the fault in it. @returns its entry file, and what removes it. */
export function plant(name: string): { program: string; remove: () => void } {
  const edits = PLANTED[name];
  if (edits === undefined)
    throw new TypeError(`there is no fault '${name}'; there are ${Object.keys(PLANTED).join(', ')}`);
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const dir = mkdtempSync(join(tmpdir(), 'reeve-planted-'));
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, part), join(dir, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  for (const { file, find, replace } of edits) {
    const path = join(dir, 'dist', file);
    const text = readFileSync(path, 'utf8');
    if (text.split(find).length !== 2) throw new Error(`${name} does not fit ${file} any more`);
    writeFileSync(
      path,
      text.replace(find, () => replace),
    );
  }
  return {
    program: join(dir, 'bin', 'reeve.js'),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
