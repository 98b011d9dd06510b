/** What engine and supervisor say to each other: one JSON document a line, over the supervisor's stdin and stdout. */
import type { Usage } from '../../model/usage.ts';
import type { ProcessInput } from './input.ts';

export interface Assignment {
  readonly effectKey: string;
  /** The record directory, absolute; it exists. */
  readonly record: string;
  readonly input: ProcessInput;
  /** The command's whole environment. Secret: it passes through this pipe and goes to no file (I9). */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly allowance?: Partial<Usage>;
}

export type CancelReason = 'canceled' | 'over_budget';

export type ToSupervisor =
  | { readonly type: 'run'; readonly assignment: Assignment }
  | { readonly type: 'cancel'; readonly effectKey: string; readonly reason: CancelReason };

export type FromSupervisor =
  /** The command starts, now or never under this key. */
  | { readonly type: 'claimed'; readonly atMs: number }
  /** Nothing was started. No message: somebody else holds the claim. */
  | { readonly type: 'refused'; readonly message?: string }
  | { readonly type: 'usage'; readonly usage: Partial<Usage> }
  /** The record is complete, and the supervisor ready for the next assignment. */
  | { readonly type: 'settled' };

/** Longest message, in bytes: the environment and arguments of a process are limited to 2 MiB on Linux. */
export const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;

export function encodeMessage(message: ToSupervisor | FromSupervisor): string {
  return `${JSON.stringify(message)}\n`;
}
