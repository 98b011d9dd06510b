/** Names in the agents' world (contract agents §2.1, §3): safe as one part of a path, and in a line of a log. */
import { randomBytes } from 'node:crypto';

/** Ids of runs, agents and tenants; besides, they hold no `..`. */
export const ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
export const ACTION_PATTERN = '^[a-z0-9][a-z0-9_.-]{0,63}$';

/** What is wrong with an id of a run, agent or tenant; undefined when it may be used. */
export function idProblem(id: string): string | undefined {
  return problem(id, ID_PATTERN);
}

/** The same for the name of an action. */
export function actionProblem(action: string): string | undefined {
  return problem(action, ACTION_PATTERN);
}

function problem(name: string, pattern: string): string | undefined {
  if (!new RegExp(pattern).test(name)) return `does not match ${pattern}`;
  return name.includes('..') ? 'holds two dots in a row' : undefined;
}

/** `run-20260131T120000Z-5f3a9c`: the original's name, and six digits by which two of one second differ. */
export function newRunId(nowMs: number): string {
  const time = timestamp(nowMs).replaceAll(/[-:]/g, '');
  return `run-${time}-${randomBytes(3).toString('hex')}`;
}

/** RFC 3339, UTC, whole seconds: `2026-01-31T12:00:00Z`. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
