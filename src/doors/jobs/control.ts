import { redactText } from '../../policy/redaction/redactor.ts';
import type { CheckpointType, RequiredAction } from '../../model/node.ts';
import type { Limits } from '../../model/budget.ts';
import { violations, violationText } from '../../model/budget.ts';
import { ReeveError } from '../../model/errors.ts';
import type { JsonObject } from '../../model/json.ts';
import { usageAt, type RunState } from '../../model/state.ts';
import type { RecordedEvent } from '../../model/events.ts';
import { signStatement } from '../../policy/dsse.ts';
import type { SigningKey } from '../../policy/keys.ts';
import { approvalStatement } from '../../policy/statements.ts';
import { applyLine, emptyJobState, stateObject } from './fold-lines.ts';
import { requireJob, runSpecOf, workerOf, type Jobs } from './jobs.ts';
import { approvalRecord, checkpointRecord, lineOf, projectionOf } from './lines.ts';
import { parseCheckpointId, standingOf, type Status } from './map.ts';
import { isDeadWorker } from './resume.ts';

/** Writes `paused`: the step in flight finishes, the next is not started (W17). */
export async function pause(jobs: Jobs, id: string, by: string, reason?: string): Promise<JsonObject> {
  const { id: jobId } = await requireJob(jobs, id);
  await jobs.engine.execute(jobId, { type: 'pause', by: redactText(by), ...kept(reason) });
  jobs.directories.touch(jobId);
  return wrkrState(jobs, jobId);
}

/**
 * Writes `canceled` and sees to it that nothing of the job runs on: a live worker stops its children (W18), and without
 * one they are stopped here.
 */
export async function cancel(jobs: Jobs, id: string, by: string, reason?: string): Promise<JsonObject> {
  const { id: jobId } = await requireJob(jobs, id);
  const { state } = await jobs.engine.execute(jobId, {
    type: 'cancel',
    by: redactText(by),
    ...kept(reason),
  });
  if (state.live.size > 0) {
    const row = (await jobs.engine.store.work(jobId))[0];
    const isLeased = row?.untilMs != null && row.untilMs > jobs.engine.clock.nowMs();
    const isDriven = isLeased && !isDeadWorker(row.worker, jobs.place);
    if (!isDriven) await workerOf(jobs, 'dispatch').stopLeftovers(jobId);
  }
  jobs.directories.touch(jobId);
  return wrkrState(jobs, jobId);
}

/** The state object of contract wrkr §d. */
async function wrkrState(jobs: Jobs, jobId: string): Promise<JsonObject> {
  const projection = projectionOf(jobId, await runSpecOf(jobs, jobId), jobs.version);
  const state = emptyJobState(jobId);
  for (;;) {
    const events = await jobs.engine.events(jobId, state.last_applied_seq, 2000);
    if (events.length === 0) return stateObject(state);
    for (const recorded of events) applyLine(state, lineOf(recorded, projection));
  }
}

export interface Approval {
  readonly jobId: string;
  readonly checkpoint: string;
  readonly by: string;
  readonly reason: string;
  /** The hash that the approver reviewed; the approval is refused when the decision is about something else. */
  readonly binds?: string;
  /** Signs the approval. */
  readonly key?: SigningKey;
}

/**
 * @returns the `wrkr.approval_record`; a signature is only in the run's own event.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: no such decision, no reason, or an imported decision that is to be signed;
 * E_CHECKPOINT_APPROVAL_REQUIRED when it binds something else.
 */
export async function approve(jobs: Jobs, approval: Approval): Promise<JsonObject> {
  const { id: jobId } = await requireJob(jobs, approval.jobId);
  const { key } = approval;
  const [by, reason] = [redactText(approval.by), redactText(approval.reason)];
  const checkpoint = parseCheckpointId(approval.checkpoint);
  const bound =
    key === undefined ? undefined : (await jobs.engine.state(jobId)).decisions.get(checkpoint)?.binds;
  if (bound === '') {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${approval.checkpoint} was imported and binds nothing that could be signed`,
      { job_id: jobId, checkpoint_id: approval.checkpoint },
    );
  }
  const binds = approval.binds ?? bound;
  const claim = { jobId, checkpointId: approval.checkpoint, approvedBy: by, reason: reason.trim() };
  // Where there is no such decision, the command is refused anyhow.
  const signature =
    key === undefined || bound === undefined
      ? undefined
      : signStatement(approvalStatement({ ...claim, binds: bound }), key);
  const { events } = await jobs.engine.execute(jobId, {
    type: 'approve',
    checkpoint,
    by,
    reason,
    ...(binds === undefined ? {} : { binds }),
    ...(signature === undefined ? {} : { signature }),
  });
  jobs.directories.touch(jobId);
  return recordOf(jobs, jobId, events, 'approval_recorded');
}

export interface Emission {
  readonly jobId: string;
  readonly type: CheckpointType;
  readonly summary: string;
  readonly status?: Status;
  readonly requiredAction?: RequiredAction;
  readonly reasonCodes: readonly string[];
}

export async function emitCheckpoint(jobs: Jobs, emission: Emission): Promise<JsonObject> {
  const { id: jobId } = await requireJob(jobs, emission.jobId);
  const { type, status, requiredAction } = emission;
  const reasonCodes = emission.reasonCodes.map((code) => redactText(code));
  const summary = redactText(emission.summary);
  const { events } = await jobs.engine.execute(jobId, {
    type: 'emit_checkpoint',
    checkpoint: type,
    summary,
    reasonCodes,
    ...(status === undefined ? {} : { standing: standingOf(status) }),
    ...(requiredAction === undefined ? {} : { requiredAction: withoutSecrets(requiredAction) }),
  });
  jobs.directories.touch(jobId);
  return recordOf(jobs, jobId, events, 'checkpoint_emitted');
}

/** What people type is kept on record (I9). */
function kept(reason: string | undefined): { readonly reason?: string } {
  return reason === undefined ? {} : { reason: redactText(reason) };
}

function withoutSecrets({ kind, instructions }: RequiredAction): RequiredAction {
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(instructions === undefined ? {} : { instructions: redactText(instructions) }),
  };
}

async function recordOf(
  jobs: Jobs,
  jobId: string,
  events: readonly RecordedEvent[],
  type: 'approval_recorded' | 'checkpoint_emitted',
): Promise<JsonObject> {
  const recorded = events.find(({ event }) => event.type === type);
  if (recorded === undefined) throw new TypeError(`no ${type} event was written`);
  const projection = projectionOf(jobId, await runSpecOf(jobs, jobId), jobs.version);
  const line = lineOf(recorded, projection);
  const record =
    type === 'approval_recorded'
      ? approvalRecord(line)
      : checkpointRecord(line, jobId, projection.producerVersion);
  if (record === undefined) throw new TypeError(`the ${type} event has no record`);
  return record;
}

/**
 * Compares usage with limits of its own. Over one, the job is held as by its own budget where its status allows;
 * a status that cannot become `blocked_budget` stays.
 * @throws ReeveError E_BUDGET_EXCEEDED
 */
export async function checkBudget(jobs: Jobs, id: string, limits: Limits): Promise<void> {
  const { id: jobId } = await requireJob(jobs, id);
  const state: RunState = await jobs.engine.state(jobId);
  const found = violations(limits, usageAt(state, jobs.engine.clock.nowMs())).map(violationText);
  if (found.length === 0) return;
  if (state.standing.phase === 'running') {
    const summary = `budget exceeded: ${found.join(', ')}`;
    await jobs.engine.execute(jobId, {
      type: 'hold',
      hold: 'budget',
      summary,
      reasonCodes: ['E_BUDGET_EXCEEDED'],
    });
    jobs.directories.touch(jobId);
  }
  throw new ReeveError('E_BUDGET_EXCEEDED', `budget exceeded: ${found.join(', ')}`, {
    job_id: jobId,
    violations: found,
  });
}
