/** Rollouts: one at a time for a skill and environment, driven from canary to end by what is on record (contract agents §7). */
import { ReeveError } from '../../../../model/errors.ts';
import type { Json } from '../../../../model/json.ts';
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import type { Page } from '../../wire/common.ts';
import { invalidField, notFound } from '../../wire/errors.ts';
import { newId } from '../../ids.ts';
import { ROLLOUT_FINAL, type NewRollout, type RolloutState } from '../../wire/rollouts.ts';
import type { Audit, Caller, Ledger } from '../ports.ts';
import type { TenantRedaction } from '../redaction.ts';
import { isFinal } from '../../wire/tasks.ts';
import { chooseCanary } from './choice.ts';
import { byAgent, nextStep, taskOf } from './plan.ts';
import { emptyRollout, isRunning, type Rollout } from './record.ts';
import { RolloutIndex, type RolloutQuery } from './rollout-index.ts';
import { RolloutRuns } from './rollout-runs.ts';
import { requireState, unfinished, whyNobody, type Action, type Verb } from './rules.ts';
import { rolloutSpec, subjectOf } from './spec.ts';
import { candidatesOf, RolloutSteps, type StepsOptions } from './steps.ts';

export interface RolloutsOptions extends StepsOptions {
  readonly database: ServiceDatabase;
  readonly audit: Audit;
  readonly ledger: Ledger;
  readonly redaction: Pick<TenantRedaction, 'finds' | 'text'>;
  /** Told of rollouts that cannot go on now; they are tried again. */
  note?(text: string): void;
}

/** After a failure to go on, milliseconds. */
const RETRY_MS = 5000;
/** Longest wait of a timer: Node has a limit, and clocks are set. */
const LOOK_MS = 60_000;

export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #runs: RolloutRuns;
  readonly #index: RolloutIndex;
  readonly #steps: RolloutSteps;
  /** Unfinished ones, by id, as last seen. */
  readonly #live = new Map<string, Rollout>();
  /** What is being done to a rollout, so that it is done one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Looks that are to come, and stand in for any that is asked for until they begin. */
  readonly #coming = new Map<string, Promise<void>>();
  /** Ends what a rollout does by itself. */
  readonly #interrupts = new Map<string, Set<AbortController>>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #stop = new AbortController();
  #unsubscribe: () => void = () => undefined;

  constructor(options: RolloutsOptions) {
    this.#options = options;
    this.#runs = new RolloutRuns(options.engine);
    this.#steps = new RolloutSteps(options, this.#runs);
    this.#index = new RolloutIndex(options.database);
  }

  /** Takes up what was under way. @throws ReeveError E_STORE_* */
  async open(): Promise<void> {
    const { board } = this.#options;
    for (const id of this.#index.unfinished()) {
      const rollout = await this.#runs.get(id).catch(absent);
      // Its index came first, and then nothing: nobody was told of it.
      if (rollout === undefined) await this.#options.ledger.write(() => this.#index.remove(id));
      else await this.#keep(id);
    }
    board.mayHandOut = (id) => {
      const rollout = this.#live.get(id);
      return rollout !== undefined && isRunning(rollout.state);
    };
    this.#unsubscribe = board.subscribe(({ rollout_id: id, status }) => {
      if (id !== undefined && isFinal(status) && this.#live.has(id)) void this.#advance(id);
    });
    for (const id of this.#live.keys()) void this.#advance(id);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#unsubscribe();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.allSettled(this.#turns.values());
  }

  /**
   * @param id of a call that may have been made before, and then makes nothing new.
   * @throws AgentsFailure 409 while another one of the same skill and environment is unfinished; 422 for what no task may be
   */
  async create(by: Caller, request: NewRollout, id = newId()): Promise<Rollout> {
    const { nowMs, ledger, board, redaction } = this.#options;
    const spec = rolloutSpec(request, by.tenant);
    if (this.#index.tenantOf(id) === by.tenant) return this.get(by.tenant, id);
    if (redaction.finds(by.tenant, spec as unknown as Json))
      throw invalidField('the rollout', 'holds a secret: name it in env_refs, and the agents find it out');
    board.check(by.tenant, taskOf({ id, spec }, '', 'canary'));
    const other = [...this.#live.values()].find(
      (one) => one.spec.tenant === spec.tenant && subjectOf(one.spec) === subjectOf(spec),
    );
    if (other !== undefined) throw unfinished(other);
    const { canary, missing } = chooseCanary(id, spec, candidatesOf(this.#options.agents, spec.tenant));
    const failure = whyNobody(canary, missing);
    const start = { by: by.actor, reason: 'started with its creation' };
    // Until it is on record nobody else may take its place.
    this.#live.set(id, emptyRollout(id, spec, by.actor, nowMs()));
    try {
      await ledger.write(() => this.#index.add(id, spec, nowMs()));
      await this.#runs.create({
        id,
        spec,
        by: by.actor,
        canary,
        ...(failure === undefined ? {} : { failure }),
        ...(request.start === false ? {} : { start }),
      });
    } catch (error) {
      this.#live.delete(id);
      await ledger.write(() => this.#index.remove(id)).catch(() => undefined);
      throw error;
    }
    const created = await this.#inTurn(id, () => this.#keep(id));
    await this.#advance(id);
    return this.#live.get(id) ?? created;
  }

  /** @throws AgentsFailure 404 */
  async get(tenant: string, id: string): Promise<Rollout> {
    if (this.#index.tenantOf(id) !== tenant) throw notFound('rollout', id);
    return this.#live.get(id) ?? this.#runs.get(id);
  }

  /** Newest first. @throws AgentsFailure 422 */
  async list(tenant: string, query: RolloutQuery): Promise<Page<Rollout>> {
    const { items, ...next } = this.#index.list(tenant, query);
    return { items: await Promise.all(items.map((id) => this.get(tenant, id))), ...next };
  }

  /** How many there are in each state, finished ones included. */
  counts(): ReadonlyMap<RolloutState, number> {
    return this.#index.counts();
  }

  /** @throws AgentsFailure 404; 409 in a state that does not allow it, or is not the expected one */
  async act(by: Caller, id: string, verb: Verb, asked: Action): Promise<Rollout> {
    await this.get(by.tenant, id);
    const action = { ...asked, reason: this.#options.redaction.text(by.tenant, asked.reason) };
    // What people decide does not wait for a slow gate, or for a thousand tasks.
    for (const advance of this.#interrupts.get(id) ?? []) advance.abort();
    this.#coming.delete(id);
    try {
      const changed = await this.#inTurn(id, async () => {
        const before = await this.#runs.get(id);
        requireState(before, verb, action);
        await this.#steps.carryOut(before, verb, action);
        return this.#keep(id);
      });
      this.#options.board.wake();
      await this.#advance(id);
      return (
        this.#live.get(id) ?? (ROLLOUT_FINAL.includes(changed.state) ? changed : await this.#runs.get(id))
      );
    } catch (error) {
      void this.#advance(id); // what was interrupted for it
      throw error;
    }
  }

  /** Does what comes next, and again, until something has to be waited for. Never throws. */
  #advance(id: string): Promise<void> {
    const coming = this.#coming.get(id);
    if (coming !== undefined) return coming; // it has not looked yet, and will see what we see
    const interrupt = new AbortController();
    const interrupts = this.#interrupts.get(id) ?? new Set();
    this.#interrupts.set(id, interrupts.add(interrupt));
    const signal = AbortSignal.any([this.#stop.signal, interrupt.signal]);
    const advance: Promise<void> = this.#inTurn(id, async () => {
      if (this.#coming.get(id) === advance) this.#coming.delete(id);
      clearTimeout(this.#timers.get(id));
      try {
        await this.#goOn(id, signal);
      } finally {
        interrupts.delete(interrupt);
      }
    }).catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      const why = error instanceof Error ? error.message : String(error);
      this.#options.note?.(`rollout ${id} cannot go on now: ${why}`);
      this.#lookAgain(id, this.#options.nowMs() + RETRY_MS);
    });
    this.#coming.set(id, advance);
    return advance;
  }

  async #goOn(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const rollout = await this.#keep(id);
      if (ROLLOUT_FINAL.includes(rollout.state)) return;
      const views = await this.#options.board.ofRollout(rollout.spec.tenant, id);
      const step = nextStep(rollout, byAgent(views), this.#options.nowMs());
      if (step.do === 'wait') return this.#lookAgain(id, step.untilMs);
      await this.#steps.take(step, rollout, views, signal);
    }
  }

  /** In its turn: makes the rollout known as it is on record, and writes down what was done since the last time. */
  async #keep(id: string): Promise<Rollout> {
    const { ledger, audit } = this.#options;
    const { rollout, version, notes } = await this.#runs.follow(id);
    if (ROLLOUT_FINAL.includes(rollout.state)) this.#live.delete(id);
    else this.#live.set(id, rollout);
    if (this.#index.versionOf(id) >= version) return rollout;
    await ledger.write(() => {
      const told = this.#index.versionOf(id);
      this.#index.update(id, rollout.state, version);
      for (const { seq, note } of notes) if (seq > told) audit.append(note);
    });
    return rollout;
  }

  #lookAgain(id: string, untilMs: number | undefined): void {
    if (untilMs === undefined || this.#stop.signal.aborted) return;
    const waitMs = Math.min(LOOK_MS, Math.max(0, untilMs - this.#options.nowMs()));
    clearTimeout(this.#timers.get(id));
    this.#timers.set(id, setTimeout(() => void this.#advance(id), waitMs).unref());
  }

  #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#turns.set(id, turn);
    const done = (): void => {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    };
    void turn.catch(() => undefined).finally(done);
    return turn;
  }
}

function absent(error: unknown): undefined {
  if (!(error instanceof ReeveError) || error.code !== 'E_INVALID_INPUT_SCHEMA') throw error;
}
