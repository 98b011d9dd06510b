/**
 * What a control plane answers, looked at before it is used: ids become names of files here, and numbers become waits. What
 * fits is safe to work with; what it says beyond that is passed over.
 */
import { problemsOf } from '../../validate.ts';
import { LEASE_S, type HeartbeatReply } from '../wire/agents.ts';
import { HANDED_OUT, type HandedOut } from '../wire/tasks.ts';

const TASK = { ...HANDED_OUT, additionalProperties: true };
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

/** Without a checker of documents: an agent that waits needs none, and it is large. Undefined: it is no answer. */
export function heartbeatIn(json: unknown): HeartbeatReply | undefined {
  const { cancel, drain, allowlist_serial: serial } = (json ?? {}) as Partial<Record<string, unknown>>;
  if (!Array.isArray(cancel) || typeof drain !== 'boolean' || !Number.isSafeInteger(serial)) return undefined;
  const ids = cancel.filter((id): id is string => typeof id === 'string');
  return { cancel: ids, drain, allowlist_serial: serial as number };
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
