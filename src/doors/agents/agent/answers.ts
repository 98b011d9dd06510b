/**
 * What a control plane answers, looked at before it is used: ids become names of files here, and numbers become waits. What
 * fits is safe to work with; what it says beyond that is passed over.
 */
import { problemsOf } from '../../validate.ts';
import { HEARTBEAT_REPLY, LEASE_S, type HeartbeatReply } from '../wire/agents.ts';
import { HANDED_OUT, type HandedOut } from '../wire/tasks.ts';

const TASK = { ...HANDED_OUT, additionalProperties: true };
const BEAT = { ...HEARTBEAT_REPLY, additionalProperties: true };
const TIMEOUT_S_MAX = 86_400;
const LEASE_S_MAX = 86_400;
const INTERVAL_S_MAX = 3600;

/** @returns the task; null: there is none; a text: what is wrong with it */
export async function taskIn(json: unknown): Promise<HandedOut | null | string> {
  if (typeof json !== 'object' || json === null || !('task' in json)) return 'the answer names no task';
  const { task } = json;
  if (task === null) return null;
  const [problem] = await problemsOf(TASK, task);
  if (problem !== undefined) return `the task ${problem.field} ${problem.problem}`;
  const fitting = task as HandedOut;
  return { ...fitting, timeout_s: Math.min(fitting.timeout_s, TIMEOUT_S_MAX) };
}

/** Undefined: it is none. */
export async function heartbeatIn(json: unknown): Promise<HeartbeatReply | undefined> {
  return (await problemsOf(BEAT, json)).length === 0 ? (json as HeartbeatReply) : undefined;
}

/** Milliseconds, of a registration's `lease_s`. */
export function leaseMsOf(seconds: unknown): number {
  return within(seconds, 0.1, LEASE_S_MAX, LEASE_S) * 1000;
}

/** Milliseconds: as often as the agent would by itself, or as the control plane expects it, whatever is more often. */
export function intervalMsOf(seconds: unknown, ownS: number): number {
  return Math.min(ownS, within(seconds, 1, INTERVAL_S_MAX, ownS)) * 1000;
}

function within(value: unknown, least: number, most: number, otherwise: number): number {
  return typeof value === 'number' && value >= least && value <= most ? value : otherwise;
}
