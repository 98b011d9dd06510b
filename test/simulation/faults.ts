/** What goes wrong, decided beforehand from the seed: a list, so that a failure can be replayed with parts of it. */
import type { Mood } from './moods.ts';
import { Random } from './random.ts';

/** A kind of call that a process makes to the world outside of it. */
export type CallKind = 'commit' | 'load' | 'loadSnapshot' | 'read' | 'renew' | 'blob' | 'executor' | 'turn';

const STORE: readonly CallKind[] = ['commit', 'load', 'loadSnapshot', 'read', 'renew', 'blob'];
const OUT: readonly CallKind[] = [...STORE, 'executor'];
const ANY: readonly CallKind[] = [...OUT, 'turn'];

/** Each kind of fault, how often, and at which calls it can happen. */
const KINDS = {
  /** The process is gone before the call takes effect. */
  crashBefore: { weight: 10, at: ANY },
  /** The call takes effect and nobody hears of it. */
  crashAfter: { weight: 12, at: ANY },
  /** The call fails and has no effect. */
  errorBefore: { weight: 8, at: STORE },
  /** The call has its effect, and its answer is an error. */
  errorAfter: { weight: 10, at: ['commit', 'renew', 'blob'] },
  /** The call takes effect late; the process goes on with other things. */
  late: { weight: 10, at: OUT },
  /** It takes effect at once, and the answer comes late. */
  slowAnswer: { weight: 8, at: OUT },
  /** It takes effect a second time, later. */
  twice: { weight: 6, at: ['commit', 'renew'] },
  /** SIGSTOP in the middle of the call, and SIGCONT later. */
  stopBefore: { weight: 9, at: ANY },
  /** SIGSTOP after the call took effect. */
  stopAfter: { weight: 7, at: ANY },
  /** The process's clock jumps forward. */
  clockJump: { weight: 5, at: ANY },
  /** The snapshot that is read is torn. */
  tornSnapshot: { weight: 6, at: ['loadSnapshot'] },
  /** The executor fails before it does anything. */
  executorError: { weight: 8, at: ['executor'] },
  /** The executor does what it was asked, and fails. */
  executorErrorAfter: { weight: 7, at: ['executor'] },
  /** The executor loses its record of the effect that the call is about: it can only say `unknown` from now on. */
  recordLost: { weight: 6, at: ['executor'] },
  /** The process is asked to stop (SIGTERM). */
  terminate: { weight: 4, at: ANY },
} as const satisfies Record<string, { weight: number; at: readonly CallKind[] }>;

export type FaultKind = keyof typeof KINDS;

export interface Fault {
  readonly id: string;
  /** Which process, over all its lives. */
  readonly slot: string;
  /** Happens at the first fitting call from this one on. */
  readonly call: number;
  readonly kind: FaultKind;
  /** How long, where that has a meaning; also chooses between variants. Milliseconds. */
  readonly ms: number;
  /** Of a crash: whether what the process started dies with it. */
  readonly flag: boolean;
}

const WEIGHTS = Object.fromEntries(
  Object.entries(KINDS).map(([kind, { weight }]) => [kind, weight]),
) as Record<FaultKind, number>;

export function planFaults(seed: number, slots: readonly string[], mood: Mood): Fault[] {
  const random = new Random(seed, 'faults');
  const count = random.oneIn(12) ? 0 : random.int(...mood.faults);
  const weights = { ...WEIGHTS, ...mood.faultWeights };
  return Array.from({ length: count }, (_, at): Fault => {
    const kind = random.weighed(weights);
    const long = random.oneIn(3);
    return {
      id: `f${at}`,
      slot: random.pick(slots),
      call: random.oneIn(2) ? random.int(1, 60) : random.int(1, mood.callsMax),
      kind,
      ms: long ? random.int(20_000, 90_000) : random.int(1, 3000),
      flag: random.oneIn(3),
    };
  }).toSorted((a, b) => a.call - b.call);
}

/** The faults that still wait for their call. */
export class FaultPlan {
  readonly #waiting: Fault[];
  /** Of each slot, calls so far. */
  readonly #calls = new Map<string, number>();
  #isHealed = false;
  fired = 0;

  constructor(faults: readonly Fault[]) {
    this.#waiting = [...faults];
  }

  /** Nothing goes wrong any more. */
  heal(): void {
    this.#isHealed = true;
  }

  /** The fault of this call, if one is due. */
  take(slot: string, kind: CallKind): Fault | undefined {
    const call = (this.#calls.get(slot) ?? 0) + 1;
    this.#calls.set(slot, call);
    if (this.#isHealed) return undefined;
    const at = this.#waiting.findIndex(
      (fault) =>
        fault.slot === slot &&
        fault.call <= call &&
        (KINDS[fault.kind].at as readonly CallKind[]).includes(kind),
    );
    if (at < 0) return undefined;
    this.fired += 1;
    return this.#waiting.splice(at, 1)[0];
  }
}
