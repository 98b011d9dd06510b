/** Names in the agents' world (contract agents §2.1, §3): safe as one part of a path, and in a line of a log. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';

export const ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
const ACTION_WORD = '^[a-z0-9][a-z0-9_.-]{0,63}$';
const NO_DOTS = '^(?!.*\\.\\.)';
/** Ids of agents, runs and tenants, for schemas: nothing that fits leaves its folder. */
export const NAME_PATTERN = NO_DOTS + ID_PATTERN.slice(1);
export const ACTION_PATTERN = NO_DOTS + ACTION_WORD.slice(1);
export const SKILL_NAME_PATTERN = '^[a-z][a-z0-9_]{1,63}$';
export const DEFAULT_TENANT = 'default';

/** What is wrong with an id of a run, agent or tenant; undefined when it may be used. */
export function idProblem(id: string): string | undefined {
  return problem(id, ID_PATTERN);
}

/** The same for the name of an action. */
export function actionProblem(action: string): string | undefined {
  return problem(action, ACTION_WORD);
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

/** The run of the engine behind a run id: tenants do not meet, since no id holds a tilde. */
export function engineRunId(tenant: string, runId: string): string {
  return tenant === DEFAULT_TENANT ? runId : `${tenant}~${runId}`;
}

export function newId(): string {
  return randomUUID();
}

/** An id that follows from what it is for, so that asking twice makes one thing; in the form of a UUIDv4. */
export function derivedId(...parts: readonly string[]): string {
  const hex = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
