/** The words a job's status can be (contract wrkr §c). */
export const STATUSES = [
  'queued',
  'running',
  'paused',
  'blocked_decision',
  'blocked_budget',
  'blocked_error',
  'completed',
  'canceled',
] as const;
