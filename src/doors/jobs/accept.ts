/**
 * `accept run` (contract wrkr §g): looks whether a job's work is as its owner wants it, and puts the answer on the
 * record. The event is the answer; `accept_result.json` in the job directory is its projection.
 */
import { join, resolve } from 'node:path';
import { openArtifact, requireArtifactPath } from '../../evidence/artifacts.ts';
import {
  commandCheck,
  pathConstraints,
  requiredArtifacts,
  schemaValidity,
} from '../../evidence/accept/checks.ts';
import type { AcceptConfig } from '../../evidence/accept/config.ts';
import { junitXml } from '../../evidence/accept/junit.ts';
import { acceptResult, type AcceptCheck, type AcceptResult } from '../../evidence/accept/result.ts';
import { Claims } from '../../evidence/claims.ts';
import { writeTextAtomically } from '../../evidence/output-file.ts';
import { ReeveError } from '../../model/errors.ts';
import type { JsonObject } from '../../model/json.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { ACCEPT_CONFIG_FILE, configPathOf, loadAcceptConfig } from './accept-config.ts';
import { ACCEPT_FACT, ACCEPT_FILE } from './accept-fact.ts';
import { jobDir } from './job-id.ts';
import { eventsIn, requireJob, runSpecOf, type Jobs } from './jobs.ts';
import { approvalRecord, checkpointRecord, lineOf, projectionOf } from './lines.ts';
import { exportJob, workspaceOf } from './pack.ts';
import { statusResponse } from './read.ts';
import { reportPack } from './report-github.ts';
import { APPROVAL_RECORD_SCHEMA, CHECKPOINT_SCHEMA, STATUS_RESPONSE_SCHEMA } from './response-schemas.ts';
import { runShellCommand } from './shell-command.ts';
import { formatTime } from './time.ts';
import { problemsOf } from '../validate.ts';

export interface AcceptOptions {
  /** As a user names it; default: the job spec's `acceptance.config_path`, else `accept.yaml`. */
  readonly configPath?: string;
  readonly outDir: string;
  /** Also writes the JUnit report, the jobpack and the GitHub summary, whether the checks pass or not. */
  readonly ci?: boolean;
  /** Where the JUnit report goes; relative to `cwd`. */
  readonly junitPath?: string;
  /** Where the commands run. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends a command that runs, and the acceptance with it. */
  readonly signal?: AbortSignal;
}

/** Keys are those of the CLI (contract wrkr §b). Paths are absolute. */
export interface AcceptRun {
  readonly job_id: string;
  readonly config_path: string;
  readonly accept_result_path: string;
  readonly accept_result: AcceptResult;
  readonly checks: readonly AcceptCheck[];
  readonly junit_path?: string;
  readonly jobpack_path?: string;
  readonly summary_json_path?: string;
  readonly summary_markdown_path?: string;
  readonly step_summary_path?: string;
}

/** The signal came before the last check ended: nothing was recorded. */
export class AcceptInterrupted extends Error {
  override readonly name = 'AcceptInterrupted';
}

/**
 * Runs the five checks and records their result. A failed check is no error: see `accept_result.failures`.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: unknown job, or a configuration that is not valid; E_STORE_*.
 * @throws AcceptInterrupted
 */
export async function acceptJob(jobs: Jobs, id: string, options: AcceptOptions): Promise<AcceptRun> {
  const { outDir, ci = false, cwd, env, signal } = options;
  const { id: jobId } = await requireJob(jobs, id);
  const spec = await runSpecOf(jobs, jobId);
  const named = options.configPath ?? configPathOf(spec) ?? ACCEPT_CONFIG_FILE;
  const { config, path: configPath, isThere } = await loadAcceptConfig(named, cwd);
  if (!isThere) jobs.note(`${configPath} is not there: all of the acceptance configuration is default`);

  const checks = await runChecks(jobs, jobId, spec, config, options);
  if (signal?.aborted === true)
    throw new AcceptInterrupted('acceptance was interrupted; nothing was recorded');
  const result = await record(jobs, jobId, checks);
  const junitPath = await writeJunit(checks, jobId, options);
  const run: AcceptRun = {
    job_id: jobId,
    config_path: configPath,
    accept_result_path: join(jobDir(jobs.root, jobId), ACCEPT_FILE),
    accept_result: result,
    checks,
    ...(junitPath === undefined ? {} : { junit_path: junitPath }),
  };
  if (!ci) return run;
  const { path: packPath } = await exportJob(jobs, jobId, { outDir });
  const { summary: _, ...paths } = await reportPack(packPath, { outDir, env }, cwd);
  return { ...run, jobpack_path: packPath, ...paths };
}

/** All five, in order, whatever the others say (W60). */
async function runChecks(
  jobs: Jobs,
  jobId: string,
  spec: RunSpec,
  config: AcceptConfig,
  { cwd, env, signal }: AcceptOptions,
): Promise<readonly AcceptCheck[]> {
  const { checkpoints, approvals } = await recordsOf(jobs, jobId, spec);
  const claims = new Claims();
  for (const checkpoint of checkpoints) claims.add(checkpoint);
  const workspace = workspaceOf(spec, cwd);
  const checks = [
    schemaValidity(await schemaProblem(await statusResponse(jobs, jobId), checkpoints, approvals)),
    await requiredArtifacts(config, claims, (path) => fileProblem(workspace, path)),
    pathConstraints(config, claims),
  ];
  for (const [name, command] of [
    ['test_command', config.testCommand],
    ['lint_command', config.lintCommand],
  ] as const) {
    if (signal?.aborted === true) break;
    const { commandTimeoutMs: timeoutMs } = config;
    const outcome =
      command.trim() === ''
        ? undefined
        : await runShellCommand({
            command,
            cwd,
            env,
            timeoutMs,
            ...(signal === undefined ? {} : { signal }),
          });
    checks.push(commandCheck(name, outcome, timeoutMs));
  }
  return checks;
}

interface Records {
  readonly checkpoints: readonly JsonObject[];
  readonly approvals: readonly JsonObject[];
}

async function recordsOf(jobs: Jobs, jobId: string, spec: RunSpec): Promise<Records> {
  const projection = projectionOf(jobId, spec, jobs.version);
  const checkpoints: JsonObject[] = [];
  const approvals: JsonObject[] = [];
  const types = ['checkpoint_emitted', 'approval_recorded', 'line_imported'] as const;
  for await (const recorded of eventsIn(jobs, jobId, types)) {
    const line = lineOf(recorded, projection);
    const checkpoint = checkpointRecord(line, jobId, projection.producerVersion);
    const approval = approvalRecord(line);
    if (checkpoint !== undefined) checkpoints.push(checkpoint);
    if (approval !== undefined) approvals.push(approval);
  }
  return { checkpoints, approvals };
}

/** The first document that does not fit, and why. */
async function schemaProblem(
  status: JsonObject,
  checkpoints: readonly JsonObject[],
  approvals: readonly JsonObject[],
): Promise<string | undefined> {
  const documents = [
    { what: 'the status response', schema: STATUS_RESPONSE_SCHEMA, document: status },
    ...checkpoints.map((document) => ({
      what: `checkpoint ${JSON.stringify(document['checkpoint_id'])}`,
      schema: CHECKPOINT_SCHEMA,
      document,
    })),
    ...approvals.map((document, at) => ({
      what: `approval_${at + 1}`,
      schema: APPROVAL_RECORD_SCHEMA,
      document,
    })),
  ];
  for (const { what, schema, document } of documents) {
    const [first] = await problemsOf(schema, document);
    if (first !== undefined)
      return `${what} does not fit its schema: ${first.field || 'it'} ${first.problem}`;
  }
  return undefined;
}

/** Why a claimed file cannot be had. */
async function fileProblem(workspace: string, path: string): Promise<string | undefined> {
  try {
    requireArtifactPath(path);
    await (await openArtifact(workspace, path)).close();
    return undefined;
  } catch (error) {
    if (error instanceof ReeveError) return error.message;
    throw error;
  }
}

/** The event first: a directory left behind by a crash is brought up to date by the next command. */
async function record(jobs: Jobs, jobId: string, checks: readonly AcceptCheck[]): Promise<AcceptResult> {
  const { lastAtMs } = await jobs.engine.state(jobId);
  const result = acceptResult(checks, {
    jobId,
    createdAt: formatTime(Math.max(jobs.engine.clock.nowMs(), lastAtMs)),
    producerVersion: jobs.version,
  });
  await jobs.engine.execute(jobId, { type: 'record', name: ACCEPT_FACT, data: { ...result } });
  jobs.directories.touch(jobId);
  await jobs.directories.flush();
  return result;
}

async function writeJunit(
  checks: readonly AcceptCheck[],
  jobId: string,
  { junitPath, ci = false, outDir, cwd }: AcceptOptions,
): Promise<string | undefined> {
  if (junitPath === undefined && !ci) return undefined;
  const path =
    junitPath === undefined ? join(outDir, 'reports', `accept_${jobId}.junit.xml`) : resolve(cwd, junitPath);
  await writeTextAtomically(path, junitXml(checks));
  return path;
}
