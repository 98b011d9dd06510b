/** Which attempt a lease was given for, also once it is lost: the engine's events know (contract agents §2.2). */
import type { RunEvent } from '../../../../model/events.ts';
import type { RunStore } from '../../../../store/run-store.ts';
import { engineRunId } from '../../ids.ts';

export interface PastLease {
  readonly attempt: number;
  readonly agentId: string;
}

export interface LeaseHistory {
  /** Undefined: the run never had this lease. @throws ReeveError E_STORE_* */
  attemptOf(tenant: string, runId: string, leaseId: string): Promise<PastLease | undefined>;
}

const PAGE = 500;

/** A task's attempts begin with their leases, in one event each. */
export function leaseHistory(store: Pick<RunStore, 'events'>): LeaseHistory {
  return {
    async attemptOf(tenant, runId, leaseId) {
      for (let after = 0; ; ) {
        const page = await store.events(engineRunId(tenant, runId), after, PAGE, ['attempt_started']);
        for (const { body } of page) {
          const { event } = JSON.parse(body) as { readonly event: RunEvent };
          if (event.type === 'attempt_started' && event.lease?.leaseId === leaseId)
            return { attempt: event.attempt, agentId: event.lease.worker };
        }
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE) return undefined;
        after = last.seq;
      }
    },
  };
}
