import { limitsFrom as limitsOf } from '../../doors/jobs/limits.ts';
import type { Limits } from '../../model/budget.ts';
import type { Flags } from '../command.ts';

/** The limits that were given; undefined when none was. 0 takes a limit away. */
export function limitsFrom(flags: Flags): Limits | undefined {
  return limitsOf((name) => flags.number(name.replaceAll('_', '-')));
}
