import type { Command } from '../model/commands.ts';
import { ReeveError } from '../model/errors.ts';
import type { RunState } from '../model/state.ts';
import type { Engine, Executed } from './engine.ts';
import { LeaseKeeper, type HeldLease } from './lease-keeper.ts';

/**
 * One run in the hand of whoever holds a lease on it: the lease is the right to write (I4), and once it may have run out
 * nothing more is written.
 */
export class LeasedRun {
  readonly engine: Engine;
  readonly lease: HeldLease;
  readonly #keeper: LeaseKeeper;
  readonly #onChange: ((runId: string) => void) | undefined;
  #failure: Error | undefined;

  /** @param isClaimed Whether the lease came to be durable; never rejects. */
  constructor(
    { engine, onChange }: { engine: Engine; onChange?: (runId: string) => void },
    lease: HeldLease,
    isClaimed: Promise<boolean>,
    onLost: () => void,
  ) {
    this.engine = engine;
    this.lease = lease;
    this.#keeper = new LeaseKeeper(engine, lease, isClaimed, onLost);
    this.#onChange = onChange;
  }

  /** The run as this process last knew it. */
  peek(): RunState | undefined {
    return this.engine.peek(this.lease.runId);
  }

  /** The run as the store has it now. @throws ReeveError E_INVALID_INPUT_SCHEMA when it is gone; E_STORE_* */
  state(): Promise<RunState> {
    return this.engine.state(this.lease.runId);
  }

  /** Whether the lease surely holds at this instant. */
  holds(): boolean {
    return this.#keeper.holds();
  }

  isOurs(state: RunState): boolean {
    const node = state.nodes.get(this.lease.node);
    if (node === undefined) return true;
    return node.lease !== undefined && node.epoch === this.lease.epoch && !this.#isAnothers(state);
  }

  /** Of a claim that did not come about somebody else may have the epoch. */
  #isAnothers(state: RunState): boolean {
    const { node, leaseId } = this.lease;
    const held = state.nodes.get(node)?.lease ?? (node === state.spec.rootId ? state.rootLease : undefined);
    return held !== undefined && held.leaseId !== leaseId;
  }

  /**
   * Every write under our lease. None is made once it may have run out: what is under way is left for whoever takes over
   * to find. What is left of a composite that ended has no lease any more; who stops it says how it ended.
   */
  write(command: Command): Promise<Executed> {
    const id = 'node' in command ? command.node : undefined;
    const isLeftover = (): boolean => id !== undefined && this.peek()?.nodes.get(id)?.state === 'canceled';
    return this.engine.execute(
      this.lease.runId,
      command,
      (state) => isLeftover() || (this.#keeper.holds() && !this.#isAnothers(state)),
    );
  }

  /** Tells of what has just become durable. */
  tell(): void {
    this.#onChange?.(this.lease.runId);
  }

  /** Holds the run for a person, if it is running: nobody can go on with it as things are. */
  async hold(summary: string): Promise<void> {
    if (this.peek()?.standing.phase !== 'running') return;
    await this.write({ type: 'hold', hold: 'error', summary, reasonCodes: ['E_ADAPTER_FAIL'] });
    this.tell();
  }

  /** Being refused because the run moved on is how a driver learns of it; anything else stops the driving. */
  fail(error: unknown): void {
    if (!isOvertaken(error)) this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** What went wrong first. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Gives the lease back. @throws ReeveError E_STORE_* */
  async release(): Promise<void> {
    const { node, epoch } = this.lease;
    const state = await this.state();
    if (state.nodes.get(node)?.lease === undefined && state.rootLease?.epoch !== epoch) return;
    const seenMs = this.engine.clock.nowMs();
    try {
      await this.write({ type: 'release', node, epoch, cause: 'released', seenMs });
    } catch (error) {
      if (!isOvertaken(error)) throw error;
    }
    this.tell();
  }

  /** Renews the lease no more. */
  stop(): void {
    this.#keeper.stop();
  }
}

/** The run moved on under someone else, or to where this has no place any more. */
function isOvertaken(error: unknown): boolean {
  return error instanceof ReeveError && OVERTAKEN.includes(error.code);
}
const OVERTAKEN: readonly string[] = [
  'E_LEASE_CONFLICT',
  'E_INVALID_STATE_TRANSITION',
  'E_CHECKPOINT_APPROVAL_REQUIRED',
];
