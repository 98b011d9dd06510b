/** A passing case once more, by the operational runner: what agents would keep of it (contract agents §4, §3.1). */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOperational } from '../runner/run.ts';
import { interpreterOf, unpack } from '../runner/skill.ts';
import { inCaseFolder } from './case-folder.ts';
import type { Case } from './cases.ts';
import type { SkillPackage } from './package.ts';
import { pathOf, reportIn, reportProblem, type Subject } from './perform.ts';
import { SkillProblem } from './problem.ts';

const SUMMARY_KEYS = ['run_id', 'action', 'timestamp', 'exit_code', 'status'];
const OUTPUT_BYTES_MAX = 64 * 1_048_576;

/** @throws SkillProblem bad_artifacts */
export async function smoke(built: SkillPackage, subject: Subject, one: Case): Promise<void> {
  const { manifest, files, digest } = built;
  const { name, version } = manifest;
  const runsDir = await mkdtemp(join(tmpdir(), 'reeve-smoke-'));
  try {
    await inCaseFolder(subject.tests, one, async (folder) => {
      const run = await runOperational({
        runId: 'smoke',
        action: name,
        skill: { name, version, digest },
        argv: async (directory) => {
          await unpack(files, manifest, directory);
          return [...interpreterOf(manifest), join(directory, manifest.entry), ...folder.args];
        },
        cwd: folder.cwd,
        timeoutMs: manifest.timeoutS * 1000,
        maxOutputBytes: OUTPUT_BYTES_MAX,
        env: { PATH: pathOf(subject, folder), HOME: folder.cwd, LANG: 'C', TZ: 'UTC' },
        envRefs: folder.env,
        runsDir,
        signal: new AbortController().signal,
      });
      const artifacts = join(run.directory, 'artifacts');
      const summary = JSON.parse(await readFile(join(artifacts, 'summary.json'), 'utf8')) as object;
      const output = await readFile(join(artifacts, 'output.raw'));
      const log = await readFile(join(run.directory, 'logs', `step_${name}.log`), 'utf8');
      const sha256 = createHash('sha256').update(output).digest('hex');
      const faults: readonly (readonly [boolean, string])[] = [
        [
          run.exitCode === manifest.exitCodes.pass,
          `the runner ended with ${run.exitCode}: ${run.reason ?? output.toString('utf8', 0, 500)}`,
        ],
        [
          Object.keys(summary).toSorted().join() === SUMMARY_KEYS.toSorted().join(),
          'summary.json has other keys',
        ],
        [
          run.meta.output_sha256 === sha256 && output.length > 0,
          'output.raw is not what meta.json says, or empty',
        ],
        [log.endsWith(`PHASE: COMPLETED\nEXIT:${run.exitCode}\n`), 'the log does not end as it has to'],
      ];
      const fault =
        faults.find(([isRight]) => !isRight)?.[1] ?? reportProblem(await reportIn(artifacts), name);
      if (fault !== undefined)
        throw new SkillProblem('bad_artifacts', `${JSON.stringify(one.name)} by the runner: ${fault}`);
    });
  } finally {
    await rm(runsDir, { recursive: true, force: true });
  }
}
