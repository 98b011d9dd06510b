/** Who may touch a run (H33), or only the NodeRuns of one (H3). */
import { requireAccess } from '../../access.ts';
import type { Principal } from '../../../policy/auth/principal.ts';
import { ArpError } from '../wire/errors.ts';

export type Caller = Principal | undefined;

/** Inside of one process nobody is asked for a token. */
export const OURSELVES: Principal = {
  via: 'disabled',
  subject: undefined,
  claims: {},
  tenant: undefined,
  token: undefined,
};

interface Owned {
  readonly id: string;
  readonly tenant: string | undefined;
}

/** For what a composite executor does in its run. @throws HttpFailure 403 */
export function requireCallback(caller: Caller, run: Owned): void {
  if (caller?.run === undefined) return requireAccess(caller, { tenant: run.tenant });
  if (caller.run !== run.id)
    throw new ArpError(403, 'forbidden', 'the assignment is for another run than this');
}

/** @throws HttpFailure 403 */
export function requireOwner(caller: Caller, { tenant }: Pick<Owned, 'tenant'>, actor?: string): void {
  if (caller?.run !== undefined)
    throw new ArpError(403, 'forbidden', 'an assignment only opens the NodeRuns of its run');
  requireAccess(caller, { tenant, actor });
}
