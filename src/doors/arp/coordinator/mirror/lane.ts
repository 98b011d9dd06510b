/**
 * Runs on their way to one service: each once at a time, a few at once. A service that does not answer is asked again until
 * it does, with growing pauses; a run that it refuses is parked.
 */
import type { Clock } from '../../../../engine/ports.ts';
import { ArpError } from '../../wire/errors.ts';
import type { TargetName } from './positions.ts';

/** Asks the service; waits while it is away. @throws ArpError: it refuses, or 404; the signal's reason */
export type Reach = <T>(ask: (signal: AbortSignal) => Promise<T>) => Promise<T>;

export interface LaneParts {
  readonly target: TargetName;
  readonly clock: Clock;
  /** Brings a run up to date there. @throws ArpError: it refuses */
  carry(runId: string, reach: Reach): Promise<void>;
  /** The service does not want it. */
  park(runId: string, reason: string): Promise<void>;
  /** There is room for runs that were offered in vain. */
  hasRoom(): void;
  note(text: string): void;
  /** Runs that are kept in mind. Default 10,000. */
  readonly pendingMax?: number;
  /** Pauses while the service is away, milliseconds. Default 250, doubled up to 5000. */
  readonly pausesMs?: { readonly first: number; readonly cap: number };
}

export interface LaneStanding {
  /** Runs that wait, or are under way. */
  readonly behind: number;
  /** Since when the first of them waits. */
  readonly sinceMs: number | undefined;
  /** Why the service cannot be asked. */
  readonly away: string | undefined;
  /** More are behind than are kept in mind. */
  readonly isMore: boolean;
}

const AT_ONCE = 4;
const PENDING_MAX = 10_000;
const PAUSES = { first: 250, cap: 5000 } as const;
/** What a service says of what it is given, and not of itself. */
const REFUSALS: readonly number[] = [400, 409, 413, 422, 507];
const ABSENT = 404;

export class Lane {
  readonly #parts: LaneParts;
  readonly #stop = new AbortController();
  /** Since when each waits; in the order in which they came. */
  readonly #pending = new Map<string, number>();
  readonly #busy = new Map<string, { readonly sinceMs: number; readonly work: Promise<void> }>();
  #away: string | undefined;
  #isMore = false;
  /** What was told of a run last: the same of others is not told again. */
  #told: string | undefined;

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** Never waits. Beyond what is kept in mind it only remembers that there is more. */
  offer(runId: string): void {
    if (this.#stop.signal.aborted || this.#pending.has(runId)) return;
    if (this.#pending.size >= this.#pendingMax) {
      this.#isMore = true;
      return;
    }
    this.#pending.set(runId, this.#parts.clock.nowMs());
    this.#pump();
  }

  get standing(): LaneStanding {
    const [waiting] = this.#pending.values();
    const since = [...this.#busy.values()].map(({ sinceMs }) => sinceMs);
    if (waiting !== undefined) since.push(waiting);
    return {
      behind: new Set([...this.#pending.keys(), ...this.#busy.keys()]).size,
      sinceMs: since.length === 0 ? undefined : Math.min(...since),
      away: this.#away,
      isMore: this.#isMore,
    };
  }

  /** What is under way is left where it is. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pending.clear();
    await Promise.all([...this.#busy.values()].map(({ work }) => work));
  }

  #pump(): void {
    for (const [runId, sinceMs] of this.#pending) {
      if (this.#busy.size >= AT_ONCE) return;
      if (this.#busy.has(runId)) continue;
      this.#pending.delete(runId);
      const work = this.#carry(runId).finally(() => {
        this.#busy.delete(runId);
        this.#pump();
        if (!this.#isMore || this.#pending.size > this.#pendingMax / 2) return;
        this.#isMore = false;
        this.#parts.hasRoom();
      });
      this.#busy.set(runId, { sinceMs, work });
    }
  }

  async #carry(runId: string): Promise<void> {
    const { carry, park, clock, target } = this.#parts;
    const { signal } = this.#stop;
    try {
      await carry(runId, (ask) => this.#reach(ask));
      this.#told = undefined;
      return;
    } catch (error) {
      if (signal.aborted) return;
      try {
        if (!(error instanceof ArpError)) throw error;
        const { status, wireCode, message } = error;
        if (status !== ABSENT) {
          await park(runId, message);
          this.#tell(
            `${status} ${wireCode}`,
            `the ${words(target)} refuses run ${runId}, which is parked: ${message}`,
          );
          return;
        }
        this.#isAway(message); // it has no place for what is new: the address is wrong
      } catch (failure) {
        const { message } = failure as Error; // of our own store, most likely
        this.#tell(message, `run ${runId} waits: ${message}`);
      }
    }
    await clock.sleep(this.#pauses.cap, signal);
    this.offer(runId);
  }

  async #reach<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    for (let pauseMs = this.#pauses.first; ; pauseMs = Math.min(this.#pauses.cap, pauseMs * 2)) {
      signal.throwIfAborted();
      try {
        const answer = await ask(signal);
        this.#isBack();
        return answer;
      } catch (error) {
        if (signal.aborted || !(error instanceof ArpError) || error.status === ABSENT) throw error;
        if (isRefusal(error)) {
          this.#isBack(); // that is an answer
          throw error;
        }
        this.#isAway(error.message);
      }
      await clock.sleep(pauseMs, signal);
    }
  }

  get #pendingMax(): number {
    return this.#parts.pendingMax ?? PENDING_MAX;
  }

  get #pauses(): { readonly first: number; readonly cap: number } {
    return this.#parts.pausesMs ?? PAUSES;
  }

  #tell(key: string, text: string): void {
    if (this.#told === key) return;
    this.#told = key;
    this.#parts.note(`mirror: ${text}`);
  }

  #isAway(reason: string): void {
    const { note, target } = this.#parts;
    if (this.#away === undefined)
      note(`mirror: runs wait for the ${words(target)}, which is asked again: ${reason}`);
    this.#away = reason;
  }

  #isBack(): void {
    const { note, target } = this.#parts;
    if (this.#away === undefined) return;
    this.#away = undefined;
    note(`mirror: the ${words(target)} answers again, and gets what it missed`);
  }
}

/** Whether the same would be refused again. A token that cannot be had says nothing of what was sent. */
function isRefusal({ status, wireCode, retryable }: ArpError): boolean {
  if (wireCode.startsWith('token_')) return false;
  return REFUSALS.includes(status) || (status === 502 && retryable === false);
}

function words(target: TargetName): string {
  return target.replace('_', ' ');
}
