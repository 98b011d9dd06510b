/** A rollout as it is kept: as it was asked for, with every default in its place (contract agents §7). */
import type { Criteria as AskedCriteria, NewRollout } from '../../wire/rollouts.ts';

export type Criteria = AskedCriteria &
  Required<
    Pick<AskedCriteria, 'min_success_rate' | 'max_failures' | 'bake_s' | 'deadline_s' | 'skipped_counts_as'>
  >;
export type HealthGate = NonNullable<AskedCriteria['health_gate']>;
export type RolloutTarget = NewRollout['target'];

type Defaulted =
  | 'action'
  | 'args'
  | 'canary'
  | 'batch_size'
  | 'auto_abort'
  | 'auto_promote'
  | 'environment'
  | 'tenant';

export interface RolloutSpec
  extends Required<Pick<NewRollout, Defaulted>>,
    Omit<NewRollout, Defaulted | 'criteria' | 'start'> {
  readonly criteria: Criteria;
}

/**
 * `bake_s`: how long to wait after the last task before looking. `deadline_s`: from the start of the canary, and again
 * from that of the promotion; time in pause does not count.
 */
export const CRITERIA_DEFAULTS = {
  min_success_rate: 1,
  max_failures: 0,
  bake_s: 0,
  deadline_s: 3600,
  skipped_counts_as: 'ignore',
} as const satisfies Criteria;

export function rolloutSpec(request: NewRollout, tenant: string): RolloutSpec {
  const { start: _, ...given } = request;
  return {
    args: {},
    batch_size: '25%',
    auto_abort: true,
    auto_promote: false,
    environment: 'staging',
    action: request.skill?.name ?? 'rollout',
    ...given,
    canary: request.canary ?? { percent: 10 },
    criteria: { ...CRITERIA_DEFAULTS, ...request.criteria },
    tenant,
  };
}

/** What there may be one unfinished rollout of, per environment: the skill whatever its version, or the very command. */
export function subjectOf({ skill, command, environment }: RolloutSpec): string {
  return JSON.stringify([environment, skill?.name ?? command ?? null]);
}
