/** Ids as the control plane takes and makes them (contract agents §2). */
import { createHash, randomUUID } from 'node:crypto';

/** Agent ids, run ids and tenants. Nothing that fits leaves its folder, but `..` needs a look of its own. */
export const NAME_PATTERN = '^(?!.*\\.\\.)[A-Za-z0-9][A-Za-z0-9._-]{0,127}$';
export const ACTION_PATTERN = '^(?!.*\\.\\.)[a-z0-9][a-z0-9_.-]{0,63}$';
export const SKILL_NAME_PATTERN = '^[a-z][a-z0-9_]{1,63}$';
export const DEFAULT_TENANT = 'default';

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
