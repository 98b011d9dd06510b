/** Jobs of a campaign: each from its number and the seed, of steps of every sort. */
import { Random } from '../../simulation/random.ts';

export interface PlannedJob {
  readonly id: string;
  readonly spec: object;
  /** Somebody cancels it about this long after it was submitted, milliseconds. */
  readonly cancelAfterMs?: number;
}

const SORTS = { quick: 4, slow: 3, block: 3, fork: 2, loud: 2, retry: 1, decision: 1, look: 1 } as const;

/** @param script defines `note` (ledger.ts) */
export function planJob(seed: number, number: number, script: string): PlannedJob {
  const random = new Random(seed, 'job', number);
  const length = random.oneIn(8) ? random.int(8, 14) : random.int(2, 5);
  const steps = Array.from({ length }, (_, at) => stepOf(random, at, script));
  const isParallel = random.oneIn(3);
  const spec = {
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: '2026-01-01T00:00:00Z',
    producer_version: 'test',
    name: 'under-fire',
    objective: 'be done once, whatever is killed',
    inputs: { steps },
    expected_artifacts: [],
    adapter: { name: 'reference', ...(isParallel ? { config: { max_parallel: 2 } } : {}) },
    budgets: {
      max_wall_time_seconds: 100_000,
      max_retries: 10_000,
      max_step_count: 10_000,
      max_tool_calls: 10_000,
    },
    checkpoint_policy: { min_interval_seconds: 1, required_types: [] },
    environment_fingerprint: { rules: ['os', 'arch'] },
  };
  const id = `fire-${seed}-${number}`;
  return random.oneIn(12) ? { id, spec, cancelAfterMs: random.int(0, 2500) } : { id, spec };
}

function stepOf(random: Random, at: number, script: string): object {
  const sort = random.weighed(SORTS);
  const id = `${sort}${at}`;
  const nap = (): string => `sleep 0.${random.int(5, 25).toString().padStart(2, '0')}`;
  const command = (text: string): string => `. '${script}'; ${text}`;
  switch (sort) {
    case 'quick':
      return { id, command: command('note') };
    case 'slow':
      return { id, command: command(`${nap()}; note; ${nap()}`) };
    case 'block': // a person has to look before it may run again
      return { id, command: command(`${nap()}; note; ${nap()}`), on_interrupt: 'block' };
    case 'fork': // the effect is a grandchild's
      return { id, command: command(`(${nap()}; note; ${nap()}) & wait $!`) };
    case 'loud': // fills its event, or a blob beside it: long jobs get snapshots
      return {
        id,
        command: command(`note; head -c ${random.pick([12_000, 40_000])} /dev/zero | tr '\\0' x`),
      };
    case 'retry': // its first attempt fails after its effect
      return {
        id,
        command: command(`note; case $REEVE_EFFECT_KEY in *.1) exit 1;; esac`),
        retries: 5,
      };
    case 'decision':
      return { id, command: command('note'), decision_needed: true };
    case 'look':
      return { id, summary: 'go on?', decision_needed: true };
  }
}
