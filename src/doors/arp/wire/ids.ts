/** Ids and times as ARP writes them. */
import { createHash, randomBytes } from 'node:crypto';

/** Ids of composites that plan begin with it, unless they say so otherwise (contract arp §7). */
export const PLANNER_PREFIX = 'jarvis.composite.planner';

/** 32 hex digits, which nobody has drawn before. */
export function newHexId(): string {
  return randomBytes(16).toString('hex');
}

/** Id of the child that a parent creates under an idempotency key (contract arp §4.6). */
export function childNodeRunId(runId: string, parentNodeRunId: string, key: string): string {
  const hash = createHash('sha256').update(`${runId}:${parentNodeRunId}:${key}`).digest('hex');
  return `node_run_${hash.slice(0, 32)}`;
}

/** RFC 3339 in UTC, with milliseconds. */
export function wireTime(ms: number): string {
  return new Date(ms).toISOString();
}
