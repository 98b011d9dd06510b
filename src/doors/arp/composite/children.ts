/** The children of one composite NodeRun: found again after a restart, created, waited for (contract arp §7.1 6, H29). */
import type { CompositeCallbacks } from '../ports.ts';
import { unlessAborted } from '../waiting.ts';
import { ArpError } from '../wire/errors.ts';
import { childNodeRunId } from '../wire/ids.ts';
import type { NodeRunsCreateRequest } from '../wire/requests.ts';
import type { InternalNodeRun, NodeRun } from '../wire/runs.ts';
import { failure } from './failures.ts';
import { type Clock, persistently } from './patience.ts';

export interface Place {
  readonly runId: string;
  /** Of the composite itself. */
  readonly nodeRunId: string;
}

export interface ChildrenParts {
  readonly coordinator: CompositeCallbacks;
  readonly clock: Clock;
  readonly pollTimeoutMs: number;
  readonly pollIntervalMs: number;
}

/** The composite ended while somebody drove it: canceled, or driven by another. There is nothing left to report. */
export class OwnNodeEnded extends Error {}

/** How long a coordinator that does not answer is waited for, milliseconds: restarting it must not fail runs. */
export const PATIENCE_MS = 600_000;
/** Before the second look; doubled up to the interval, so that a quick child costs no whole one. */
const LOOK_FIRST_MS = 50;

type Spec = NodeRunsCreateRequest['node_runs'][number];

export function isTerminal({ state }: Pick<NodeRun, 'state'>): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'canceled';
}

export class Children {
  readonly #place: Place;
  readonly #parts: ChildrenParts;

  constructor(place: Place, parts: ChildrenParts) {
    this.#place = place;
    this.#parts = parts;
  }

  /** @returns the child that was created for the subtask before; undefined: there is none. */
  async existing(subtaskId: string, signal: AbortSignal): Promise<InternalNodeRun | undefined> {
    const { runId, nodeRunId } = this.#place;
    try {
      return await this.read(childNodeRunId(runId, nodeRunId, this.#key(subtaskId)), signal);
    } catch (error) {
      if (error instanceof ArpError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** @throws ArpError `composite_no_child_runs`, and what the coordinator refuses */
  async create(subtaskId: string, spec: Spec, signal: AbortSignal): Promise<NodeRun> {
    const { runId, nodeRunId } = this.#place;
    const request: NodeRunsCreateRequest = {
      run_id: runId,
      parent_node_run_id: nodeRunId,
      node_runs: [{ ...spec, idempotency_key: this.#key(subtaskId) }],
    };
    const { coordinator, clock } = this.#parts;
    const [child] = await persistently(() => coordinator.create(request), PATIENCE_MS, clock, signal);
    if (child !== undefined) return child;
    throw failure('composite_no_child_runs', `the coordinator created no NodeRun for ${subtaskId}`, {
      subtask_id: subtaskId,
    });
  }

  read(nodeRunId: string, signal: AbortSignal): Promise<InternalNodeRun> {
    const { coordinator, clock } = this.#parts;
    return persistently(() => coordinator.nodeRun(nodeRunId), PATIENCE_MS, clock, signal);
  }

  /**
   * A child that takes too long is completed as canceled: coordinators have no verb to cancel one NodeRun.
   * @throws OwnNodeEnded
   * @throws ArpError `composite_child_timeout`, and what the coordinator refuses
   */
  async ended(child: NodeRun, signal: AbortSignal): Promise<InternalNodeRun> {
    const { coordinator, pollTimeoutMs } = this.#parts;
    const found = await (coordinator.waitTerminal === undefined
      ? this.#polled(child.node_run_id, signal)
      : this.#woken(child.node_run_id, coordinator.waitTerminal.bind(coordinator), signal));
    if (found !== undefined) return found;
    const seconds = pollTimeoutMs / 1000;
    const timeout = failure('composite_child_timeout', `a child did not end within ${seconds} s`, {
      node_run_id: child.node_run_id,
      timeout_seconds: seconds,
    });
    if (await this.cancel(child.node_run_id, timeout, signal)) throw timeout;
    return this.read(child.node_run_id, signal); // it ended in time after all
  }

  /** @returns whether it took effect: false when the child had ended before. */
  async cancel(nodeRunId: string, reason: ArpError, signal: AbortSignal): Promise<boolean> {
    const { coordinator, clock } = this.#parts;
    const error = { code: reason.wireCode, message: reason.message };
    const complete = (): Promise<void> => coordinator.complete(nodeRunId, { state: 'canceled', error });
    try {
      await persistently(complete, PATIENCE_MS, clock, signal);
      return true;
    } catch (thrown) {
      if (thrown instanceof ArpError && thrown.wireCode === 'node_run_already_terminal') return false;
      throw thrown;
    }
  }

  #key(subtaskId: string): string {
    return `${this.#place.nodeRunId}:${subtaskId}`;
  }

  async #polled(nodeRunId: string, signal: AbortSignal): Promise<InternalNodeRun | undefined> {
    const { clock, pollTimeoutMs, pollIntervalMs } = this.#parts;
    const untilMs = clock.nowMs() + pollTimeoutMs;
    for (let pauseMs = LOOK_FIRST_MS; ; pauseMs *= 2) {
      const child = await this.#look(nodeRunId, signal);
      if (child !== undefined && isTerminal(child)) return child;
      const own = await this.#look(this.#place.nodeRunId, signal);
      if (own !== undefined && isTerminal(own)) throw new OwnNodeEnded();
      const leftMs = untilMs - clock.nowMs();
      if (leftMs <= 0) return undefined;
      await clock.pause(Math.min(pauseMs, pollIntervalMs, leftMs), signal);
    }
  }

  /** @returns undefined when it cannot be had now: the next look may. */
  async #look(nodeRunId: string, signal: AbortSignal): Promise<InternalNodeRun | undefined> {
    try {
      return await unlessAborted(signal, this.#parts.coordinator.nodeRun(nodeRunId));
    } catch (error) {
      if (error instanceof ArpError && error.retryable === true) return undefined;
      throw error;
    }
  }

  async #woken(
    nodeRunId: string,
    wait: NonNullable<CompositeCallbacks['waitTerminal']>,
    signal: AbortSignal,
  ): Promise<InternalNodeRun | undefined> {
    signal.throwIfAborted();
    const { clock, pollTimeoutMs } = this.#parts;
    const enough = new AbortController();
    const until = AbortSignal.any([signal, enough.signal]);
    const all = [
      wait(nodeRunId, until),
      wait(this.#place.nodeRunId, until).then(() => Promise.reject(new OwnNodeEnded())),
      clock.pause(pollTimeoutMs, until).then(() => undefined),
    ];
    try {
      return await Promise.race(all);
    } finally {
      enough.abort();
      await Promise.allSettled(all);
    }
  }
}
