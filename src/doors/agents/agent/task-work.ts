/** One task, from the lease to the spool: judged by this machine's own rules, run, and its result written down. */
import { createHash } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import { callControl, ControlRefusal, type ControlAddress } from '../client/control-client.ts';
import { setAsideLeftover } from '../runner/leftover.ts';
import { prepareSkill, verifyCommand } from '../runner/prepare.ts';
import { refuse, runOperational, type OperationalRun, type RunOutcome } from '../runner/run.ts';
import { loadAllowList, loadTrust } from '../runner/verification.ts';
import { timestamp } from '../ids.ts';
import type { HandedOut, ResultRequest } from '../wire/tasks.ts';
import { packageBytes } from './downloads.ts';
import { resolveSecrets } from './secrets.ts';
import type { AgentSettings } from './settings.ts';
import type { Delivery } from './spool.ts';
import type { StateDir } from './state-dir.ts';

export interface TaskWorld {
  readonly settings: AgentSettings;
  readonly state: StateDir;
  address(): ControlAddress;
  note(text: string): void;
}

/** Lists all files but itself. */
const META_PATH = 'artifacts/meta.json';

/** Why a task is stopped; the lease of a lost one is another's. */
export type StopReason = 'SIGTERM' | 'lost';

/**
 * Runs the task. Never throws for what its command or its package does.
 * @param signal aborts with a `StopReason`.
 * @returns what is to be delivered; undefined: the task was another's before anything began.
 * @throws ReeveError E_STORE_*: its files cannot be written
 */
export async function work(
  task: HandedOut,
  world: TaskWorld,
  signal: AbortSignal,
): Promise<Delivery | undefined> {
  if (!(await start(task, world, signal))) return undefined;
  const { settings } = world;
  await freeRunId(task, settings.runsDir);
  const outcome = await carryOut(task, world, signal);
  const { meta, summary, directory, exitCode, reason } = outcome;
  const metaBytes = await readFile(join(directory, META_PATH));
  const sha256 = createHash('sha256').update(metaBytes).digest('hex');
  const result: ResultRequest = {
    lease_id: task.lease_id,
    outcome: outcome.outcome,
    exit_code: exitCode,
    ...(reason === undefined ? {} : { reason }),
    summary: summary as unknown as Readonly<Record<string, unknown>>,
    started_at: meta.started_at,
    finished_at: meta.finished_at,
    artifacts: [...meta.files, { path: META_PATH, size: metaBytes.length, sha256 }],
  };
  return {
    taskId: task.task_id,
    runId: task.run_id,
    attempt: task.attempt,
    directory,
    result,
    spooledAtMs: Date.now(),
    ...(signal.reason === 'lost' ? { isLate: true } : {}),
  };
}

/** Says that the work begins. @returns false: the lease is another's by now. */
async function start(
  { task_id: id, lease_id, attempt }: HandedOut,
  { address, note }: TaskWorld,
  signal: AbortSignal,
) {
  try {
    await callControl(address(), {
      method: 'POST',
      path: `/tasks/${id}/start`,
      json: { lease_id, started_at: timestamp(Date.now()) },
      key: `${id}-${attempt}-start`,
      signal,
    });
  } catch (error) {
    if (!(error instanceof ReeveError)) return false;
    note(`task ${id} is not begun: ${error.message}`);
    // Nobody answers: it was handed out, and whether others hear of its beginning changes nothing.
    return !(error instanceof ControlRefusal) && !signal.aborted;
  }
  return true;
}

/** What an earlier attempt left here goes out of the way (contract §2.2). */
async function freeRunId({ run_id: runId, attempt }: HandedOut, runsDir: string): Promise<void> {
  const before = Math.max(1, attempt - 1);
  const left = await setAsideLeftover(runsDir, runId, before);
  if (left === 'finished') await rename(join(runsDir, runId), join(runsDir, `${runId}.attempt-${before}`));
}

async function carryOut(task: HandedOut, world: TaskWorld, signal: AbortSignal): Promise<RunOutcome> {
  const { settings } = world;
  const { agentId, runsDir, env } = settings;
  const { token } = world.address();
  const known = [token, settings.enrolToken].filter((text) => text !== undefined);
  const run: OperationalRun = {
    runId: task.run_id,
    action: task.action,
    argv: task.command ?? [],
    timeoutMs: task.timeout_s * 1000,
    maxOutputBytes: task.max_output_bytes,
    env: settings.isStrict ? { ...env, JARVAS_STRICT: '1' } : env,
    envRefs: {},
    secrets: known,
    ...(task.skill === undefined ? {} : { skill: task.skill }),
    attempt: task.attempt,
    agentId,
    runsDir,
    signal,
  };
  let judged: OperationalRun;
  try {
    judged = await judge(task, run, world, signal);
  } catch (error) {
    const reason = error instanceof Refusal ? error.reason : undefined;
    world.note(`task ${task.task_id} is refused: ${(error as Error).message}`);
    if (reason !== undefined) return refuse(run, reason);
    // A package that is none: whoever signed it signed something else.
    return refuse(run, 'digest_mismatch');
  }
  return runOperational(judged);
}

/** @throws Refusal: it is not run */
async function judge(
  task: HandedOut,
  run: OperationalRun,
  { settings, state, address }: TaskWorld,
  signal: AbortSignal,
): Promise<OperationalRun> {
  const nowMs = Date.now();
  const { trustPaths, threshold, tenant, allowRaw, env, secrets: sources } = settings;
  const list = await loadAllowList(
    { allowListPath: state.allowListPath, serialPath: state.serialPath, trustPaths, threshold, tenant },
    nowMs,
  );
  const envRefs = await resolveSecrets(task.env_refs, { env, sources }, signal);
  const judgement = { list, allowRaw, envRefs, nowMs };
  if (task.skill === undefined) {
    verifyCommand(task.command ?? [], judgement);
    return { ...run, envRefs };
  }
  const bytes = await packageBytes(state, address(), task.skill, signal);
  const wantsApproval = String(task.args['apply']) === 'true';
  const approval = wantsApproval
    ? {
        taskId: task.task_id,
        bytes: await approvalOf(task.task_id, address(), signal),
        keys: await loadTrust(trustPaths),
      }
    : undefined;
  const { name, version } = task.skill;
  const prepared = prepareSkill(
    bytes,
    { name, version, args: task.args, ...(approval === undefined ? {} : { approval }) },
    judgement,
  );
  const { timeoutMs, sandbox, ...skillRun } = prepared;
  return {
    ...run,
    ...skillRun,
    envRefs,
    timeoutMs: Math.min(timeoutMs, task.timeout_s * 1000),
    sandbox: { ...sandbox, required: settings.sandboxRequired },
  };
}

/** Undefined where nobody has left one. */
async function approvalOf(
  taskId: string,
  address: ControlAddress,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    const { text } = await callControl(address, { method: 'GET', path: `/tasks/${taskId}/approval`, signal });
    return Buffer.from(text);
  } catch (error) {
    if (error instanceof ControlRefusal && error.status === 404) return undefined;
    throw error;
  }
}
