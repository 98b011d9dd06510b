/**
 * A whole world from one seed: workers and clients as they are in `src/`, unchanged, on a store, a machine and clocks
 * that are simulated. First a rough time, in which faults happen and people interfere; then everything is healed and
 * every run has to come to rest; then a person resumes what is held, and every run has to end.
 */
import { AssertionError } from 'node:assert';
import type { Admit } from '../../src/engine/admission.ts';
import { Engine, type Executed } from '../../src/engine/engine.ts';
import type { Deaths } from '../../src/engine/ports.ts';
import type { Executor, NodeWork } from '../../src/engine/executor.ts';
import { sha256 } from '../../src/engine/system.ts';
import { expectedWork } from '../../src/engine/work-changes.ts';
import { Worker } from '../../src/engine/worker.ts';
import type { Command } from '../../src/model/commands.ts';
import { decide } from '../../src/model/decide/index.ts';
import { ReeveError } from '../../src/model/errors.ts';
import type { RunState } from '../../src/model/state.ts';
import { isTerminal } from '../../src/model/transitions.ts';
import { checkRun } from '../../src/store/check.ts';
import type { WorkRow } from '../../src/store/run-store.ts';
import { Auditor, Violation } from './auditor.ts';
import { FaultPlan, planFaults, type Fault } from './faults.ts';
import { Hosts } from './hosts.ts';
import { Machine, SimExecutor } from './machine.ts';
import { MemoryBlobs } from './memory-blobs.ts';
import { MemoryDb, MemoryRunStore } from './memory-store.ts';
import { moodOf, type Mood } from './moods.ts';
import { SimProcess, type World } from './process.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';
import { commandOf, planWorkload, ROUGH_MS, UNLIMITED, type Deed, type Workload } from './workload.ts';

const START_MS = 1_800_000_000_000;
/** Virtual time in which runs must have come to rest once nothing goes wrong any more. */
const REST_MS = 900_000;
/** Virtual time in which a worker that is provably dead has been noticed. */
const NOTICED_MS = 3000;
/** How often a person looks after the runs at the end. */
const ROUNDS_MAX = 60;
/** More steps than any sensible world takes: it runs in circles. */
const STEPS_MAX = 60_000;

export interface Replay {
  readonly faults: readonly Fault[];
  readonly deeds: readonly Deed[];
}

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  readonly checks: number;
  readonly faults: number;
  readonly events: number;
  /** Equal for equal histories. */
  readonly digest: number;
  readonly violation: { readonly rule: string; readonly message: string; readonly stack: string } | undefined;
  readonly trace: readonly string[];
  /** Phases of the runs at the end, for figures about the simulation itself. */
  readonly ends: readonly string[];
  readonly eventTypes: Readonly<Record<string, number>>;
}

export function planOf(seed: number): Replay & { readonly workload: Workload } {
  const mood = moodOf(seed);
  const workload = planWorkload(seed, mood);
  const slots = [
    ...workload.workers.map(({ slot }) => slot),
    ...workload.workers.map(({ slot }) => slot),
    ...workload.clients,
  ];
  return { workload, faults: planFaults(seed, slots, mood), deeds: workload.deeds };
}

/** Lives one world from beginning to end. The same seed and replay give the same history. */
export async function simulate(seed: number, replay?: Replay, traceLines = 120): Promise<Outcome> {
  const plan = planOf(seed);
  return new Simulation(seed, plan.workload, replay ?? plan, traceLines).live();
}

class Simulation {
  readonly #seed: number;
  readonly #mood: Mood;
  readonly #workload: Workload;
  readonly #scheduler = new Scheduler(START_MS);
  readonly #trace: Trace;
  readonly #db = new MemoryDb();
  readonly #blobs = new MemoryBlobs();
  readonly #hosts: Hosts;
  readonly #auditor: Auditor;
  readonly #machine: Machine;
  readonly #world: World;
  readonly #faults: FaultPlan;
  readonly #deeds: readonly Deed[];
  readonly #lives = new Map<string, number>();
  readonly #processes = new Map<string, { process: SimProcess; engine: Engine }>();
  #isRough = true;
  #leases = 0;
  /** Commands under way, by process: what is decided in a process is seen there before it is stored. */
  readonly #underWay = new Map<string, number>();

  constructor(seed: number, workload: Workload, replay: Replay, traceLines: number) {
    this.#seed = seed;
    this.#mood = moodOf(seed);
    this.#workload = workload;
    this.#deeds = replay.deeds;
    this.#trace = new Trace(this.#scheduler, traceLines);
    this.#faults = new FaultPlan(replay.faults);
    this.#hosts = new Hosts(seed);
    this.#auditor = new Auditor(this.#db, this.#blobs, this.#hosts);
    const auditor = this.#auditor;
    const watchers = {
      begins: (work: NodeWork): void => {
        this.#trace.add('machine', 'begins', work.effectKey);
        auditor.begins(work);
      },
      forgets: (key: string): void => auditor.forgets(key),
    };
    this.#machine = new Machine(this.#scheduler, seed, watchers, this.#mood.slow);
    auditor.watch(this.#machine);
    this.#world = {
      scheduler: this.#scheduler,
      db: this.#db,
      blobs: this.#blobs,
      machine: this.#machine,
      faults: this.#faults,
      trace: this.#trace,
      commit: (process, commits) => {
        const results = auditor.commit(process, commits);
        const bodies = commits.flatMap(({ events }, at) => (results[at] === 'ok' ? events : []));
        for (const { body } of bodies)
          if (!process.hasFaults && body.includes('"cause":"expired"') && this.#hosts.holderIsWell(body))
            this.#wrong('I4', 'a lease ran out, and nothing was wrong');
        return results;
      },
      isRough: () => this.#isRough,
      ttlMs: this.#mood.ttlMs,
    };
  }

  async live(): Promise<Outcome> {
    try {
      for (const { slot, concurrency } of this.#workload.workers) this.#startWorker(slot, concurrency);
      for (const slot of this.#workload.clients) this.#startClient(slot);
      for (const deed of this.#deeds) this.#scheduler.after(deed.atMs, () => this.#doDeed(deed));
      await this.#until(() => this.#scheduler.nowMs >= START_MS + ROUGH_MS);
      await this.#heal();
      await this.#toTheEnd();
      this.#auditor.settled();
      await this.#checkStore();
      this.#raise();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
    }
    return this.#outcome();
  }

  #outcome(): Outcome {
    const { violation, checks } = this.#auditor;
    const eventTypes: Record<string, number> = {};
    for (const { events } of this.#db.runs.values())
      for (const { type } of events) eventTypes[type] = (eventTypes[type] ?? 0) + 1;
    return {
      seed: this.#seed,
      steps: this.#scheduler.steps,
      checks,
      faults: this.#faults.fired,
      events: Object.values(eventTypes).reduce((sum, count) => sum + count, 0),
      digest: this.#trace.digest,
      violation:
        violation === undefined
          ? undefined
          : { rule: violation.rule, message: violation.message, stack: violation.stack ?? '' },
      trace: violation === undefined ? [] : this.#trace.lines(),
      ends: [...this.#db.runs.values()].map(({ head }) =>
        head.hold === null ? head.phase : `held:${head.hold}`,
      ),
      eventTypes,
    };
  }

  #raise(): void {
    const { violation } = this.#auditor;
    if (violation !== undefined) throw violation;
  }

  #wrong(rule: string, message: string): void {
    this.#auditor.guard(rule, () => {
      throw new Violation(rule, message);
    });
  }

  /** Steps until something holds, or nothing is left to happen. */
  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (!(await this.#scheduler.step())) return;
      this.#raise();
      if (this.#scheduler.steps > STEPS_MAX) {
        this.#wrong('liveness', `${STEPS_MAX} steps and no end`);
        this.#raise();
      }
    }
  }

  /** Faults stop, what is dead comes back, effects end. Every run must come to rest: over, or held, with nothing live. */
  async #heal(): Promise<void> {
    this.#trace.add('world', 'is healed');
    this.#isRough = false;
    this.#faults.heal();
    this.#machine.hurry();
    await this.#oneDies();
    // Who is dead or stopped comes back by itself, within the time that was meant for it.
    const healedMs = this.#scheduler.nowMs + 100_000;
    await this.#until(() => this.#scheduler.nowMs >= healedMs);
    await this.#rest();
  }

  /** A worker is killed with leases in its hand. Who comes in its place can prove that, and goes on at once. */
  async #oneDies(): Promise<void> {
    const heldBy = (name: string): readonly WorkRow[] =>
      this.#auditor.runIds.flatMap((id) => this.#db.work(id).filter(({ worker }) => worker === name));
    const victim = this.#workload.workers
      .flatMap(({ slot }) => this.#processes.get(slot)?.process ?? [])
      .find(({ isAlive, name }) => isAlive && heldBy(name).length > 0);
    if (victim === undefined) return;
    const [held] = heldBy(victim.name);
    victim.kill();
    // Somebody resumes before anybody else has noticed: that is refused, or finds it free already.
    const { process: client } = this.#client(this.#workload.clients[0] ?? 'c1');
    if (held !== undefined && client.isAlive && !client.isStopped)
      await this.#byHand(held.runId, ({ engine, process }) =>
        this.#resume(engine, process, held.runId, 'dora', false, false),
      );
    const pass = (ms: number): Promise<void> => {
      const untilMs = this.#scheduler.nowMs + ms;
      return this.#until(() => this.#scheduler.nowMs >= untilMs);
    };
    await pass(NOTICED_MS);
    // What it had sent before may arrive at any time: only what stays is wrong.
    const left = heldBy(victim.name).filter(({ leaseId }) => this.#isProvenToNext(victim, leaseId));
    await pass(NOTICED_MS);
    const stays = new Set(heldBy(victim.name).map(({ leaseId }) => leaseId));
    for (const { runId, leaseId } of left)
      if (stays.has(leaseId))
        this.#wrong('liveness', `${victim.name} is dead, and its lease on ${runId} still stands`);
  }

  #isProvenToNext({ slot }: SimProcess, leaseId: string | null): boolean {
    const next = this.#processes.get(slot)?.process;
    return next?.isAlive === true && leaseId !== null && this.#hosts.isProven(next.name, leaseId);
  }

  #isAtRest(state: RunState | undefined): boolean {
    if (state === undefined) return false;
    const isLeased = this.#db.work(state.id).some(({ untilMs }) => (untilMs ?? 0) > this.#scheduler.nowMs);
    return isAtRest(state, isLeased);
  }

  async #rest(): Promise<void> {
    const deadlineMs = this.#scheduler.nowMs + REST_MS;
    const isResting = (): boolean =>
      this.#auditor.runIds.every((id) => this.#isAtRest(this.#auditor.stateOf(id)));
    const isLate = (): boolean => this.#scheduler.nowMs > deadlineMs;
    for (;;) {
      const waiting = (): string[] =>
        this.#auditor.runIds.filter((id) => waitsForOthers(this.#auditor.stateOf(id)));
      await this.#until(() => isResting() || isLate() || waiting().length > 0);
      if (isResting() || isLate()) break;
      // A plan waits with its worker for what is handed over below it: the next run gets that worker afterwards.
      for (const id of waiting()) await this.#byHand(id, ({ engine }) => this.#settleOpen(engine, id));
    }
    for (const id of this.#auditor.runIds) {
      const state = this.#auditor.stateOf(id);
      if (!this.#isAtRest(state))
        this.#wrong(
          'liveness',
          `${id} is not at rest after ${REST_MS / 1000} s without faults: ${saysOf(state)}; work ${JSON.stringify(this.#db.work(id))}`,
        );
    }
    this.#raise();
  }

  /** A person approves, raises every limit and resumes, until every run is over. */
  async #toTheEnd(): Promise<void> {
    const isOver = (id: string): boolean => {
      const state = this.#auditor.stateOf(id);
      return state !== undefined && isTerminal(state.standing) && state.live.size === 0;
    };
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const open = this.#auditor.runIds.filter((id) => !isOver(id));
      if (open.length === 0 && this.#machine.running().length === 0) return;
      for (const id of open)
        await this.#byHand(id, ({ engine, process }) => this.#attend(engine, process, id, round));
      await this.#rest();
    }
    for (const id of this.#auditor.runIds)
      if (!isOver(id))
        this.#wrong('liveness', `${id} cannot be brought to its end: ${saysOf(this.#auditor.stateOf(id))}`);
    for (const key of this.#machine.running()) this.#wrong('liveness', `${key} still runs`);
  }

  /** A person does something, which must come to an end. */
  async #byHand(
    id: string,
    act: (client: { process: SimProcess; engine: Engine }) => Promise<void>,
  ): Promise<void> {
    let isDone = false;
    void act(this.#client(this.#workload.clients[0] ?? 'c1')).finally(() => {
      isDone = true;
    });
    const deadlineMs = this.#scheduler.nowMs + REST_MS;
    await this.#until(() => isDone || this.#scheduler.nowMs > deadlineMs);
    if (!isDone) this.#wrong('liveness', `looking after ${id} does not end`);
    this.#raise();
  }

  async #settleOpen(engine: Engine, id: string): Promise<void> {
    for (const node of [...(await engine.state(id)).open.keys()].toReversed()) {
      const command: Command = { type: 'settle', node, state: 'succeeded', by: 'cleo', reason: 'done' };
      await this.#execute(engine, id, command, undefined);
    }
  }

  async #attend(engine: Engine, process: SimProcess, id: string, round: number): Promise<void> {
    const tell = (command: Command): Promise<unknown> => this.#execute(engine, id, command, undefined);
    const state = await engine.state(id);
    const open = [...state.decisions.keys()].filter((key) => state.decisions.get(key)?.approved === false);
    for (const checkpoint of open) await tell({ type: 'approve', checkpoint, by: 'cleo', reason: 'fine' });
    await this.#settleOpen(engine, id);
    const after = await engine.state(id);
    const missing = (after.spec.requiredCheckpoints ?? []).filter(
      (type) => !after.checkpoints.types.includes(type),
    );
    if (!isTerminal(after.standing))
      for (const type of missing)
        await tell({ type: 'emit_checkpoint', checkpoint: type as 'progress', summary: 'by hand' });
    if (after.standing.phase === 'held') await this.#resume(engine, process, id, `cleo${round}`, false, true);
  }

  /** What the store's own examination says, also to those who come later. */
  async #checkStore(): Promise<void> {
    const tools = { sha256, expectedWork };
    const store = new MemoryRunStore(this.#db);
    for (const id of this.#auditor.runIds) {
      const { findings } = await checkRun(store, this.#blobs, id, tools);
      for (const { kind, message } of findings) this.#wrong('I3', `${id}: ${kind}: ${message}`);
      const left = this.#db.work(id);
      if (left.length > 0) this.#wrong('I3', `${id} is over and has work rows: ${JSON.stringify(left)}`);
    }
  }

  #boot(slot: string, restart: () => void): { process: SimProcess; engine: Engine } {
    const life = (this.#lives.get(slot) ?? 0) + 1;
    this.#lives.set(slot, life);
    const process = new SimProcess(this.#world, this.#seed, slot, life, (restartMs, childrenDie) => {
      this.#trace.add(process.name, 'crashes');
      process.die();
      if (childrenDie) this.#machine.dieWith(process.name);
      this.#scheduler.after(Math.min(restartMs, this.#isRough ? restartMs : 500), restart);
    });
    this.#hosts.add(process);
    const engine = new AuditedEngine(this.#auditor, process, this.#hosts.deathsFor(process));
    this.#processes.set(slot, { process, engine });
    return { process, engine };
  }

  #startClient(slot: string): void {
    this.#boot(slot, () => this.#startClient(slot));
  }

  #client(slot: string): { process: SimProcess; engine: Engine } {
    const found = this.#processes.get(slot);
    if (found === undefined) throw new TypeError(`no process ${slot}`);
    return found;
  }

  #startWorker(slot: string, concurrency: number): void {
    const restart = (): void => this.#startWorker(slot, concurrency);
    const { process, engine } = this.#boot(slot, restart);
    const worker = this.#workerOf(process, engine);
    this.#trace.add(process.name, 'starts');
    void worker.run({ queues: ['default'], concurrency }, process.terminate.signal).then(
      () => this.#workerEnded(process, undefined, restart),
      (error: unknown) => this.#workerEnded(process, error, restart),
    );
  }

  #workerEnded(process: SimProcess, error: unknown, restart: () => void): void {
    this.#trace.add(process.name, error === undefined ? 'ends' : `ends: ${(error as Error).message}`);
    if (error === undefined && !process.terminate.signal.aborted)
      this.#wrong('liveness', 'a worker ended by itself');
    if (error !== undefined && (process.injected === 0 || isDefect(error)))
      this.#wrong('liveness', `${process.name} ended: ${(error as Error).stack}`);
    process.die();
    this.#scheduler.after(500, restart);
  }

  #workerOf(process: SimProcess, engine: Engine): Worker {
    const executors = new Map<string, Executor>([
      ['x', new SimExecutor(this.#machine, process.line, process.name)],
    ]);
    return new Worker({
      engine,
      executors,
      worker: process.name,
      newLeaseId: () => `lease-${process.name}-${(this.#leases += 1)}`,
      ttlMs: this.#mood.ttlMs,
      lookMs: 1000,
      ...(this.#workload.admits ? { admit: this.#admission(process) } : {}),
    });
  }

  /** What is said of a node is always the same: whoever asks again after a crash hears it again. */
  #admission(process: SimProcess): Admit {
    return async ({ id }, { spec }, { signal }) => {
      const random = new Random(this.#seed, 'admission', id, spec.id);
      const said = random.weighed({ go: 50, note: 30, ask: 14, refuse: 6 });
      await process.clock.sleep(random.int(0, 400), signal);
      const facts = [{ name: 'admission', data: { said } }];
      switch (said) {
        case 'go':
          return 'go';
        case 'note':
          return { go: true, facts };
        case 'ask':
          return { ask: { summary: `may ${spec.id} start?`, instructions: 'look at it' }, facts };
        case 'refuse':
          return { refuse: { code: 'E_UNSAFE_OPERATION', message: 'not this one' } };
      }
    };
  }

  #doDeed(deed: Deed): void {
    const { process, engine } = this.#client(deed.slot);
    if (!process.isAlive) return;
    this.#trace.add(process.name, `${deed.id} ${deed.kind} r${deed.run}`);
    process.deliver(() => {
      const { name } = process;
      this.#underWay.set(name, (this.#underWay.get(name) ?? 0) + 1);
      void this.#carryOut(deed, process, engine)
        .catch((error: unknown) => this.#wrong('liveness', `${deed.kind} failed: ${(error as Error).stack}`))
        .finally(() => this.#underWay.set(name, (this.#underWay.get(name) ?? 0) - 1));
    });
  }

  async #carryOut(deed: Deed, process: SimProcess, engine: Engine): Promise<void> {
    const run = this.#workload.runs[deed.run];
    if (run === undefined) return;
    const { id, spec, below } = run;
    switch (deed.kind) {
      case 'create': {
        await this.#execute(engine, id, { type: 'create', spec }, undefined);
        for (const { parent, nodes } of below)
          await this.#execute(engine, id, { type: 'add_nodes', parent, nodes }, undefined);
        return;
      }
      case 'resume':
        return this.#resume(engine, process, id, deed.id, deed.pick % 2 === 0, deed.pick % 3 === 0);
      case 'queue':
        return this.#resume(engine, process, id, deed.id, false, deed.pick % 3 === 0);
      case 'forget':
        process.hasFaults = true;
        return engine.forget(id);
      default: {
        let state: RunState;
        try {
          state = await engine.state(id);
        } catch (error) {
          this.#expected(error, process);
          return;
        }
        if (deed.kind === 'look') return this.#compare(process, state);
        const command = commandOf(deed, state);
        if (command !== undefined) await this.#execute(engine, id, command, deed.id);
      }
    }
  }

  /** What a reader sees has happened: nothing of it is taken back. */
  #compare({ name }: SimProcess, state: RunState): void {
    if ((this.#underWay.get(name) ?? 0) > 1) return;
    const known = this.#auditor.stateOf(state.id);
    if (known !== undefined && known.version < state.version)
      this.#wrong(
        'I1',
        `a reader of ${state.id} sees event ${state.version}, and ${known.version} are stored`,
      );
  }

  /** Claims a held run; then drives it here, or hands it to the workers. */
  async #resume(
    engine: Engine,
    process: SimProcess,
    id: string,
    by: string,
    drives: boolean,
    raises: boolean,
  ): Promise<void> {
    const worker = this.#workerOf(process, engine);
    let isClaimed = false;
    try {
      const resume = { by, reason: 'go on', ...(raises ? { limits: UNLIMITED } : {}) };
      const claimed = await worker.claim(id, undefined, resume);
      isClaimed = true;
      if (claimed === undefined || isTerminal(claimed.state.standing)) return;
      if (drives) {
        await worker.drive(claimed.lease, process.terminate.signal);
        return;
      }
      const { node, epoch } = claimed.lease;
      await engine.execute(id, {
        type: 'release',
        node,
        epoch,
        cause: 'released',
        seenMs: process.clock.nowMs(),
      });
    } catch (error) {
      this.#expected(error, process);
      if (isRefusal(error) && !isClaimed) this.#auditor.refused(id, by);
    }
  }

  async #execute(engine: Engine, id: string, command: Command, mark: string | undefined): Promise<void> {
    const versionBefore = this.#auditor.stateOf(id)?.version;
    try {
      const { events } = await engine.execute(id, command);
      if (mark === undefined || events.length === 0) return;
      // Of what people do only this names an epoch, and never the right one.
      if ('epoch' in command) this.#wrong('I4', `a stale or early ${command.type} was carried out`);
      if (command.type === 'approve' && command.binds === 'something else')
        this.#wrong('I8', 'an approval of something else was taken');
    } catch (error) {
      this.#expected(error, undefined);
      if (!isRefusal(error) || mark === undefined) return;
      this.#auditor.refused(id, mark);
      const stored = this.#auditor.stateOf(id)?.version;
      if (stored !== versionBefore) return;
      this.#justly(engine, id, command);
      // It stood still all the while: whoever refuses has at least seen it.
      const known = engine.peek(id)?.version;
      if (stored !== undefined && known !== undefined && known < stored)
        this.#wrong('I3', `${command.type} of ${id} was refused at event ${known} of ${stored}`);
    }
  }

  /** A refusal must follow from what is stored, when that stood still and nothing was under way beside it. */
  #justly(engine: Engine, id: string, command: Command): void {
    const state = this.#auditor.stateOf(id);
    const isAlone = [...this.#underWay.values()].reduce((sum, count) => sum + count, 0) === 1;
    if (state === undefined || !isAlone) return;
    const decided = decide(state, command, { nowMs: engine.clock.nowMs(), sha256, random: () => 0.5 });
    if (decided.ok && decided.events.length > 0)
      this.#wrong('I3', `${command.type} of ${id} was refused, and the store has nothing against it`);
  }

  /** Of all that a command may be answered with, only what was made up or is a refusal by the rules. */
  #expected(error: unknown, process: SimProcess | undefined): void {
    if (error instanceof ReeveError && !isDefect(error)) return;
    if (process !== undefined && process.injected > 0 && !isDefect(error)) return;
    this.#wrong('liveness', `an unexpected error: ${(error as Error).stack}`);
  }
}

/** Every engine of the world tells what it answered, and is otherwise as it is. */
class AuditedEngine extends Engine {
  readonly #auditor: Auditor;

  constructor(auditor: Auditor, { store, blobs, clock, chance, turn }: SimProcess, deaths: Deaths) {
    super({ store, blobs, clock, chance, turn, deaths });
    this.#auditor = auditor;
  }

  override async execute(...asked: Parameters<Engine['execute']>): Promise<Executed> {
    const [runId] = asked;
    const executed = await super.execute(...asked);
    this.#auditor.acknowledged(runId, executed);
    return executed;
  }
}

/** An error that no fault explains: ours, or damage that nobody did. */
function isDefect(error: unknown): boolean {
  if (error instanceof ReeveError)
    return ['E_STORE_CORRUPT', 'E_GENERIC_FAILURE', 'E_RUN_CHANGED'].includes(error.code);
  return error instanceof TypeError || error instanceof RangeError || error instanceof AssertionError;
}

function isRefusal(error: unknown): boolean {
  return error instanceof ReeveError && !error.code.startsWith('E_STORE_') && error.code !== 'E_RUN_CHANGED';
}

/**
 * Whether a run waits for nobody but a person: it is over and nothing of it runs, or it is held and nobody holds it, or
 * all that is left of it waits for approvals. What a worker left in a held run is found by who resumes it.
 */
function isAtRest(state: RunState, isLeased: boolean): boolean {
  if (isTerminal(state.standing)) return state.live.size === 0;
  if (waitsForOthers(state)) return true;
  if (isLeased) return false;
  const { phase } = state.standing;
  if (phase === 'held' || (phase === 'queued' && state.openDecisions > 0)) return true;
  return state.openDecisions > 0 && state.ready.size === 0 && state.live.size === 0;
}

/** Nothing is left but what is handed over. */
function waitsForOthers(state: RunState | undefined): boolean {
  if (state === undefined || isTerminal(state.standing) || state.standing.phase !== 'running') return false;
  return state.open.size > 0 && state.ready.size === 0 && state.live.size === 0;
}

function saysOf(state: RunState | undefined): string {
  if (state === undefined) return 'unknown';
  const { standing, live, ready, open, openDecisions } = state;
  const hold = standing.phase === 'held' ? `:${standing.hold}` : '';
  return `${standing.phase}${hold}, live ${[...live.keys()].join()}, ready ${[...ready.keys()].join()}, open ${[...open.keys()].join()}, ${openDecisions} open decisions`;
}
