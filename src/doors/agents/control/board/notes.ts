/** What the audit chain says of a task's events: it follows from them, so that a crash between the two loses no line. */
import type { RecordedEvent } from '../../../../model/events.ts';
import type { JsonObject } from '../../../../model/json.ts';
import type { AuditNote } from '../ports.ts';
import { CANCEL_FACT, STARTED_FACT, type TaskRecord } from './record.ts';

/** Who acts where nobody asked: an expired lease is found by the control plane itself. */
const ITSELF = 'control-plane';

/** @param before, after the event; undefined `before` for the first. @returns undefined: nothing that anybody did. */
export function noteOf(
  before: TaskRecord | undefined,
  { event }: RecordedEvent,
  after: TaskRecord,
): AuditNote | undefined {
  const { view } = after;
  const { tenant } = view;
  const about = {
    tenant,
    object: `task/${view.task_id}`,
    ...(before === undefined ? {} : { before: stand(before) }),
  };
  const agent = view.agent_id ?? ITSELF;
  switch (event.type) {
    case 'run_created':
      return { ...about, actor: view.created_by, action: 'task.create', after: taskOf(after) };
    case 'attempt_started':
      return { ...about, actor: agent, action: 'task.lease', after: stand(after) };
    case 'fact_recorded': {
      if (event.name === STARTED_FACT)
        return { ...about, actor: agent, action: 'task.start', after: stand(after) };
      if (event.name !== CANCEL_FACT) return undefined;
      const { by, reason } = event.data as JsonObject;
      return {
        ...about,
        actor: typeof by === 'string' ? by : ITSELF,
        action: 'task.cancel',
        ...(typeof reason === 'string' ? { reason } : {}),
        after: stand(after),
      };
    }
    case 'attempt_ended':
      if (event.next.state === 'queued')
        return {
          ...about,
          actor: ITSELF,
          action: 'task.requeue',
          reason: 'lease_expired',
          after: stand(after),
        };
      return endNote(about, agent, after);
    case 'node_settled':
      return endNote(about, event.by ?? ITSELF, after);
    default:
      return undefined;
  }
}

function endNote(about: Omit<AuditNote, 'actor' | 'action'>, actor: string, after: TaskRecord): AuditNote {
  const { status, reason, result } = after.view;
  const reported = after.end?.report !== undefined;
  return {
    ...about,
    actor: status === 'lost' ? ITSELF : actor,
    action: reported ? 'task.result' : status === 'lost' ? 'task.lost' : 'task.cancel',
    ...(reason === undefined ? {} : { reason }),
    after: {
      ...stand(after),
      ...(result?.exit_code === undefined ? {} : { exit_code: result.exit_code }),
      ...(result?.artifacts === undefined ? {} : { artifacts: result.artifacts }),
    },
  };
}

function stand({ view: { status, attempt, agent_id } }: TaskRecord) {
  return { status, attempt, ...(agent_id === undefined ? {} : { agent_id }) };
}

function taskOf({ view }: TaskRecord) {
  const { run_id, action, skill, target, rollout_id, phase } = view;
  return {
    run_id,
    action,
    target,
    ...(skill === undefined ? {} : { skill }),
    ...(rollout_id === undefined ? {} : { rollout_id, phase }),
  };
}
