/** Metrics and spans of the run engine, out of the events that it records. One trace per run, an attempt a span. */
import type { EngineObserver, ObservedEvent, ObservedRun } from './engine-observer.ts';
import type { Meter } from './meter.ts';
import { attemptSpan, runSpan } from './trace-context.ts';
import type { Tracer } from './tracer.ts';

interface Attempt {
  readonly executor: string;
  readonly effectKey: string;
  readonly startedAtMs: number;
}

/** Attempts that are remembered until they end; of those that others end nothing is heard. */
const ATTEMPTS_MAX = 20_000;
const TERMINAL: ReadonlySet<string> = new Set(['succeeded', 'failed', 'canceled']);
/** Of a node that does nothing by itself. */
const NO_EXECUTOR = 'none';

/** @returns undefined: nobody asks. */
export function engineTelemetry(
  meter: Meter | undefined,
  tracer: Tracer | undefined,
): EngineObserver | undefined {
  return meter === undefined && tracer === undefined ? undefined : new EngineTelemetry(meter, tracer);
}

class EngineTelemetry implements EngineObserver {
  readonly #meter: Meter | undefined;
  readonly #tracer: Tracer | undefined;
  readonly #attempts = new Map<string, Attempt>();

  constructor(meter: Meter | undefined, tracer: Tracer | undefined) {
    this.#meter = meter;
    this.#tracer = tracer;
  }

  recorded(command: string, events: readonly ObservedEvent[], run: ObservedRun): void {
    this.#meter?.count('reeve_commands_total', { command, outcome: 'ok' });
    this.#meter?.count('reeve_events_total', {}, events.length);
    for (const each of events) this.#take(each, run);
  }

  refused(command: string): void {
    this.#meter?.count('reeve_commands_total', { command, outcome: 'refused' });
  }

  #take(recorded: ObservedEvent, run: ObservedRun): void {
    const { event } = recorded;
    switch (event.type) {
      case 'run_created':
        this.#meter?.count('reeve_runs_created_total', {});
        break;
      case 'node_assigned':
        this.#meter?.count('reeve_claims_total', {});
        this.#adopt(run);
        break;
      case 'attempt_started':
        if (event.lease !== undefined) this.#meter?.count('reeve_claims_total', {});
        this.#started(recorded, run);
        break;
      case 'attempt_ended':
        this.#ended(recorded, run);
        break;
      case 'phase_changed':
        if (TERMINAL.has(event.to?.phase ?? '')) this.#over(recorded, run);
        break;
    }
  }

  /** Attempts that began before this process came: it may be the one that sees them end. */
  #adopt(run: ObservedRun): void {
    for (const node of run.live.keys()) {
      const live = run.nodes.get(node)?.live;
      if (live === undefined) continue;
      const { attempt, effectKey, startedAtMs, executor } = live;
      const key = keyOf(run.id, node, attempt);
      if (!this.#attempts.has(key))
        this.#remember(key, { effectKey, startedAtMs, executor: named(executor) });
    }
  }

  #started({ atMs, event }: ObservedEvent, run: ObservedRun): void {
    const { node = '', attempt = 0, effectKey = '', executor } = event;
    this.#meter?.count('reeve_attempts_started_total', { executor: named(executor) });
    this.#remember(keyOf(run.id, node, attempt), {
      effectKey,
      startedAtMs: atMs,
      executor: named(executor),
    });
  }

  #remember(key: string, attempt: Attempt): void {
    this.#attempts.set(key, attempt);
    if (this.#attempts.size <= ATTEMPTS_MAX) return;
    for (const oldest of this.#attempts.keys()) {
      this.#attempts.delete(oldest);
      break;
    }
  }

  #ended({ atMs, event }: ObservedEvent, run: ObservedRun): void {
    const { node = '', attempt = 0, outcome = '', error } = event;
    const key = keyOf(run.id, node, attempt);
    const known = this.#attempts.get(key);
    this.#attempts.delete(key);
    this.#meter?.count('reeve_attempts_ended_total', { executor: known?.executor ?? 'unknown', outcome });
    if (known === undefined) return;
    const { effectKey, executor, startedAtMs } = known;
    this.#meter?.observe('reeve_attempt_duration_seconds', { outcome }, (atMs - startedAtMs) / 1000);
    if (this.#tracer === undefined) return;
    const { context } = runSpan(run.id, run.spec.labels);
    this.#tracer.record({
      name: `attempt ${node}`,
      kind: 'internal',
      context: attemptSpan(context, effectKey),
      parent: context,
      startMs: startedAtMs,
      endMs: atMs,
      attributes: {
        'reeve.run_id': run.id,
        'reeve.node': node,
        'reeve.attempt': attempt,
        'reeve.executor': executor,
        'reeve.outcome': outcome,
      },
      ...(outcome === 'succeeded' ? {} : { error: error?.code ?? outcome }),
    });
  }

  #over({ atMs, event }: ObservedEvent, run: ObservedRun): void {
    const phase = event.to?.phase ?? '';
    this.#meter?.count('reeve_runs_ended_total', { phase });
    if (this.#tracer === undefined) return;
    const { context, parent } = runSpan(run.id, run.spec.labels);
    this.#tracer.record({
      name: 'run',
      kind: 'internal',
      context,
      parent,
      startMs: run.startedAtMs,
      endMs: atMs,
      attributes: { 'reeve.run_id': run.id, 'reeve.phase': phase },
      ...(phase === 'succeeded' ? {} : { error: phase }),
    });
  }
}

function named(executor: string | null | undefined): string {
  return executor ?? NO_EXECUTOR;
}

function keyOf(runId: string, node: string, attempt: number): string {
  return `${runId}\n${node}\n${attempt}`;
}
