/**
 * What a world is like. Most are ordinary; the others have more of one thing, so that what takes two mishaps at one place
 * comes about within few worlds.
 */
import type { FaultKind } from './faults.ts';
import { Random } from './random.ts';
import type { DEEDS } from './workload.ts';

export interface Mood {
  readonly name: string;
  /** How many faults, least and most. */
  readonly faults: readonly [number, number];
  /** Weights of faults that are not the usual ones. */
  readonly faultWeights: Partial<Record<FaultKind, number>>;
  /** The largest number of a process's call at which most faults wait. */
  readonly callsMax: number;
  /** How many things people do beside creating runs, least and most. */
  readonly deeds: readonly [number, number];
  /** Weights of deeds that are not the usual ones. */
  readonly deedWeights: Partial<Record<keyof typeof DEEDS, number>>;
  /** How long a lease holds, milliseconds. */
  readonly ttlMs: number;
  /** Whether steps have much output; by chance where undefined. */
  readonly isFat?: boolean;
  /** Share of nodes that are plans; steps with decisions after them, of a hundred. */
  readonly nested: number;
  readonly decisions: number;
  /** Of a hundred, steps that take seconds. */
  readonly slow: number;
}

const ORDINARY: Mood = {
  name: 'ordinary',
  faults: [1, 14],
  faultWeights: {},
  callsMax: 250,
  deeds: [2, 22],
  deedWeights: {},
  ttlMs: 30_000,
  nested: 0.14,
  decisions: 12,
  slow: 22,
};

const MOODS: Readonly<Record<string, readonly [share: number, mood: Partial<Mood>]>> = {
  ordinary: [40, {}],
  /** Everything goes wrong all the time. */
  rough: [12, { faults: [14, 45], deeds: [10, 40] }],
  /** Leases are short and workers sleep: runs change hands, and the one before wakes up. */
  sleepy: [
    16,
    {
      faults: [8, 30],
      faultWeights: {
        stopBefore: 40,
        stopAfter: 40,
        late: 25,
        slowAnswer: 20,
        crashAfter: 6,
        crashBefore: 6,
      },
      ttlMs: 6000,
      slow: 50,
      deedWeights: { stale: 20, pause: 4, cancel: 8 },
    },
  ],
  /** Outputs are large, snapshots are written, and processes forget or read them torn. */
  fat: [
    12,
    {
      isFat: true,
      faults: [4, 20],
      faultWeights: { tornSnapshot: 80, crashAfter: 20 },
      deeds: [10, 40],
      deedWeights: { forget: 40, look: 20, cancel: 1 },
    },
  ],
  /** People do much at once, from several processes. */
  busy: [
    10,
    {
      deeds: [40, 90],
      deedWeights: { forget: 8, look: 8, record: 20, checkpoint: 12, stale: 12, cancel: 1 },
      faults: [1, 10],
      faultWeights: { late: 30, slowAnswer: 30 },
    },
  ],
  /** Composites in composites, with decisions inside. */
  careful: [
    10,
    { nested: 0.5, decisions: 40, deeds: [10, 40], deedWeights: { approve: 30, settle: 12, early: 12 } },
  ],
};

export function moodOf(seed: number): Mood {
  const shares = Object.fromEntries(Object.entries(MOODS).map(([name, [share]]) => [name, share]));
  const name = new Random(seed, 'mood').weighed(shares);
  return { ...ORDINARY, ...MOODS[name]?.[1], name };
}
