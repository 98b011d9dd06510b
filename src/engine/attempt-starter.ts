/** The beginning of an attempt: its admission, its intent on record, its submission; or its taking over from a worker before. */
import { allowance } from '../model/budget.ts';
import { isApproved } from '../model/decide/checkpoint.ts';
import type { Fact, RecordedEvent } from '../model/events.ts';
import { usageAt, type Node, type RunState } from '../model/state.ts';
import { NO_USAGE } from '../model/usage.ts';
import { stopPoint } from '../telemetry/stop-points.ts';
import type { Admit } from './admission.ts';
import type { AttemptWatcher } from './attempt-watcher.ts';
import type { Executor, NodeWork } from './executor.ts';
import type { LeasedRun } from './leased-run.ts';
import { sha256 } from './system.ts';

interface StarterParts {
  readonly run: LeasedRun;
  readonly watcher: AttemptWatcher;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly admit: Admit | undefined;
  /** Aborted once the driver goes: what is being admitted does not start any more. */
  readonly leaving: AbortSignal;
}

export class AttemptStarter {
  readonly #run: LeasedRun;
  readonly #watcher: AttemptWatcher;
  readonly #executors: ReadonlyMap<string, Executor>;
  readonly #admitting: Admit | undefined;
  readonly #leaving: AbortSignal;

  constructor({ run, watcher, executors, admit, leaving }: StarterParts) {
    this.#run = run;
    this.#watcher = watcher;
    this.#executors = executors;
    this.#admitting = admit;
    this.#leaving = leaving;
  }

  /** Starts a ready node, if it is admitted, and resolves when the end of its attempt is on record. */
  async start(id: string, executorName: string | undefined): Promise<void> {
    const run = this.#run;
    const { epoch } = run.lease;
    if (executorName !== undefined && !this.#executors.has(executorName))
      return this.#holdWithout(executorName);
    const admitted = this.#admitting === undefined ? {} : await this.#admit(id, this.#admitting);
    if (admitted === undefined) return;
    const starting = run.write({ type: 'start', node: id, epoch, ...admitted });
    const live = run.peek()?.nodes.get(id)?.live;
    if (live !== undefined && live.executor === null && live.epoch === epoch) {
      // No effect, so nothing to wait for: its start and its end go into one transaction.
      await Promise.all([starting, this.#finishEmpty(id, live.attempt)]);
      return;
    }
    const { events } = await starting;
    run.tell();
    const started = startedEvent(events);
    if (started === undefined) return; // held for its budget, or waiting for an approval
    const { attempt, effectKey } = started;
    if (started.executor === null) {
      await this.#finishEmpty(id, attempt);
      return;
    }
    const executor = this.#executors.get(started.executor);
    if (executor === undefined) return this.#holdWithout(started.executor);
    // The store has just taken the start: as good as asking it again.
    const state = run.peek() ?? (await run.state());
    const node = state.nodes.get(id);
    if (node?.live?.attempt !== attempt) return;
    if (node.state === 'canceled') {
      await this.#watcher.interrupt({ node: id, attempt, epoch }, 'not_started', 'the run was canceled');
      return;
    }
    if (!run.holds()) return; // the intent is recorded, the effect never begins: whoever recovers finds that out
    stopPoint('effect:intended');
    await this.#submit(executor, this.#workOf(state, node, attempt, effectKey));
  }

  /** Takes over an attempt that was started before we came. */
  async recover(id: string): Promise<void> {
    const { nodes } = await this.#run.state();
    const live = nodes.get(id)?.live;
    if (live === undefined) return;
    const attempt = { node: id, attempt: live.attempt, epoch: this.#run.lease.epoch };
    if (live.executor === null) {
      await this.#watcher.interrupt(attempt, 'not_started', 'its worker ended before the step was recorded');
      return;
    }
    const executor = this.#executors.get(live.executor);
    if (executor === undefined) return this.#holdWithout(live.executor);
    const ref = { executor: live.executor, effectKey: live.effectKey };
    const { charged } = live;
    await this.#watcher.watch(this.#watcher.expect({ executor, ref, attempt, isOurs: false, charged }));
  }

  /** What goes on record with the start; undefined when the node does not start now. */
  async #admit(id: string, admit: Admit): Promise<{ facts?: readonly Fact[] } | undefined> {
    const run = this.#run;
    const signal = this.#leaving;
    // As the start will be decided on it. Asking the store would take a turn, and the transaction of the claim leaves with it.
    const state = run.peek() ?? (await run.state());
    const node = state.nodes.get(id);
    if (node === undefined || !state.ready.has(id)) return undefined;
    const approved = isApproved(state, node, sha256);
    const said = await admit(state, node, { isApproved: approved, signal });
    if (signal.aborted) return undefined;
    if (said === 'go') return {};
    const facts = said.facts === undefined ? {} : { facts: said.facts };
    if ('go' in said || ('ask' in said && approved)) return facts;
    const about = { node: id, epoch: run.lease.epoch, ...facts };
    if ('refuse' in said) await run.write({ type: 'reject', ...about, error: said.refuse });
    else await run.write({ type: 'ask', ...about, ...said.ask });
    run.tell();
    return undefined;
  }

  /** Hands work to its executor. What the executor refuses has failed, once it is sure that nothing of it began. */
  async #submit(executor: Executor, work: NodeWork): Promise<void> {
    const effect = this.#watcher.expect({
      executor,
      ref: { executor: executor.name, effectKey: work.effectKey },
      attempt: { node: work.nodeId, attempt: work.attempt, epoch: this.#run.lease.epoch },
      isOurs: true,
      charged: NO_USAGE,
    });
    let refused: string | undefined;
    try {
      await executor.submit(work);
    } catch (cause) {
      refused = cause instanceof Error ? cause.message : String(cause);
    }
    stopPoint('effect:submitted');
    await this.#watcher.watch(effect, refused);
  }

  /** A node without effect has succeeded as soon as it has started. */
  #finishEmpty(node: string, attempt: number): Promise<boolean> {
    const { epoch } = this.#run.lease;
    return this.#watcher.finish({ node, attempt, epoch }, { outcome: 'succeeded', usage: {} });
  }

  /** No other worker than one that has the executor can go on: a person must see to it. */
  #holdWithout(executor: string): Promise<void> {
    return this.#run.hold(`worker ${this.#run.lease.worker} has no executor named '${executor}'`);
  }

  #workOf(state: RunState, { spec }: Node, attempt: number, effectKey: string): NodeWork {
    const left = allowance(state.limits, usageAt(state, this.#run.engine.clock.nowMs()));
    const limits = [spec.timeoutMs, left.wallMs].filter((ms) => ms !== undefined);
    return {
      runId: state.id,
      nodeId: spec.id,
      attempt,
      effectKey,
      input: spec.input ?? null,
      ...(limits.length === 0 ? {} : { timeoutMs: Math.max(1, Math.min(...limits)) }),
      allowance: left,
    };
  }
}

function startedEvent(events: readonly RecordedEvent[]) {
  for (const { event } of events) if (event.type === 'attempt_started') return event;
  return undefined;
}
