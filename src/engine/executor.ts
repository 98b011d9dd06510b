/**
 * The executor port: where effects happen (DESIGN §2). Every executor passes `test/contracts/executor.ts`.
 *
 * A piece of work is named by its effect key, unique for each attempt. The key alone finds the work again: after a
 * crash the engine has only what the `attempt_started` event recorded.
 */
import type { Json, JsonObject } from '../model/json.ts';
import type { Usage } from '../model/usage.ts';

/** One attempt of one node, handed to an executor after its intent has been committed (I5). */
export interface NodeWork {
  readonly runId: string;
  readonly nodeId: string;
  readonly attempt: number;
  /** `[A-Za-z0-9._-]{1,200}`; the same key always names the same effect. */
  readonly effectKey: string;
  /** The node's arguments, as their executor defines them. */
  readonly input: Json;
  /** Most the attempt may take, in milliseconds; undefined: no limit. */
  readonly timeoutMs?: number;
  /** What the budget still allows; the executor stops the work by itself once it reports more. Absent keys: no limit. */
  readonly allowance?: Partial<Usage>;
}

export interface RuntimeRef {
  readonly executor: string;
  readonly effectKey: string;
}

/** `accepted`: the executor has taken a composite over, and whoever does the work settles it by a command later. */
export type RuntimeOutcome = 'succeeded' | 'accepted' | 'failed' | 'canceled' | 'timed_out' | 'over_budget';

export interface RuntimeError {
  readonly code: string;
  readonly message: string;
  readonly details?: JsonObject;
  /** Whether the same again may succeed; `RetryPolicy.only` asks. */
  readonly retryable?: boolean;
}

export type RuntimeStatus =
  /** Provably never started under this key, and never will be: asking fences the key. */
  | { readonly phase: 'not_started' }
  /** It was started, or may have been, and its fate cannot be known. */
  | { readonly phase: 'unknown'; readonly reason: string }
  | { readonly phase: 'running'; readonly startedAtMs: number; readonly usage: Partial<Usage> }
  | {
      readonly phase: 'finished';
      readonly outcome: RuntimeOutcome;
      readonly startedAtMs: number;
      readonly finishedAtMs: number;
      readonly exitCode?: number;
      readonly signal?: string;
      readonly error?: RuntimeError;
      readonly outputs?: JsonObject;
      /** What the work itself used beyond being one step and one call. */
      readonly usage: Partial<Usage>;
    };

export interface Executor {
  readonly name: string;
  /** Starts the work. Idempotent: a key already submitted gives the same ref and starts nothing. */
  submit(work: NodeWork): Promise<RuntimeRef>;
  /** Where the work stands. Works with nothing but the key, also after a crash of whoever submitted it. */
  status(ref: RuntimeRef): Promise<RuntimeStatus>;
  /** Asks the work to stop, as `reason`. Idempotent; finished and not found are success. Returns once asked. */
  cancel(ref: RuntimeRef, reason: 'canceled' | 'over_budget'): Promise<void>;
  /** Yields on every change that matters (usage grew, finished) and ends after `finished`, `unknown` or `not_started`. */
  watch(ref: RuntimeRef, signal: AbortSignal): AsyncIterable<RuntimeStatus>;
  /** Frees what the executor keeps for a settled attempt (records, spools). Idempotent. */
  forget(ref: RuntimeRef): Promise<void>;
  close(): Promise<void>;
}
