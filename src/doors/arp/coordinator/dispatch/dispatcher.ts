/** Dispatch as work of the engine: leased, recovered after a crash, and on record whatever becomes of it (H1). */
import { hostname } from 'node:os';
import { CallExecutor } from '../../../../executors/call-executor.ts';
import type { Executor } from '../../../../engine/executor.ts';
import type { Engine } from '../../../../engine/engine.ts';
import { newLeaseId } from '../../../../engine/process-proof.ts';
import { Worker } from '../../../../engine/worker.ts';
import type { JsonObject } from '../../../../model/json.ts';
import type { AtomicExecution, CompositeExecution } from '../../ports.ts';
import type { NodeRunEnd } from '../facts.ts';
import type { PolicyOptions } from '../policy.ts';
import type { RunViews } from '../run-views.ts';
import { ATOMIC_EXECUTOR, COMPOSITE_EXECUTOR, QUEUE } from '../spec.ts';
import { admission, type Target } from './admission.ts';
import { atomicCall, beginning, compositeCall } from './calls.ts';
import { Reminder } from './reminder.ts';

export interface DispatchOptions {
  readonly engine: Engine;
  readonly views: RunViews;
  readonly policy: PolicyOptions;
  readonly atomic?: Target & { readonly execution: AtomicExecution };
  readonly composite?: Target & { readonly execution: CompositeExecution };
  /** Where composite executors call back. */
  readonly publicUrl?: string;
  /** What they show there. */
  assignmentToken(runId: string): string;
  /** Attempts side by side. Default 128. */
  readonly concurrency?: number;
  /** How long a NodeRun waits for a coordinator that died. Default 10,000 ms. */
  readonly leaseMs?: number;
  /** Told of runs that cannot be worked on. */
  readonly note?: (text: string) => void;
}

const CONCURRENCY = 128;
const LEASE_MS = 10_000;

export class Dispatcher {
  readonly #options: DispatchOptions;
  readonly #executors: readonly Executor[];
  readonly #stop = new AbortController();
  readonly #reminder: Reminder | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DispatchOptions) {
    this.#options = options;
    this.#executors = executorsOf(options);
    const { engine, views, composite, publicUrl, assignmentToken: token } = options;
    if (composite !== undefined && publicUrl !== undefined)
      this.#reminder = new Reminder({
        engine,
        views,
        begin: beginning(composite.execution, { views, publicUrl, token }),
      });
  }

  /** Takes up what is due, and what was interrupted, until `stop`. */
  start(): void {
    const { engine, views, policy, atomic, composite, publicUrl, concurrency, leaseMs, note } = this.#options;
    const worker = new Worker({
      engine,
      executors: new Map(this.#executors.map((executor) => [executor.name, executor])),
      worker: `coordinator-${hostname()}-${process.pid}`,
      newLeaseId,
      admit: admission({ views, policy, atomic, composite, publicUrl }),
      ttlMs: leaseMs ?? LEASE_MS,
      onFailure: (runId, error) => note?.(`run ${runId} cannot be worked on now: ${error.message}`),
    });
    this.#running = worker.run(
      { queues: [QUEUE], concurrency: concurrency ?? CONCURRENCY },
      this.#stop.signal,
    );
    this.#reminder?.start(this.#stop.signal);
  }

  /** Resolves when the work has ended, with what ended it. */
  get ended(): Promise<void> {
    return this.#running;
  }

  /** What is under way is stopped, on record, and taken up again by whoever comes next. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running.catch(() => undefined);
    await Promise.all(this.#executors.map((executor) => executor.close()));
  }
}

function executorsOf({
  engine,
  views,
  atomic,
  composite,
  publicUrl,
  assignmentToken,
}: DispatchOptions): readonly Executor[] {
  const cancelNode = async (runId: string, node: string, end: NodeRunEnd): Promise<void> => {
    const outputs = end as unknown as JsonObject;
    await engine.execute(runId, { type: 'settle', node, state: 'canceled', regardless: true, outputs });
  };
  const nobody = async (): Promise<never> => {
    throw new Error('no executor is configured');
  };
  return [
    new CallExecutor(
      ATOMIC_EXECUTOR,
      atomic === undefined ? nobody : atomicCall(atomic.execution, { views }, cancelNode),
      engine.clock,
    ),
    new CallExecutor(
      COMPOSITE_EXECUTOR,
      composite === undefined || publicUrl === undefined
        ? nobody
        : compositeCall(composite.execution, { views, publicUrl, token: assignmentToken }),
      engine.clock,
    ),
  ];
}
