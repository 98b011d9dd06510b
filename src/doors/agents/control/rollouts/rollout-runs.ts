/** Rollouts as runs of the engine: what is on record of them, and the fold of it. */
import type { Engine } from '../../../../engine/engine.ts';
import type { Fact, RecordedEvent } from '../../../../model/events.ts';
import type { Json, JsonObject } from '../../../../model/json.ts';
import type { RunSpec } from '../../../../model/run-spec.ts';
import { ROLLOUTS_QUEUE } from '../../../progress.ts';
import { ROLLOUT_FINAL } from '../../wire/rollouts.ts';
import type { AuditNote } from '../ports.ts';
import { noteOf } from './notes.ts';
import { emptyRollout, withFact, type Act, type Rollout, type RolloutFact } from './record.ts';
import type { RolloutSpec } from './spec.ts';

/** Says by a label that a run is a rollout; nobody serves its queue, since it has no work of its own. */
const ROLLOUT_PROTOCOL = 'agents/rollout';
const PAGE = 500;

export interface NewRollout {
  readonly id: string;
  readonly spec: RolloutSpec;
  readonly by: string;
  readonly canary: readonly string[];
  /** Why it cannot begin: it is on record, and has failed. */
  readonly failure?: string;
  /** It is no draft: its canary begins with it. */
  readonly start?: Act;
}

/** A rollout up to an event, and what the audit chain says of those up to there. */
export interface Followed {
  readonly rollout: Rollout;
  readonly version: number;
  readonly notes: readonly { readonly seq: number; readonly note: AuditNote }[];
}

export class RolloutRuns {
  readonly #engine: Engine;
  readonly #known = new Map<string, Followed>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @throws ReeveError E_STORE_* */
  async create({ id, spec, by, canary, failure, start }: NewRollout): Promise<void> {
    await this.#engine.execute(id, {
      type: 'create',
      spec: runSpecOf(id, spec, by),
      facts: [
        factOf({ name: 'rollout.chosen', data: { canary, ...(failure === undefined ? {} : { failure }) } }),
        ...(start === undefined || failure !== undefined
          ? []
          : [factOf({ name: 'rollout.started', data: start })]),
      ],
      begin: true,
      ...(failure === undefined ? {} : { denied: { code: 'E_CONSTRAINT_VIOLATED', message: failure } }),
    });
  }

  /** As it is on record now. @throws ReeveError E_INVALID_INPUT_SCHEMA when there is none. */
  async get(id: string): Promise<Rollout> {
    return (await this.follow(id)).rollout;
  }

  /** The same, with what is to be audited. */
  async follow(id: string): Promise<Followed> {
    let known = this.#known.get(id);
    for (;;) {
      const page: readonly RecordedEvent[] = await this.#engine.events(id, known?.version ?? 0, PAGE);
      for (const recorded of page) {
        const rollout = fold(id, known?.rollout, recorded);
        if (rollout === undefined) continue;
        const { seq, event } = recorded;
        const note = known === undefined ? undefined : noteOf(known.rollout, event, rollout);
        const notes = known?.notes ?? [];
        known = { version: seq, rollout, notes: note === undefined ? notes : [...notes, { seq, note }] };
      }
      if (page.length < PAGE) break;
    }
    if (known === undefined) {
      await this.#engine.state(id);
      throw new Error(`run ${id} is no rollout`);
    }
    if (ROLLOUT_FINAL.includes(known.rollout.state)) this.#known.delete(id);
    else this.#known.set(id, known);
    return known;
  }

  async record(id: string, fact: RolloutFact): Promise<void> {
    await this.#engine.execute(id, { type: 'record', ...factOf(fact) });
  }

  /** Asks people: the run is held for their decision, which any door shows. */
  async review(id: string, summary: string): Promise<void> {
    const instructions = `promote or abort rollout ${id}`;
    await this.#engine.execute(id, {
      type: 'emit_checkpoint',
      checkpoint: 'decision-needed',
      summary,
      requiredAction: { kind: 'review', instructions },
    });
  }

  async approve(id: string, checkpoint: number, { by, reason }: Act): Promise<void> {
    await this.#engine.execute(id, { type: 'approve', checkpoint, by, reason });
  }

  async end(id: string, state: 'completed' | 'aborted'): Promise<void> {
    const settled = state === 'completed' ? 'succeeded' : 'canceled';
    await this.#engine.execute(id, { type: 'settle', node: id, state: settled, regardless: true });
  }
}

function runSpecOf(id: string, spec: RolloutSpec, by: string): RunSpec {
  return {
    tenant: spec.tenant,
    actor: by,
    name: `rollout ${spec.name}`,
    queue: ROLLOUTS_QUEUE,
    limits: {},
    onApproval: 'continue',
    root: { id, kind: 'composite', type: 'rollout', input: spec as unknown as Json },
    nodes: [],
    labels: { protocol: ROLLOUT_PROTOCOL },
    document: spec as unknown as Json,
  };
}

function factOf({ name, data }: RolloutFact): Fact {
  return { name, data: data as unknown as JsonObject };
}

/** @returns undefined for a run that is none. */
function fold(
  id: string,
  rollout: Rollout | undefined,
  { event, atMs, seq }: RecordedEvent,
): Rollout | undefined {
  if (event.type === 'run_created') {
    const isRollout = event.spec.labels['protocol'] === ROLLOUT_PROTOCOL;
    return isRollout
      ? emptyRollout(id, event.spec.document as unknown as RolloutSpec, event.spec.actor, atMs)
      : undefined;
  }
  if (rollout === undefined) return undefined;
  switch (event.type) {
    case 'fact_recorded':
      return event.name.startsWith('rollout.')
        ? withFact(rollout, { name: event.name, data: event.data } as unknown as RolloutFact, atMs)
        : rollout;
    case 'checkpoint_emitted': {
      if (event.checkpoint !== 'decision-needed') return rollout;
      const { approval: _, ...rest } = rollout;
      return { ...rest, openDecision: seq };
    }
    case 'approval_recorded': {
      const { openDecision: _, ...rest } = rollout;
      return { ...rest, approval: { by: event.by, reason: event.reason } };
    }
    case 'phase_changed': {
      const ended = ENDED[event.to.phase];
      return ended === undefined ? rollout : { ...rollout, state: ended, updatedAtMs: atMs };
    }
    default:
      return rollout;
  }
}

const ENDED: Readonly<Record<string, Rollout['state']>> = {
  succeeded: 'completed',
  canceled: 'aborted',
  failed: 'failed',
};
