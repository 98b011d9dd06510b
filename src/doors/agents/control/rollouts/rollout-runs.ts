/** Rollouts as runs of the engine: what is on record of them, and the fold of it. */
import type { Engine } from '../../../../engine/engine.ts';
import type { Fact, RecordedEvent } from '../../../../model/events.ts';
import type { Json, JsonObject } from '../../../../model/json.ts';
import type { RunSpec } from '../../../../model/run-spec.ts';
import { emptyRollout, withFact, type Act, type Rollout, type RolloutFact } from './record.ts';
import type { RolloutSpec } from './spec.ts';

/** Says by a label that a run is a rollout; nobody serves its queue, since it has no work of its own. */
const ROLLOUT_PROTOCOL = 'agents/rollout';
const QUEUE = 'agents-rollouts';
const PAGE = 500;

export interface NewRollout {
  readonly id: string;
  readonly spec: RolloutSpec;
  readonly by: string;
  readonly canary: readonly string[];
  /** Why it cannot begin: it is on record, and has failed. */
  readonly failed?: string;
}

export class RolloutRuns {
  readonly #engine: Engine;
  readonly #known = new Map<string, { readonly version: number; readonly rollout: Rollout }>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @throws ReeveError E_STORE_* */
  async create({ id, spec, by, canary, failed }: NewRollout): Promise<Rollout> {
    await this.#engine.execute(id, {
      type: 'create',
      spec: runSpecOf(id, spec, by),
      facts: [factOf({ name: 'rollout.chosen', data: { canary } })],
      begin: true,
      ...(failed === undefined ? {} : { denied: { code: 'E_CONSTRAINT_VIOLATED', message: failed } }),
    });
    return this.get(id);
  }

  /** As it is on record now. @throws ReeveError E_INVALID_INPUT_SCHEMA when there is none. */
  async get(id: string): Promise<Rollout> {
    let known = this.#known.get(id);
    for (;;) {
      const page: readonly RecordedEvent[] = await this.#engine.events(id, known?.version ?? 0, PAGE);
      for (const recorded of page) {
        const rollout = fold(id, known?.rollout, recorded);
        if (rollout !== undefined) known = { version: recorded.seq, rollout };
      }
      if (page.length < PAGE) break;
    }
    if (known === undefined) {
      await this.#engine.state(id);
      throw new Error(`run ${id} is no rollout`);
    }
    this.#known.set(id, known);
    return known.rollout;
  }

  async record(id: string, fact: RolloutFact): Promise<Rollout> {
    await this.#engine.execute(id, { type: 'record', ...factOf(fact) });
    return this.get(id);
  }

  /** Asks people: the run is held for their decision, which any door shows. */
  async review(id: string, summary: string): Promise<Rollout> {
    const instructions = `promote or abort rollout ${id}`;
    await this.#engine.execute(id, {
      type: 'emit_checkpoint',
      checkpoint: 'decision-needed',
      summary,
      requiredAction: { kind: 'review', instructions },
    });
    return this.get(id);
  }

  async approve(id: string, checkpoint: number, { by, reason }: Act): Promise<Rollout> {
    await this.#engine.execute(id, { type: 'approve', checkpoint, by, reason });
    return this.get(id);
  }

  async end(id: string, state: 'completed' | 'aborted'): Promise<Rollout> {
    const settled = state === 'completed' ? 'succeeded' : 'canceled';
    await this.#engine.execute(id, { type: 'settle', node: id, state: settled, regardless: true });
    const ended = await this.get(id);
    this.#known.delete(id);
    return ended;
  }
}

function runSpecOf(id: string, spec: RolloutSpec, by: string): RunSpec {
  return {
    tenant: spec.tenant,
    actor: by,
    name: `rollout ${spec.name}`,
    queue: QUEUE,
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
    return isRollout ? emptyRollout(id, event.spec.document as unknown as RolloutSpec, atMs) : undefined;
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
