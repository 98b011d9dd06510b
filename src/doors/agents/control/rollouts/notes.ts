/** What the audit chain says of a rollout's events: it follows from them, so that a crash between the two loses no line. */
import type { RunEvent } from '../../../../model/events.ts';
import type { AuditNote } from '../ports.ts';
import type { Rollout, RolloutFact } from './record.ts';

const ACTS: Readonly<Record<string, string>> = {
  'rollout.started': 'rollout.start',
  'rollout.paused': 'rollout.pause',
  'rollout.resumed': 'rollout.resume',
  'rollout.aborting': 'rollout.abort',
  'rollout.promoted': 'rollout.promote',
};

/** @param before, after the event. @returns undefined: nothing that anybody did, or that came too late to do anything. */
export function noteOf(before: Rollout, event: RunEvent, after: Rollout): AuditNote | undefined {
  if (after === before) return undefined;
  const { id, spec, state, lastAct, failure } = after;
  const about = { tenant: spec.tenant, object: `rollout/${id}` };
  const itself = { ...about, actor: `rollout/${id}`, before: { state: before.state } };
  if (event.type === 'phase_changed') {
    const reason = failure ?? lastAct?.reason;
    return {
      ...itself,
      action: `rollout.${state}`,
      after: { state },
      ...(reason === undefined ? {} : { reason }),
    };
  }
  if (event.type !== 'fact_recorded') return undefined;
  const { name, data } = event as unknown as RolloutFact;
  if (name === 'rollout.chosen')
    return {
      ...about,
      actor: after.createdBy,
      action: 'rollout.create',
      after: { state, canary: data.canary },
    };
  if (name === 'rollout.evaluated')
    return { ...itself, action: 'rollout.evaluate', after: { state, ...data } };
  const isOverride = name === 'rollout.promoted' && data.override;
  return {
    ...itself,
    actor: data.by,
    action: ACTS[name] ?? name,
    after: { state, ...(isOverride ? { override: true } : {}) },
    reason: data.reason,
  };
}
