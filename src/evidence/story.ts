/**
 * A run's story, gathered while its events are folded: what reports and comparisons tell. It is bounded where a run is
 * not: of events the first and the last are kept, of usage as many points as a curve can show.
 */
import type { Limits } from '../model/budget.ts';
import type { CheckpointEmitted, RecordedEvent, RunEvent } from '../model/events.ts';
import type { Json, JsonObject } from '../model/json.ts';
import type { AttemptOutcome, NodeSpec, NodeState, RequiredAction } from '../model/node.ts';
import type { Fingerprint, RunSpec } from '../model/run-spec.ts';
import { isTicking, nodeState, type RunState } from '../model/state.ts';
import { isTerminal } from '../model/transitions.ts';
import type { Usage } from '../model/usage.ts';
import { describe, type EventGroup } from './describe.ts';
import { readDocument, readJson } from './pack-reader.ts';
import { PackReplay, type Trust } from './replay.ts';
import { statusOf, type Status } from './statuses.ts';
import type { Verified } from './verify.ts';

export interface StoryAttempt {
  readonly number: number;
  readonly startedAtMs: number;
  endedAtMs?: number;
  outcome?: AttemptOutcome;
  exitCode?: number;
  error?: string;
}

export interface StoryStep {
  readonly id: string;
  readonly name: string;
  readonly depth: number;
  readonly isComposite: boolean;
  readonly attempts: StoryAttempt[];
  state: NodeState | 'waiting';
}

export interface StoryApproval {
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
}

export interface StoryCheckpoint {
  readonly seq: number;
  readonly type: string;
  readonly summary: string;
  readonly status: Status;
  readonly atMs: number;
  readonly step?: string;
  readonly blocks?: string;
  /** SHA-256 of what an approval of it approves. */
  readonly binds?: string;
  readonly requiredAction?: RequiredAction;
  readonly reasonCodes: readonly string[];
  readonly approvals: StoryApproval[];
}

/** A lease of the whole run. `lost`: its holder was never heard of again. */
export interface StoryLease {
  readonly worker: string;
  readonly fromMs: number;
  toMs?: number;
  end?: 'released' | 'lost';
}

/** `running`: a worker drives it. `unattended`: it is running and nobody does. `waiting`: for a person, or a worker. */
export type Pace = 'running' | 'unattended' | 'waiting';
export interface StorySpan {
  readonly pace: Pace;
  readonly status: Status;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface StoryPoint {
  readonly atMs: number;
  readonly used: Usage;
  readonly limits: Limits;
}

export interface StoryEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly type: string;
  readonly group: EventGroup;
  readonly text: string;
}

export interface StoryFact {
  readonly seq: number;
  readonly atMs: number;
  readonly name: string;
  readonly step?: string;
  readonly data: Json;
}

export interface RunStory {
  readonly jobId: string;
  readonly name: string;
  readonly actor: string;
  readonly producerVersion: string;
  readonly manifestSha256: string;
  readonly verified: Verified | undefined;
  /** Folded from wrkr's lines: the run's own events are not in the pack. */
  readonly isFromLines: boolean;
  readonly status: Status;
  readonly reasonCodes: readonly string[];
  readonly summary: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly spec: RunSpec | undefined;
  readonly environment: Fingerprint | undefined;
  readonly limits: Limits;
  readonly used: Usage;
  readonly steps: readonly StoryStep[];
  readonly checkpoints: readonly StoryCheckpoint[];
  readonly leases: readonly StoryLease[];
  readonly spans: readonly StorySpan[];
  readonly curve: readonly StoryPoint[];
  readonly facts: readonly StoryFact[];
  readonly eventCount: number;
  readonly firstEvents: readonly StoryEvent[];
  /** Without those that are among the first. */
  readonly lastEvents: readonly StoryEvent[];
  readonly artifacts: readonly {
    readonly path: string;
    readonly sha256: string;
    readonly redacted?: boolean;
  }[];
  readonly captureMode: string;
  readonly acceptance: JsonObject | undefined;
}

const EVENTS_KEPT = 250;
const POINTS_MAX = 1024;
/** Name of the fact that holds the result of an acceptance run; its document is an entry of its own. */
export const ACCEPT_FACT = 'accept_result';
const ACCEPTANCE = 'accept/accept_result.json';

/**
 * @param see also gets every event, after it was applied.
 * @throws ReeveError what `PackReplay` throws.
 */
export async function readStory(
  path: string,
  trust: Trust,
  see: (event: RecordedEvent) => void = () => undefined,
): Promise<RunStory> {
  const replay = await PackReplay.open(path, trust);
  try {
    const fold = replay.fold();
    const gathering = new StoryFold();
    for await (const event of replay.events()) {
      const applied = fold.add(event);
      gathering.add(applied, event.record.type, fold.state, fold.spec);
      see(applied);
    }
    const { reader, jobId, producerVersion, manifestSha256, verified } = replay;
    const artifacts = await readDocument(reader, 'artifacts_manifest.json');
    const { state, spec } = fold;
    return {
      jobId,
      producerVersion,
      manifestSha256,
      verified,
      isFromLines: !reader.entries.has('reeve/events.jsonl'),
      name: state.spec.name || jobId,
      actor: state.spec.actor,
      status: statusOf(state.standing),
      reasonCodes: state.reasonCodes,
      summary: state.checkpoints.lastSummary,
      spec: spec === undefined ? undefined : { ...spec, ...(await documentOf(replay)) },
      environment: state.environment,
      limits: state.limits,
      used: state.used,
      ...gathering.parts(state),
      captureMode: artifacts['capture_mode'] as string,
      artifacts: artifacts['artifacts'] as unknown as RunStory['artifacts'],
      acceptance: reader.entries.has(ACCEPTANCE) ? await readDocument(reader, ACCEPTANCE) : undefined,
    };
  } finally {
    await replay.close();
  }
}

/** The job spec of a pack, where a run of the reference has one beside its lines. */
async function documentOf({ reader }: PackReplay): Promise<Partial<RunSpec>> {
  return reader.entries.has('jobspec.json') ? { document: await readJson(reader, 'jobspec.json') } : {};
}

class StoryFold {
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
