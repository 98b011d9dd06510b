/** One task, from the lease to the spool: judged by this machine's own rules, run, and its result written down. */
import { join, resolve } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import { stopPoint } from '../../../telemetry/stop-points.ts';
import { callControl, ControlRefusal, type ControlAddress } from '../client/control-client.ts';
import { prepareSkill, verifyCommand } from '../runner/prepare.ts';
import {
  cancelBeforehand,
  failBeforehand,
  refuse,
  runOperational,
  type OperationalRun,
} from '../runner/run.ts';
import { loadAllowList, loadTrust } from '../runner/verification.ts';
import { timestamp } from '../ids.ts';
import { isDestructive, type HandedOut } from '../wire/tasks.ts';
import { deliveryOf, freeRunId } from './begun.ts';
import { approvalBytes, packageBytes, type AllowListFile } from './downloads.ts';
import { resolveSecrets } from './secrets.ts';
import type { AgentSettings } from './settings.ts';
import type { Begun, Delivery, Spool } from './spool.ts';
import type { StateDir } from './state-dir.ts';

export interface TaskWorld {
  readonly settings: AgentSettings;
  readonly state: StateDir;
  readonly spool: Spool;
  readonly allowList: AllowListFile;
  address(): ControlAddress;
  note(text: string): void;
}

/** Why a task is stopped; the lease of a lost one is another's. */
export type StopReason = 'SIGTERM' | 'lost';

/**
 * Runs the task. Never throws for what its command or its package does.
 * @param signal aborts with a `StopReason`.
 * @returns what is to be delivered, in the spool; undefined: the task was another's before anything began.
 * @throws ReeveError E_STORE_*: its files cannot be written; E_USAGE: its run id was used on this machine
 */
export async function work(
  task: HandedOut,
  world: TaskWorld,
  signal: AbortSignal,
): Promise<Delivery | undefined> {
  stopPoint('agent:taken');
  if (!(await start(task, world, signal))) return undefined;
  const { settings, spool, note } = world;
  const { task_id: taskId, run_id: runId, attempt, lease_id: leaseId } = task;
  const begun: Begun = { taskId, runId, attempt, leaseId, directory: join(resolve(settings.runsDir), runId) };
  await spool.begin(begun);
  stopPoint('agent:begun');
  try {
    await freeRunId(begun, settings.agentId);
    if (!(await carryOut(task, world, signal))) {
      await spool.forget(begun);
      return undefined;
    }
  } catch (error) {
    await spool.forget(begun);
    throw error;
  }
  stopPoint('agent:ran');
  const delivery = await deliveryOf(begun, signal.reason === 'lost');
  // It is brought all the same; and what was begun is on record, so that a restart makes it of the run's files again.
  await spool.put(delivery).catch((error: Error) => note(`task ${taskId}: ${error.message}`));
  stopPoint('agent:spooled');
  return delivery;
}

/** Says that the work begins. @returns false: the lease is another's by now. */
async function start(
  { task_id: id, lease_id, attempt }: HandedOut,
  { address, note }: TaskWorld,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await callControl(address(), {
      method: 'POST',
      path: `/tasks/${id}/start`,
      json: { lease_id, started_at: timestamp(Date.now()) },
      key: `${id}-${attempt}-start`,
      signal,
    });
  } catch (error) {
    // Where nobody answers it was handed out all the same, and whether others hear of its beginning changes nothing.
    if (signal.reason === 'lost') return false;
    if (!(error instanceof ControlRefusal) || ![404, 409].includes(error.status)) return true;
    note(`task ${id} is not begun: ${error.message}`);
    return false;
  }
  return true;
}

/** @returns false: the lease was lost before anything of it was begun */
async function carryOut(task: HandedOut, world: TaskWorld, signal: AbortSignal): Promise<boolean> {
  const { settings, note } = world;
  const { agentId, runsDir, env } = settings;
  const { token } = world.address();
  const known = [token, settings.enrolToken, settings.agentToken, env['VAULT_TOKEN']];
  const run: OperationalRun = {
    runId: task.run_id,
    action: task.action,
    argv: task.command ?? [],
    timeoutMs: task.timeout_s * 1000,
    maxOutputBytes: task.max_output_bytes,
    env: settings.isStrict ? { ...env, JARVAS_STRICT: '1' } : env,
    envRefs: {},
    secrets: known.filter((text) => text !== undefined),
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
    if (signal.reason === 'lost') return false;
    if (signal.aborted) {
      await cancelBeforehand(run);
      return true;
    }
    if (isFull(error)) throw error; // no verdict about the task: others may have room, and so may this machine later
    const { message } = error as Error;
    note(`task ${task.task_id} is not run: ${message}`);
    // What is wrong with this machine, such as a key that cannot be read, is no verdict about the task.
    await (error instanceof Refusal ? refuse(run, error.reason) : failBeforehand(run, message));
    return true;
  }
  await runOperational(judged);
  return true;
}

/** @throws Refusal: it is not run. ReeveError: it cannot be judged here. The signal's reason */
async function judge(
  task: HandedOut,
  run: OperationalRun,
  { settings, state, allowList, address }: TaskWorld,
  signal: AbortSignal,
): Promise<OperationalRun> {
  // Somebody may have published a list with this very task in mind, or have taken something off it.
  await allowList.refresh(address(), signal).catch((error: unknown) => {
    if (isFull(error)) throw error;
  });
  signal.throwIfAborted();
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
  const approval = isDestructive(task)
    ? {
        taskId: task.task_id,
        bytes: await approvalBytes(task.task_id, address(), signal),
        keys: await loadTrust(trustPaths),
      }
    : undefined;
  const { name, version } = task.skill;
  const request = { name, version, args: task.args, ...(approval === undefined ? {} : { approval }) };
  const { timeoutMs, sandbox, ...skillRun } = prepared(bytes, request, judgement);
  // Also signed, perhaps later: it is not what was asked for, tried on a canary and put on record.
  const named = task.skill.digest;
  const digest = skillRun.skill?.digest;
  if (digest !== named)
    throw new Refusal('digest_mismatch', 'the package is another than the one that the task names', {
      value: digest,
      limit: named,
    });
  return {
    ...run,
    ...skillRun,
    envRefs,
    timeoutMs: Math.min(timeoutMs, task.timeout_s * 1000),
    sandbox: { ...sandbox, required: settings.sandboxRequired },
  };
}

function isFull(error: unknown): boolean {
  return error instanceof ReeveError && error.code === 'E_STORE_FULL';
}

/** @throws Refusal */
function prepared(
  ...[bytes, request, judgement]: Parameters<typeof prepareSkill>
): ReturnType<typeof prepareSkill> {
  try {
    return prepareSkill(bytes, request, judgement);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // It is on the list, and no package: whoever signed it signed something else.
    throw new Refusal('digest_mismatch', (error as Error).message, {}, { cause: error });
  }
}
