/**
 * The engine: commands in, durable events out.
 *
 * A command is decided on the run's state in memory and applied to it at once; its events wait for the next group
 * commit and the caller is answered after the sync (I1). Whoever decides next builds on events that are not durable
 * yet: that is safe because a commit that fails takes all that were built on it with it — the run is then loaded
 * again and each command decided again on what the store really has.
 */
import { aliasesAddedBy } from '../model/aliases.ts';
import { genesisHash } from '../model/chain.ts';
import { isFromOutside, type Command, type Context } from '../model/commands.ts';
import { decide } from '../model/decide/index.ts';
import { ReeveError, type Refusal } from '../model/errors.ts';
import { evolve } from '../model/evolve.ts';
import type { RecordedEvent } from '../model/events.ts';
import type { NodeSpec } from '../model/node.ts';
import { decodeSnapshot, encodeSnapshot } from '../model/snapshot.ts';
import { emptyState, type RunState } from '../model/state.ts';
import type { BlobStore } from '../store/blob-store.ts';
import { headOf } from '../store/run-head.ts';
import type { Commit, CommitResult, RunStore, StoredEvent } from '../store/run-store.ts';
import type { EngineObserver } from '../telemetry/engine-observer.ts';
import { CommitQueue } from './commit-queue.ts';
import { openEvents, sealEvent } from './event-codec.ts';
import type { Chance, Clock, Deaths } from './ports.ts';
import { nextTurn, sha256 } from './system.ts';
import { workChanges } from './work-changes.ts';

/** How often a command is decided again after others changed the run. */
const TRIES_MAX = 64;
/** Runs kept in memory. */
const HOT_RUNS_MAX = 2000;
/** A snapshot is written once the events since the last one outweigh it by this factor, and at least this many bytes. */
const SNAPSHOT_FACTOR = 2;
const SNAPSHOT_AFTER_BYTES = 64 * 1024;

/** Events read at a time when nodes are looked for. */
const NODES_PAGE = 500;

interface HotRun {
  readonly state: RunState;
  hash: string;
  createdAtMs: number;
  /** Characters of events since the last snapshot, and of that snapshot. */
  tail: number;
  snapshot: number;
  /** Commits on their way: the store may be behind by these. */
  pending: number;
  /** Settles once the payloads outside of earlier events are stored: commits of one run stay in order. */
  spilled: Promise<unknown> | undefined;
}

/** A lease, as the run has it. */
interface Held {
  readonly node: string;
  readonly epoch: number;
  readonly ttlMs: number;
}

export interface Executed {
  readonly events: readonly RecordedEvent[];
  /** The run after the command. It moves on with later commands: read at once, or copy. */
  readonly state: RunState;
  /** After a conflict: whatever was built on an earlier decision of this command is lost. */
  readonly isDecidedAgain: boolean;
}

export interface EngineOptions {
  readonly store: RunStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Resolves in the next turn of the event loop; a simulation has turns of its own. */
  readonly turn?: () => Promise<void>;
  /** Default: nobody is ever provably dead, and each lease has to run out. */
  readonly deaths?: Deaths;
  readonly observer?: EngineObserver;
}

export class Engine {
  readonly store: RunStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly deaths: Deaths | undefined;
  readonly #queue: CommitQueue;
  readonly #observer: EngineObserver | undefined;
  readonly #hot = new Map<string, HotRun>();

  constructor({ store, blobs, clock, chance, turn = nextTurn, deaths, observer }: EngineOptions) {
    this.store = store;
    this.blobs = blobs;
    this.clock = clock;
    this.chance = chance;
    this.deaths = deaths;
    this.#queue = new CommitQueue(store, turn);
    this.#observer = observer;
  }

  /**
   * Carries out a command and resolves once its events are durable.
   * @param mayStill Asked right before each decision, of the state it is made on: a worker whose lease ran out or never came
   * about must not decide again.
   * @throws ReeveError with the refusal's code; E_LEASE_CONFLICT when it may not any more; E_INVALID_INPUT_SCHEMA with
   * details.alias when another run has the name of one of its nodes (addressable runs); E_STORE_* when the store fails:
   * then either nothing was recorded, or its answer was lost.
   */
  async execute(runId: string, command: Command, mayStill?: (state: RunState) => boolean): Promise<Executed> {
    let settledNodes: Context['settledNodes'];
    let isDecidedAgain = false;
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const hot = this.#hot.get(runId) ?? (await this.#load(runId));
      const again = settledAmong(hot.state, command).filter((id) => settledNodes?.has(id) !== true);
      if (again.length > 0) {
        const found = await this.#nodesOf(runId, again);
        settledNodes = new Map([...(settledNodes ?? []), ...found]);
        if (found.size < again.length) this.#drop(runId, hot); // removed meanwhile, or made anew
        continue;
      }
      const held = this.#heldBy(hot, command);
      const root = this.#rootBeside(hot, command);
      const lease =
        held === undefined ? undefined : await this.#leaseOf(hot, held, isFromOutside(command, hot.state));
      const rootLease = root === undefined ? undefined : await this.#leaseOf(hot, root, true);
      // Someone claimed it while we looked.
      if (this.#heldBy(hot, command)?.epoch !== held?.epoch) continue;
      if (this.#rootBeside(hot, command)?.epoch !== root?.epoch) continue;
      const ctx: Context = {
        nowMs: this.clock.nowMs(),
        sha256,
        random: () => this.chance.random(),
        ...(lease === undefined ? {} : { lease }),
        ...(rootLease === undefined ? {} : { rootLease }),
        ...(settledNodes === undefined ? {} : { settledNodes }),
      };
      if (mayStill?.(hot.state) === false)
        throw new ReeveError('E_LEASE_CONFLICT', `the lease on run ${runId} has run out`, { job_id: runId });
      // From here to the push nothing is awaited: decisions on one run are made one after the other.
      const decided = decide(hot.state, command, ctx);
      if (!decided.ok || decided.events.length === 0) {
        if (await this.#isStale(runId, hot)) continue;
        if (!decided.ok) {
          this.#observer?.refused(command.type);
          throw refusalError(decided.refusal);
        }
        return { events: [], state: hot.state, isDecidedAgain };
      }
      const result = await this.#commit(runId, hot, decided.events);
      if (result === 'ok') {
        this.#observer?.recorded(command.type, decided.events, hot.state);
        return { events: decided.events, state: hot.state, isDecidedAgain };
      }
      this.#drop(runId, hot);
      isDecidedAgain = true;
      if (result === 'alias_taken') throw await this.#aliasTaken(runId, decided.events, hot.state);
    }
    throw new ReeveError('E_RUN_CHANGED', `run ${runId} kept changing while '${command.type}' was decided`, {
      job_id: runId,
    });
  }

  /**
   * The run as the store has it now, and what this process is committing to it: to tell others of it, read the store.
   * @throws ReeveError E_INVALID_INPUT_SCHEMA when there is none.
   */
  async state(runId: string): Promise<RunState> {
    const known = this.#hot.get(runId);
    const hot = known !== undefined && !(await this.#isStale(runId, known)) ? known : await this.#load(runId);
    if (hot.state.version === 0) throw unknownRun(runId);
    return hot.state;
  }

  /** The run as this process last knew it, without asking the store; for whoever holds its lease. */
  peek(runId: string): RunState | undefined {
    return this.#hot.get(runId)?.state;
  }

  /** Whether commits of this process to the run are on their way. */
  isCommitting(runId: string): boolean {
    return (this.#hot.get(runId)?.pending ?? 0) > 0;
  }

  /** Events with seq > `after`; in order, at most `limit`. */
  async events(
    runId: string,
    after = 0,
    limit = 10_000,
    types?: readonly string[],
  ): Promise<RecordedEvent[]> {
    return openEvents(await this.store.events(runId, after, limit, types), this.blobs);
  }

  /** Forgets what is in memory of a run, so that the next use reads the store. */
  forget(runId: string): void {
    this.#hot.delete(runId);
  }

  async #commit(runId: string, hot: HotRun, events: readonly RecordedEvent[]): Promise<CommitResult> {
    hot.pending += 1;
    try {
      const { commit, spills } = this.#apply(runId, hot, events);
      if (hot.spilled !== undefined || spills.length > 0) {
        // Blobs first: a committed event never names a payload that is not there.
        const bytes = spills.map((text) => new TextEncoder().encode(text));
        const spilled = Promise.all([hot.spilled, ...bytes.map((blob) => this.blobs.put(blob))]);
        hot.spilled = spilled;
        await spilled;
        if (hot.spilled === spilled) hot.spilled = undefined;
      }
      return await this.#queue.push(commit);
    } catch (error) {
      this.#drop(runId, hot);
      throw error;
    } finally {
      hot.pending -= 1;
    }
  }

  /** Applies events to the run in memory and says how they are to be stored. */
  #apply(runId: string, hot: HotRun, events: readonly RecordedEvent[]): { commit: Commit; spills: string[] } {
    const { state } = hot;
    const expectedVersion = state.version;
    const expectedHash = hot.hash;
    const stored: StoredEvent[] = [];
    const spills: string[] = [];
    for (const recorded of events) {
      const sealed = sealEvent(hot.hash, recorded, sha256);
      hot.hash = sealed.stored.hash;
      hot.tail += sealed.stored.body.length;
      stored.push(sealed.stored);
      if (sealed.spill !== undefined) spills.push(sealed.spill);
      evolve(state, recorded);
    }
    if (expectedVersion === 0) hot.createdAtMs = events[0]?.atMs ?? 0;
    const work = workChanges(events, state);
    state.fresh.length = 0;
    const aliases = aliasesAddedBy(events, state);
    const head = headOf(state, hot.hash, hot.createdAtMs);
    const commit = {
      runId,
      expectedVersion,
      expectedHash,
      events: stored,
      head,
      work,
      ...(aliases === undefined ? {} : { aliases }),
      ...this.#snapshotIfDue(hot),
    };
    return { commit, spills };
  }

  #snapshotIfDue(hot: HotRun): { snapshot?: { version: number; body: string } } {
    if (hot.tail < SNAPSHOT_AFTER_BYTES || hot.tail < hot.snapshot * SNAPSHOT_FACTOR) return {};
    const body = encodeSnapshot(hot.state);
    hot.snapshot = body.length;
    hot.tail = 0;
    return { snapshot: { version: hot.state.version, body } };
  }

  async #load(runId: string): Promise<HotRun> {
    const loaded = await this.store.load(runId);
    const known = this.#hot.get(runId);
    // Someone else may have loaded it meanwhile and built on it: two states of one run must not diverge.
    if (known !== undefined && known.state.version >= (loaded?.head.version ?? 0)) return known;
    const hot = loaded === undefined ? newRun(runId) : await this.#rebuild(loaded);
    const raced = this.#hot.get(runId);
    if (raced !== undefined && raced !== known && raced.state.version >= hot.state.version) return raced;
    this.#hot.delete(runId);
    this.#hot.set(runId, hot);
    for (const oldest of this.#hot.keys()) {
      if (this.#hot.size <= HOT_RUNS_MAX) break;
      this.#hot.delete(oldest);
    }
    return hot;
  }

  async #rebuild(loaded: NonNullable<Awaited<ReturnType<RunStore['load']>>>): Promise<HotRun> {
    const { head, snapshot } = loaded;
    let state = snapshot === undefined ? undefined : decodeSnapshot(snapshot.body);
    if (state?.version !== snapshot?.version) state = undefined; // the events know better
    const tail =
      snapshot !== undefined && state === undefined
        ? await this.store.events(head.id, 0, head.version)
        : loaded.tail;
    state ??= emptyState(head.id);
    const events = await openEvents(tail, this.blobs);
    for (const recorded of events) {
      if (recorded.seq !== state.version + 1) {
        throw new ReeveError('E_STORE_CORRUPT', `run ${head.id}: event ${state.version + 1} is missing`, {
          job_id: head.id,
          seq: state.version + 1,
        });
      }
      state = evolve(state, recorded);
    }
    if (state.version !== head.version) {
      throw new ReeveError(
        'E_STORE_CORRUPT',
        `run ${head.id} has ${state.version} of ${head.version} events`,
        { job_id: head.id },
      );
    }
    state.fresh.length = 0;
    return {
      state,
      hash: head.hash,
      createdAtMs: head.createdAtMs,
      tail: tail.reduce((sum, { body }) => sum + body.length, 0),
      snapshot: snapshot?.body.length ?? 0,
      pending: 0,
      spilled: undefined,
    };
  }

  /** Who claims a node, or commands from outside, has to look at its holder's lease in the store. */
  #heldBy({ state }: HotRun, command: Command): Held | undefined {
    if (isClaim(command)) return heldOn(state, command.node);
    return isFromOutside(command, state) ? heldOn(state, state.spec.rootId) : undefined;
  }

  /** Who claims another node than the root also has to know whether the root's holder is still there: its time is billed. */
  #rootBeside({ state }: HotRun, command: Command): Held | undefined {
    const { rootId } = state.spec;
    return isClaim(command) && command.node !== rootId ? heldOn(state, rootId) : undefined;
  }

  async #leaseOf(
    hot: HotRun,
    held: Held,
    /** Who claims ends the lease of a dead worker first: the store grants none before the time of the other is up. */
    endsDead: boolean,
  ): Promise<NonNullable<Context['lease']>> {
    const isPending = hot.pending > 0;
    const row = (await this.store.work(hot.state.id)).find(({ node }) => node === held.node);
    // A lease that is not durable yet: the row is still about the one before, and nobody has renewed this one.
    if (isPending && row?.epoch !== held.epoch) {
      const { lastAtMs } = hot.state;
      return { live: lastAtMs + held.ttlMs > this.clock.nowMs(), seenMs: lastAtMs };
    }
    const untilMs = row?.untilMs ?? 0;
    const isDead = endsDead && row?.leaseId != null && this.deaths?.isDead(row.leaseId) === true;
    return { live: !isDead && untilMs > this.clock.nowMs(), seenMs: Math.max(0, untilMs - held.ttlMs) };
  }

  async #isStale(runId: string, hot: HotRun): Promise<boolean> {
    if (this.#hot.get(runId) !== hot) return true;
    const { pending, hash } = hot;
    const head = await this.store.head(runId);
    if (this.#hot.get(runId) !== hot) return true;
    const version = head?.version ?? 0;
    const isBehind = version > hot.state.version;
    // What was read while we wrote may be from before our commit; and a commit is itself proof of what was there.
    const isQuiet = pending === 0 && hot.pending === 0 && hash === hot.hash;
    const isOther = isQuiet && (version !== hot.state.version || (head !== undefined && head.hash !== hash));
    if (!isBehind && !isOther) return false;
    this.#drop(runId, hot);
    return true;
  }

  /** Which name it was; the other run is nobody's business here. */
  async #aliasTaken(runId: string, events: readonly RecordedEvent[], state: RunState): Promise<ReeveError> {
    const names = aliasesAddedBy(events, state) ?? [];
    let taken = names[0] ?? '';
    for (const alias of names) {
      const owner = await this.store.runOf(alias);
      if (owner === undefined || owner === runId) continue;
      taken = alias;
      break;
    }
    return new ReeveError('E_INVALID_INPUT_SCHEMA', `the name '${taken}' is taken by another run`, {
      job_id: runId,
      alias: taken,
    });
  }

  /** Nodes as they were added, for those that state no longer keeps. */
  async #nodesOf(runId: string, ids: readonly string[]): Promise<NonNullable<Context['settledNodes']>> {
    const wanted = new Set(ids);
    const found = new Map<string, { parent: string | undefined; spec: NodeSpec }>();
    const take = (parent: string | undefined, specs: readonly NodeSpec[]): void => {
      for (const spec of specs) if (wanted.has(spec.id)) found.set(spec.id, { parent, spec });
    };
    let after = 0;
    while (found.size < wanted.size) {
      const page = await this.events(runId, after, NODES_PAGE, [
        'run_created',
        'run_imported',
        'nodes_added',
      ]);
      for (const { event } of page) {
        if (event.type === 'nodes_added') take(event.parent, event.nodes);
        if (event.type !== 'run_created' && event.type !== 'run_imported') continue;
        take(undefined, [event.spec.root]);
        take(event.spec.root.id, event.spec.nodes);
      }
      if (page.length < NODES_PAGE) break;
      after = page.at(-1)?.seq ?? after;
    }
    return found;
  }

  #drop(runId: string, hot: HotRun): void {
    if (this.#hot.get(runId) === hot) this.#hot.delete(runId);
  }
}

/** Settled nodes that a command would add again. */
function settledAmong({ settled }: RunState, command: Command): readonly string[] {
  if (command.type !== 'add_nodes' || settled.size === 0) return [];
  const branches = [command, ...(command.below ?? [])];
  return [...new Set(branches.flatMap(({ nodes }) => nodes.map(({ id }) => id)))].filter((id) =>
    settled.has(id),
  );
}

function newRun(runId: string): HotRun {
  return {
    state: emptyState(runId),
    hash: genesisHash(runId, sha256),
    createdAtMs: 0,
    tail: 0,
    snapshot: 0,
    pending: 0,
    spilled: undefined,
  };
}

function refusalError({ code, message, details }: Refusal): ReeveError {
  return new ReeveError(code, message, details);
}

function unknownRun(runId: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `unknown run '${runId}'`, { job_id: runId });
}

/** Takes a lease, with or without the start of an attempt. */
function isClaim(command: Command): command is Extract<Command, { type: 'claim' | 'start' }> {
  return (command.type === 'claim' || command.type === 'start') && command.claimant !== undefined;
}

function heldOn(state: RunState, id: string): Held | undefined {
  const node = state.nodes.get(id);
  return node?.lease === undefined ? undefined : { node: id, epoch: node.epoch, ttlMs: node.lease.ttlMs };
}
