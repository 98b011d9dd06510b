/** Gathers a run's story while its events are folded. */
import type { CheckpointEmitted, RecordedEvent, RunEvent } from '../model/events.ts';
import type { NodeSpec } from '../model/node.ts';
import type { RunSpec } from '../model/run-spec.ts';
import { isTicking, nodeState, type RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import { describe } from './describe.ts';
import { statusOf, type Status } from './statuses.ts';
import type {
  Pace,
  StoryCheckpoint,
  StoryEvent,
  StoryFact,
  StoryLease,
  StoryPoint,
  StorySpan,
  StoryStep,
} from './story.ts';

const EVENTS_KEPT = 250;
const POINTS_MAX = 1024;

export class StoryFold {
  readonly #steps = new Map<string, StoryStep>();
  readonly #checkpoints = new Map<number, StoryCheckpoint>();
  readonly #leases: StoryLease[] = [];
  readonly #spans: StorySpan[] = [];
  readonly #facts: StoryFact[] = [];
  readonly #first: StoryEvent[] = [];
  #last: StoryEvent[] = [];
  #curve: StoryPoint[] = [];
  /** Every so many changes of usage make a point. */
  #stride = 1;
  #changes = 0;
  #count = 0;
  #startedAtMs = 0;
  #atMs = 0;
  #pace: Pace = 'waiting';
  #status: Status = 'queued';
  /** What comes after the end, a worker that lets go, takes no time of the run. */
  #isOver = false;

  add(recorded: RecordedEvent, type: string, state: RunState, spec: RunSpec | undefined): void {
    const { seq, atMs, event } = recorded;
    if (this.#count === 0) this.#startedAtMs = atMs;
    this.#count += 1;
    this.#span(event, atMs, state);
    this.#nodes(event, spec, state);
    this.#note(recorded, state);
    this.#point(atMs, state);
    const { group, text } = describe(event, (node) => this.#steps.get(node)?.name ?? 'the job');
    this.#keep({ seq, atMs, type, group, text });
  }

  parts(state: RunState) {
    const open = new Set(state.nodes.keys());
    for (const step of this.#steps.values()) {
      const node = state.nodes.get(step.id);
      const ended = nodeState(state, step.id) ?? 'canceled';
      step.state = open.has(step.id) && node !== undefined && node.waiting > 0 ? 'waiting' : ended;
    }
    const last = this.#curve.at(-1);
    const end: StoryPoint = { atMs: state.lastAtMs, used: state.used, limits: state.limits };
    return {
      startedAtMs: this.#startedAtMs,
      endedAtMs: state.lastAtMs,
      steps: [...this.#steps.values()],
      checkpoints: [...this.#checkpoints.values()],
      leases: this.#leases,
      spans: this.#spans,
      facts: this.#facts,
      curve: last?.atMs === end.atMs ? [...this.#curve.slice(0, -1), end] : [...this.#curve, end],
      eventCount: this.#count,
      firstEvents: this.#first,
      lastEvents: this.#last.slice(-EVENTS_KEPT),
    };
  }

  /** Time from the event before to this one, by how it was spent. */
  #span(event: RunEvent, atMs: number, state: RunState): void {
    const before = this.#count === 1 ? atMs : this.#atMs;
    const lostAtMs =
      event.type === 'node_released' && event.node === state.spec.rootId && event.cause === 'expired'
        ? Math.min(Math.max(event.seenMs, before), atMs)
        : atMs;
    this.#extend(this.#pace, before, lostAtMs);
    if (lostAtMs < atMs) this.#extend('unattended', lostAtMs, atMs);
    this.#atMs = Math.max(atMs, before);
    this.#status = statusOf(state.standing);
    this.#isOver = isTerminal(state.standing);
    const isRunning = state.standing.phase === 'running';
    this.#pace = isTicking(state) ? 'running' : isRunning ? 'unattended' : 'waiting';
  }

  #extend(pace: Pace, fromMs: number, toMs: number): void {
    if (toMs <= fromMs || this.#isOver) return;
    const last = this.#spans.at(-1);
    if (last?.pace === pace && last.status === this.#status && last.toMs === fromMs)
      this.#spans[this.#spans.length - 1] = { ...last, toMs };
    else this.#spans.push({ pace, status: this.#status, fromMs, toMs });
  }

  #nodes(event: RunEvent, spec: RunSpec | undefined, state: RunState): void {
    if (event.type === 'nodes_added') this.#addSteps(event.nodes, state.nodes.get(event.parent)?.depth ?? 0);
    if ((event.type !== 'run_created' && event.type !== 'run_imported') || spec === undefined) return;
    // The lines do not name limits, and those of the import held all along.
    this.#curve = this.#curve.map((point) => ({ ...point, limits: spec.limits }));
    // Attempts that the lines told of belong to the same steps.
    const told = new Map(this.#steps);
    this.#steps.clear();
    this.#addSteps(spec.nodes, 0);
    for (const [id, { attempts }] of told) this.#steps.get(id)?.attempts.push(...attempts);
  }

  #addSteps(nodes: readonly NodeSpec[], depth: number): void {
    for (const { id, name = id, kind } of nodes) {
      const isComposite = kind === 'composite';
      this.#steps.set(id, { id, name, depth, isComposite, attempts: [], state: 'queued' });
    }
  }

  #note({ seq, atMs, event }: RecordedEvent, state: RunState): void {
    switch (event.type) {
      case 'node_assigned':
        if (event.node === state.spec.rootId) this.#leased(event.lease.worker, atMs);
        return;
      case 'node_released':
        if (event.node === state.spec.rootId) this.#released(event, atMs);
        return;
      case 'attempt_started':
        this.#steps.get(event.node)?.attempts.push({ number: event.attempt, startedAtMs: atMs });
        return;
      case 'attempt_ended':
        this.#ended(event, atMs);
        return;
      case 'checkpoint_emitted':
        this.#checkpoints.set(seq, this.#checkpoint(seq, atMs, event));
        return;
      case 'approval_recorded': {
        const { by, reason } = event;
        this.#checkpoints.get(event.checkpoint)?.approvals.push({ by, reason, atMs });
        return;
      }
      case 'fact_recorded': {
        const step = event.node === undefined ? undefined : this.#steps.get(event.node)?.name;
        const { name, data } = event;
        this.#facts.push({ seq, atMs, name, data, ...(step === undefined ? {} : { step }) });
        return;
      }
      default:
        return;
    }
  }

  #leased(worker: string, fromMs: number): void {
    const last = this.#leases.at(-1);
    // The reference writes a line for every renewal.
    if (last !== undefined && last.end === undefined && last.worker === worker) return;
    if (last !== undefined && last.end === undefined) Object.assign(last, { toMs: fromMs, end: 'lost' });
    this.#leases.push({ worker, fromMs });
  }

  #released(event: Extract<RunEvent, { type: 'node_released' }>, atMs: number): void {
    const last = this.#leases.at(-1);
    if (last === undefined || last.end !== undefined) return;
    last.end = event.cause === 'expired' ? 'lost' : 'released';
    last.toMs = event.cause === 'expired' ? Math.min(Math.max(event.seenMs, last.fromMs), atMs) : atMs;
  }

  #ended(event: Extract<RunEvent, { type: 'attempt_ended' }>, atMs: number): void {
    const attempt = this.#steps.get(event.node)?.attempts.findLast(({ number }) => number === event.attempt);
    if (attempt === undefined) return;
    attempt.endedAtMs = atMs;
    attempt.outcome = event.outcome;
    const exit = event.outputs?.['exit_code'];
    if (typeof exit === 'number') attempt.exitCode = exit;
    if (event.error !== undefined) attempt.error = `${event.error.code}: ${event.error.message}`;
  }

  #checkpoint(seq: number, atMs: number, event: CheckpointEmitted): StoryCheckpoint {
    const { checkpoint: type, summary, standing, node, blocks, binds, requiredAction, reasonCodes } = event;
    const step = node === undefined ? undefined : this.#steps.get(node)?.name;
    return {
      seq,
      atMs,
      type,
      summary,
      status: statusOf(standing),
      reasonCodes,
      approvals: [],
      ...(step === undefined ? {} : { step }),
      ...(blocks === undefined ? {} : { blocks }),
      ...(binds === undefined || binds === '' ? {} : { binds }),
      ...(requiredAction === undefined ? {} : { requiredAction }),
    };
  }

  #point(atMs: number, { used, limits }: RunState): void {
    const last = this.#curve.at(-1);
    if (last?.used === used && last.limits === limits) return;
    this.#changes += 1;
    if (this.#changes % this.#stride !== 0 && last?.limits === limits) return;
    this.#curve.push({ atMs, used, limits });
    if (this.#curve.length < POINTS_MAX) return;
    this.#stride *= 2;
    this.#curve = this.#curve.filter((_, at) => at % 2 === 0);
  }

  #keep(event: StoryEvent): void {
    if (this.#first.length < EVENTS_KEPT) {
      this.#first.push(event);
      return;
    }
    this.#last.push(event);
    if (this.#last.length >= 2 * EVENTS_KEPT) this.#last = this.#last.slice(-EVENTS_KEPT);
  }
}
