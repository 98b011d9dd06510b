/** A pack's job at any of its events, as `status` would have shown it then. No store, no clock: all times are the pack's. */
import { describe } from '../../evidence/describe.ts';
import type { PackEvent, PackReplay, ReplayFold } from '../../evidence/replay.ts';
import { telling } from '../../evidence/telling.ts';
import { ReeveError } from '../../model/errors.ts';
import type { RecordedEvent } from '../../model/events.ts';
import type { JsonObject } from '../../model/json.ts';
import type { Usage } from '../../model/usage.ts';
import { parsePositiveDuration } from './duration.ts';
import { statusOf, type Status } from './map.ts';
import { statusDocument, type HeldLease } from './read.ts';
import { formatTime, parseTime } from './time.ts';
import { ViewFold, type JobView } from './view.ts';

/** What one event did. */
export interface ReplayStep {
  readonly seq: number;
  readonly atMs: number;
  /** In wrkr's words. */
  readonly type: string;
  readonly summary: string;
  /** The job after it. */
  readonly status: Status;
  readonly steps: number;
  /** Succeeded, failed or canceled. */
  readonly stepsDone: number;
  readonly openDecisions: number;
  readonly used: Usage;
}

/** A job that is folded event by event. */
export class JobReplay {
  readonly #fold: ReplayFold;
  readonly #view = new ViewFold();
  readonly #producerVersion: string;
  readonly #names = new Map<string, string>();
  #lease: HeldLease | undefined;

  constructor(pack: PackReplay) {
    this.#fold = pack.fold();
    this.#producerVersion = pack.producerVersion;
  }

  get version(): number {
    return this.#fold.state.version;
  }

  get atMs(): number {
    return this.#fold.state.lastAtMs;
  }

  add(event: PackEvent): ReplayStep {
    return telling(`event ${event.seq} of the pack`, () => this.#add(event));
  }

  #add(event: PackEvent): ReplayStep {
    const applied = this.#fold.add(event);
    this.#view.note(applied);
    this.#note(applied);
    const name = (node: string): string => this.#names.get(node) ?? 'the job';
    const { standing, settled, nodeCount, openDecisions, used, spec } = this.#fold.state;
    return {
      seq: event.seq,
      atMs: event.atMs,
      type: event.record.type,
      summary: describe(applied.event, name).text,
      status: statusOf(standing),
      steps: Math.max(0, nodeCount - 1),
      stepsDone: settled.size - (settled.has(spec.rootId) ? 1 : 0),
      openDecisions,
      used,
    };
  }

  /** @param nowMs an instant not before the last event that was added. */
  view(nowMs: number): JobView {
    const { state, spec } = this.#fold;
    if (spec === undefined) throw noRun(state.id);
    const lease = this.#held();
    const worker = lease === undefined ? undefined : { name: lease.worker, untilMs: lease.untilMs };
    return telling('the pack', () => this.#view.view(state, spec, nowMs, worker));
  }

  /** The `wrkr.status_response` of that moment. A lease ends as it was granted: renewals leave no event. */
  response(): JsonObject {
    return statusDocument(this.#fold.state, this.#producerVersion, this.#held());
  }

  #held(): HeldLease | undefined {
    const { state } = this.#fold;
    const lease = state.nodes.get(state.spec.rootId)?.lease;
    return lease === undefined || lease.leaseId !== this.#lease?.leaseId ? undefined : this.#lease;
  }

  #note({ event, atMs }: RecordedEvent): void {
    if (event.type === 'run_created' || event.type === 'run_imported') {
      for (const { id, name = id } of event.spec.nodes) this.#names.set(id, name);
    } else if (event.type === 'nodes_added') {
      for (const { id, name = id } of event.nodes) this.#names.set(id, name);
    } else if (event.type === 'node_assigned' && event.node === this.#fold.state.spec.rootId) {
      const { worker, leaseId } = event.lease;
      this.#lease = { worker, leaseId, untilMs: atMs + event.ttlMs };
    }
  }
}

/** A place in a pack's story. */
export type Place =
  | { readonly kind: 'event'; readonly seq: number; readonly text: string }
  | { readonly kind: 'checkpoint'; readonly seq: number; readonly text: string }
  | { readonly kind: 'time'; readonly atMs: number; readonly text: string }
  | { readonly kind: 'offset'; readonly ms: number; readonly text: string };

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for what names no place. */
export function parsePlace(text: string): Place {
  const [, kind, digits = ''] = /^(evt|cp)_([1-9]\d{0,14})$/.exec(text) ?? [];
  if (kind === 'evt') return { kind: 'event', seq: Number(digits), text };
  if (kind === 'cp') return { kind: 'checkpoint', seq: Number(digits), text };
  if (text.startsWith('+')) {
    const ms = /^\+0(s|ms)?$/.test(text) ? 0 : parsePositiveDuration(text.slice(1));
    if (ms !== undefined) return { kind: 'offset', ms, text };
  }
  const atMs = parseTime(text);
  if (atMs !== undefined) return { kind: 'time', atMs, text };
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `--at needs an RFC 3339 time, evt_12, cp_12 or +1m30s, not ${JSON.stringify(text)}`,
    { flag: '--at', value: text.slice(0, 200) },
  );
}

/** A job as it stood at a place, and that instant. */
export interface ReplayMoment {
  readonly replay: JobReplay;
  /** Not after the last event: nothing is known of what came then. */
  readonly nowMs: number;
}

/**
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for a place before the first event, and for an event or checkpoint that is
 * not there; what `PackReplay.events` throws.
 */
export async function replayTo(pack: PackReplay, place: Place): Promise<ReplayMoment> {
  const replay = new JobReplay(pack);
  let untilMs: number | undefined;
  let lastType = '';
  for await (const event of pack.events()) {
    if (untilMs === undefined && place.kind === 'time') untilMs = place.atMs;
    if (untilMs === undefined && place.kind === 'offset') untilMs = event.atMs + place.ms;
    if (untilMs !== undefined && event.atMs > untilMs) return momentAt(replay, untilMs, place, event);
    lastType = replay.add(event).type;
    if ((place.kind === 'event' || place.kind === 'checkpoint') && place.seq === event.seq) {
      if (place.kind === 'checkpoint' && lastType !== 'checkpoint_emitted') break;
      return { replay, nowMs: event.atMs };
    }
  }
  if (replay.version === 0) throw noRun(pack.jobId);
  if (untilMs !== undefined) return { replay, nowMs: replay.atMs };
  const what =
    place.kind === 'checkpoint'
      ? `${place.text} is no checkpoint of ${pack.jobId}`
      : `${pack.jobId} has ${replay.version} events: there is no ${place.text}`;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', what, { flag: '--at', value: place.text });
}

function momentAt(replay: JobReplay, nowMs: number, place: Place, first: PackEvent): ReplayMoment {
  if (replay.version > 0) return { replay, nowMs };
  const begins = formatTime(first.atMs);
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `--at ${place.text} is before the first event, which was at ${begins}`,
    { flag: '--at', value: place.text, first_event_at: begins },
  );
}

function noRun(jobId: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the pack of ${jobId} has no events`, { job_id: jobId });
}
