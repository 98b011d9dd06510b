/**
 * Writes runs through to a Run Store and an Event Stream of others, so that whoever reads those finds them there. It follows
 * what is committed, never the other way round: no request waits for it. A run's records are written before the events that
 * tell of them.
 */
import { AsyncResource } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../../../../engine/engine.ts';
import type { RunHead } from '../../../../store/run-store.ts';
import type { EventStreamClient } from '../../clients/event-stream-client.ts';
import type { RunStoreClient } from '../../clients/run-store-client.ts';
import type { HealthCheck } from '../../wire/common.ts';
import type { RunViews } from '../run-views.ts';
import { IDLE_QUEUE, QUEUE } from '../spec.ts';
import { carryEvents } from './carry-events.ts';
import { carryRecords } from './carry-records.ts';
import { Lane, type LaneParts, type LaneStanding, type Reach } from './lane.ts';
import type { Positions, RunKey, TargetName } from './positions.ts';

export interface MirrorParts {
  readonly engine: Engine;
  readonly views: RunViews;
  /** Closed by the caller. */
  readonly positions: Positions;
  readonly runStore?: RunStoreClient;
  readonly eventStream?: EventStreamClient;
  note(text: string): void;
  readonly pausesMs?: LaneParts['pausesMs'];
  readonly pendingMax?: LaneParts['pendingMax'];
  /** After which a parked run is tried again, milliseconds. Default ten minutes. */
  readonly parkMs?: number;
}

const PARK_MS = 600_000;
const PAGE = 200;
/** Of the time, for looking through all runs: at most one part in so many. */
const SHARE = 20;
/** Between two looks through all runs, milliseconds, at least. */
const SCAN_MS = 500;
/** A run may be on its way for so long before health mentions it, milliseconds. */
const LATE_MS = 10_000;

export class Mirror {
  readonly #parts: MirrorParts;
  readonly #lanes = new Map<TargetName, Lane>();
  readonly #stop = new AbortController();
  readonly #looking = new Set<string>();
  #unsubscribe: () => void = () => undefined;
  #scanning: Promise<void> | undefined;
  #isScanAsked = false;

  constructor(parts: MirrorParts) {
    this.#parts = parts;
    const { runStore, eventStream } = parts;
    if (runStore !== undefined)
      this.#add('run_store', async (runId, reach) => {
        await carryRecords({ ...parts, client: runStore }, runId, reach);
        this.#recordsAreThere(runId);
        await this.#offerIfBehind(runId);
      });
    if (eventStream !== undefined)
      this.#add('event_stream', (runId, reach) =>
        carryEvents({ ...parts, client: eventStream, upTo: (run) => this.#upTo(run) }, runId, reach),
      );
  }

  /** Catches up, and follows until `stop`. Runs that were parked are tried again. @throws ReeveError E_STORE_* */
  start(): void {
    this.#parts.positions.unparkAll();
    // Bound: what a request commits is not mirrored on behalf of that request.
    this.#unsubscribe = this.#parts.engine.store.subscribe(
      AsyncResource.bind((runId: string | undefined) => this.#changed(runId)),
    );
    this.#scan();
    void this.#lookAgain();
  }

  /** What is under way is continued by the next mirror of this store. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#unsubscribe();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    await this.#scanning;
  }

  /** Never asks the services. */
  health(): HealthCheck {
    const { positions, engine } = this.#parts;
    const now = engine.clock.nowMs();
    const standings = [...this.#lanes].map(([target, lane]) => ({
      target,
      parked: positions.parked(target),
      ...lane.standing,
    }));
    const isLate = ({ away, parked, sinceMs = now }: LaneStanding & { parked: number }): boolean =>
      away !== undefined || parked > 0 || now - sinceMs > LATE_MS;
    const details = Object.fromEntries(
      standings.map(({ target, behind, parked, sinceMs, away, isMore }) => [
        target,
        {
          behind,
          parked,
          ...(sinceMs === undefined ? {} : { since: new Date(sinceMs).toISOString() }),
          ...(away === undefined ? {} : { away: true }), // why is for the log: anybody may ask here
          ...(isMore ? { more: true } : {}),
        },
      ]),
    );
    const late = standings.filter(isLate);
    if (late.length === 0) return { name: 'mirror', status: 'ok', details };
    return { name: 'mirror', status: 'degraded', message: late.map(sentence).join('; '), details };
  }

  #add(target: TargetName, carry: (runId: string, reach: Reach) => Promise<void>): void {
    const { engine, note, pausesMs, pendingMax } = this.#parts;
    const lane = new Lane({
      target,
      clock: engine.clock,
      note,
      carry: async (runId, reach) => {
        const head = await engine.store.head(runId);
        if (head !== undefined && !this.#isParked(target, head)) await carry(runId, reach);
      },
      hasRoom: () => this.#scan(),
      park: (runId, reason) => this.#park(target, runId, reason),
      ...(pausesMs === undefined ? {} : { pausesMs }),
      ...(pendingMax === undefined ? {} : { pendingMax }),
    });
    this.#lanes.set(target, lane);
  }

  /** Commits of other processes come without the run: then all are looked through. */
  #changed(runId: string | undefined): void {
    if (runId === undefined) return this.#scan();
    if (this.#looking.has(runId)) return;
    this.#looking.add(runId);
    void this.#look(runId).catch(() => this.#scan());
  }

  async #look(runId: string): Promise<void> {
    await setImmediate();
    this.#looking.delete(runId); // first: what is committed from here on is looked at again
    if (this.#stop.signal.aborted) return;
    const head = await this.#parts.engine.store.head(runId);
    if (head !== undefined) this.#offer(head);
  }

  #offer(head: RunHead): void {
    if (head.queue !== QUEUE && head.queue !== IDLE_QUEUE) return;
    for (const [target, lane] of this.#lanes) {
      const { version } = this.#parts.positions.get(target, head);
      if (version < head.version && !this.#isParked(target, head)) lane.offer(head.id);
    }
  }

  #isParked(target: TargetName, run: RunKey): boolean {
    const { positions, engine, parkMs = PARK_MS } = this.#parts;
    const { parkedMs } = positions.get(target, run);
    return parkedMs !== null && engine.clock.nowMs() - parkedMs < parkMs;
  }

  #scan(): void {
    this.#isScanAsked = true;
    this.#scanning ??= this.#scanAll().finally(() => {
      this.#scanning = undefined;
    });
  }

  async #scanAll(): Promise<void> {
    const { engine, note } = this.#parts;
    const { signal } = this.#stop;
    while (this.#isScanAsked && !signal.aborted) {
      this.#isScanAsked = false;
      const fromMs = engine.clock.nowMs();
      await this.#round().catch((error: Error) => {
        this.#isScanAsked = true;
        if (!signal.aborted) note(`mirror: runs cannot be listed now: ${error.message}`);
      });
      await engine.clock.sleep(Math.max(SCAN_MS, SHARE * (engine.clock.nowMs() - fromMs)), signal);
    }
  }

  async #round(): Promise<void> {
    const { store } = this.#parts.engine;
    let after: Awaited<ReturnType<typeof store.list>>['next'];
    do {
      const page = await store.list({ limit: PAGE, ...(after === undefined ? {} : { after }) });
      if (this.#stop.signal.aborted) return;
      for (const head of page.runs) this.#offer(head);
      after = page.next;
    } while (after !== undefined);
  }

  /** For parked runs, and for whatever else was missed. */
  async #lookAgain(): Promise<void> {
    const { engine, parkMs = PARK_MS } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await engine.clock.sleep(parkMs, signal);
      if (!signal.aborted) this.#scan();
    }
  }

  #recordsAreThere(runId: string): void {
    this.#lanes.get('event_stream')?.offer(runId);
  }

  /** Another process that shares the positions may have written newer records, and been overwritten by ours. */
  async #offerIfBehind(runId: string): Promise<void> {
    const head = await this.#parts.engine.store.head(runId);
    if (head !== undefined && this.#parts.positions.get('run_store', head).version < head.version)
      this.#lanes.get('run_store')?.offer(runId);
  }

  /** Events do not overtake records, unless these are not wanted. */
  #upTo(run: RunKey & { readonly version: number }): number {
    if (!this.#lanes.has('run_store')) return run.version;
    const { version, parkedMs } = this.#parts.positions.get('run_store', run);
    return parkedMs === null ? version : run.version;
  }

  async #park(target: TargetName, runId: string, reason: string): Promise<void> {
    const { engine, positions } = this.#parts;
    const head = await engine.store.head(runId);
    if (head === undefined) return;
    positions.park(target, head, reason, engine.clock.nowMs());
    if (target === 'run_store') this.#recordsAreThere(runId);
  }
}

function sentence({
  target,
  behind,
  parked,
  sinceMs,
  isMore,
}: LaneStanding & { readonly target: TargetName; readonly parked: number }): string {
  const since = sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString()}`;
  const parts = [
    ...(behind > 0 ? [`${isMore ? 'more than ' : ''}${counted(behind)} behind${since}`] : []),
    ...(parked > 0 ? [`${counted(parked)} refused`] : []),
  ];
  return `${target}: ${parts.join(', ')}`;
}

function counted(runs: number): string {
  return runs === 1 ? '1 run is' : `${runs} runs are`;
}
