/** Every metric that Reeve gives, as data: whoever measures names them, docs/observability.md lists them. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const LONG_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400];
const COMMIT_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const BYTES = [1024, 16_384, 262_144, 1_048_576, 16_777_216, 67_108_864, 268_435_456];
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

export interface MetricSpec {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

export const METRICS = {
  reeve_http_requests_total: {
    kind: 'counter',
    help: 'Requests that were answered, or left by their client (status 499)',
    labels: ['method', 'route', 'status'],
  },
  reeve_http_request_duration_seconds: {
    kind: 'histogram',
    help: 'From the headers of a request to the end of its answer',
    labels: ['method', 'route'],
    buckets: SECONDS,
  },
  reeve_http_requests_in_flight: { kind: 'gauge', help: 'Requests that are being answered', labels: [] },
  reeve_commands_total: {
    kind: 'counter',
    help: 'Commands to the run engine, by how they ended: ok, refused',
    labels: ['command', 'outcome'],
  },
  reeve_events_total: { kind: 'counter', help: 'Events that became durable', labels: [] },
  reeve_commit_batch_size: {
    kind: 'histogram',
    help: 'Commits of runs in one transaction with one sync',
    labels: [],
    buckets: SIZES,
  },
  reeve_commit_duration_seconds: {
    kind: 'histogram',
    help: 'One transaction, sync included',
    labels: [],
    buckets: COMMIT_SECONDS,
  },
  reeve_commit_conflicts_total: {
    kind: 'counter',
    help: 'Commits that another process had overtaken',
    labels: [],
  },
  reeve_commit_failures_total: { kind: 'counter', help: 'Transactions that the store refused', labels: [] },
  reeve_claims_total: { kind: 'counter', help: 'Leases that were taken', labels: [] },
  reeve_attempts_started_total: { kind: 'counter', help: 'Attempts that began', labels: ['executor'] },
  reeve_attempts_ended_total: {
    kind: 'counter',
    help: 'Attempts that ended, by outcome',
    labels: ['executor', 'outcome'],
  },
  reeve_attempt_duration_seconds: {
    kind: 'histogram',
    help: 'From the record that an attempt begins to the record of its end',
    labels: ['outcome'],
    buckets: LONG_SECONDS,
  },
  reeve_runs_created_total: { kind: 'counter', help: 'Runs that were created', labels: [] },
  reeve_runs_ended_total: { kind: 'counter', help: 'Runs that ended, by phase', labels: ['phase'] },
  reeve_queue_runnable: {
    kind: 'gauge',
    help: 'Work that could be claimed at once; counted up to 10000',
    labels: ['queue'],
  },
  reeve_queue_oldest_runnable_age_seconds: {
    kind: 'gauge',
    help: 'How long the oldest of it has been waiting; 0: none waits',
    labels: ['queue'],
  },
  reeve_queue_leased: {
    kind: 'gauge',
    help: 'Leases that workers hold; counted up to 10000',
    labels: ['queue'],
  },
  jarvas_run_duration_seconds: {
    kind: 'histogram',
    help: 'Runs of agents, from start to end as the agent tells it',
    labels: ['action', 'status'],
    buckets: LONG_SECONDS,
  },
  jarvas_runs_total: {
    kind: 'counter',
    help: 'Runs of agents that are over, by how they ended',
    labels: ['action', 'status', 'tenant'],
  },
  jarvas_artifact_bytes: {
    kind: 'histogram',
    help: 'Files that agents uploaded, bytes',
    labels: ['kind'],
    buckets: BYTES,
  },
  jarvas_tasks: { kind: 'gauge', help: 'Tasks for agents, by where they stand', labels: ['status'] },
  jarvas_task_requeues_total: {
    kind: 'counter',
    help: 'Tasks that were queued again since their agent was not heard of',
    labels: [],
  },
  jarvas_agents: { kind: 'gauge', help: 'Agents, by whether they are there', labels: ['state'] },
  jarvas_refusals_total: { kind: 'counter', help: 'Runs that agents refused, by reason', labels: ['reason'] },
  jarvas_redactions_total: {
    kind: 'counter',
    help: 'Secrets that were replaced in what came in',
    labels: ['type'],
  },
  jarvas_rollouts: { kind: 'gauge', help: 'Rollouts, by where they stand', labels: ['state'] },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof METRICS;
type Labels<Name extends MetricName> = Readonly<Record<(typeof METRICS)[Name]['labels'][number], string>>;
type NamesOf<Kind> = {
  [Name in MetricName]: (typeof METRICS)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];

/** Whoever measures is given one of these, or none. Nothing of it throws. */
export interface Meter {
  count<Name extends NamesOf<'counter'>>(name: Name, labels: Labels<Name>, by?: number): void;
  observe<Name extends NamesOf<'histogram'>>(name: Name, labels: Labels<Name>, value: number): void;
  set<Name extends NamesOf<'gauge'>>(name: Name, labels: Labels<Name>, value: number): void;
}
