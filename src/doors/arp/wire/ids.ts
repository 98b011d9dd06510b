/** Ids and times as ARP writes them. */
import { randomBytes } from 'node:crypto';

/** 32 hex digits, which nobody has drawn before. */
export function newHexId(): string {
  return randomBytes(16).toString('hex');
}

/** RFC 3339 in UTC, with milliseconds. */
export function wireTime(ms: number): string {
  return new Date(ms).toISOString();
}
