/** Looking at jobs. */
import { CHECKPOINT_SCHEMA, STATUS_RESPONSE_SCHEMA } from './response-schemas.ts';
import type { HttpReply, HttpRequest, Route } from '../http.ts';
import { idIn, jobIn, orNotFound } from './http-input.ts';
import { EVENT_PAGE, JOB_PAGE, JOB_VIEW } from './http-schemas.ts';
import { runSpecOf, type Jobs } from './jobs.ts';
import { lineOf, projectionOf } from './lines.ts';
import { parseStatus, STATUSES } from './map.ts';
import { listCheckpoints, listJobs, showCheckpoint, statusResponse } from './read.ts';
import type { ServiceOf } from './http-service.ts';
import { formatTime } from './time.ts';
import { JobViewer, type JobView } from './view.ts';

const EVENTS_MAX = 1000;
const EVENTS_DEFAULT = 200;
const JOBS_MAX = 500;
const JOBS_DEFAULT = 50;

export function readingRoutes(service: ServiceOf): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/jobs',
      operation: 'listJobs',
      summary: 'A page of jobs, newest first.',
      query: {
        status: {
          description: 'Only jobs with this status; may be repeated.',
          schema: { type: 'array', items: { type: 'string', enum: STATUSES } },
        },
        limit: {
          description: 'Jobs on a page.',
          schema: { type: 'integer', minimum: 1, maximum: JOBS_MAX, default: JOBS_DEFAULT },
        },
        cursor: {
          description: 'The next_cursor of the page before.',
          schema: { type: 'string', maxLength: 100 },
        },
      },
      responses: { 200: { description: 'The page.', schema: JOB_PAGE } },
      handle: (request) => page(service().jobs, request),
    },
    {
      method: 'GET',
      path: '/v1/jobs/{job_id}',
      operation: 'viewJob',
      summary: 'A job at a glance: steps, checkpoints, budget, who works on it.',
      responses: { 200: { description: 'The job.', schema: JOB_VIEW } },
      async handle(request) {
        const { id } = await jobIn(service().jobs, request);
        return { json: viewJson(await new JobViewer(service().jobs, id).refresh()) };
      },
    },
    {
      method: 'GET',
      path: '/v1/jobs/{job_id}:status',
      operation: 'jobStatus',
      summary: 'How a job stands.',
      responses: { 200: { description: 'Its status.', schema: STATUS_RESPONSE_SCHEMA } },
      async handle(request) {
        const { id } = await jobIn(service().jobs, request);
        return { json: await statusResponse(service().jobs, id) };
      },
    },
    {
      method: 'GET',
      path: '/v1/jobs/{job_id}/checkpoints',
      operation: 'listCheckpoints',
      summary: 'The checkpoints of a job, in order.',
      responses: {
        200: { description: 'All of them.', schema: { type: 'array', items: CHECKPOINT_SCHEMA } },
      },
      async handle(request) {
        const { id } = await jobIn(service().jobs, request);
        return { json: await listCheckpoints(service().jobs, id) };
      },
    },
    {
      method: 'GET',
      path: '/v1/jobs/{job_id}/checkpoints/{checkpoint_id}',
      operation: 'showCheckpoint',
      summary: 'One checkpoint.',
      responses: { 200: { description: 'The checkpoint.', schema: CHECKPOINT_SCHEMA } },
      async handle(request) {
        const checkpoint = idIn(request, 'checkpoint_id');
        const { id } = await jobIn(service().jobs, request);
        return { json: await orNotFound(() => showCheckpoint(service().jobs, id, checkpoint)) };
      },
    },
    {
      method: 'GET',
      path: '/v1/jobs/{job_id}/events',
      operation: 'listEvents',
      summary: "A page of a job's events, in order, as lines of its log.",
      query: {
        after: {
          description: 'Only events with a greater number.',
          schema: { type: 'integer', minimum: 0, default: 0 },
        },
        limit: {
          description: 'Events on a page.',
          schema: { type: 'integer', minimum: 1, maximum: EVENTS_MAX, default: EVENTS_DEFAULT },
        },
      },
      responses: { 200: { description: 'The page.', schema: EVENT_PAGE } },
      handle: (request) => eventPage(service().jobs, request),
    },
  ];
}

async function page(jobs: Jobs, { query }: HttpRequest): Promise<HttpReply> {
  const { status = [], limit = JOBS_DEFAULT, cursor } = query;
  const found = await listJobs(jobs, {
    statuses: (status as readonly string[]).map(parseStatus),
    limit: Number(limit),
    ...(typeof cursor === 'string' ? { cursor } : {}),
  });
  return { json: found };
}

async function eventPage(jobs: Jobs, request: HttpRequest): Promise<HttpReply> {
  const { after = 0, limit = EVENTS_DEFAULT } = request.query;
  const { id, version } = await jobIn(jobs, request);
  const projection = projectionOf(id, await runSpecOf(jobs, id), jobs.version);
  const recorded = await jobs.engine.events(id, Number(after), Number(limit));
  const last = recorded.at(-1)?.seq ?? version;
  return {
    json: {
      job_id: id,
      events: recorded.map((event) => lineOf(event, projection)),
      ...(last < version ? { next_after: last } : {}),
    },
  };
}

function viewJson(view: JobView) {
  const { worker } = view;
  const amounts = (of: 'used' | 'limit') =>
    Object.fromEntries(
      view.budget.flatMap(({ key, ...amount }) => {
        const value = amount[of];
        const [name, unit] = UNITS[key];
        return value === undefined ? [] : [[name, value / unit]];
      }),
    );
  return {
    job_id: view.jobId,
    name: view.name,
    status: view.status,
    summary: view.summary,
    version: view.version,
    created_at: formatTime(view.createdAtMs),
    updated_at: formatTime(view.updatedAtMs),
    running_seconds: view.runningMs / 1000,
    steps: view.steps.map((step) => ({
      index: step.index,
      name: step.name,
      state: step.state,
      attempts: step.attempts,
      awaits_approval: step.awaitsApproval,
      ...(step.startedAtMs === undefined ? {} : { started_at: formatTime(step.startedAtMs) }),
      ...(step.endedAtMs === undefined ? {} : { ended_at: formatTime(step.endedAtMs) }),
      ...(step.lastOutcome === undefined ? {} : { outcome: step.lastOutcome }),
      ...(step.exitCode === undefined ? {} : { exit_code: step.exitCode }),
    })),
    checkpoints: view.checkpoints.map(({ id, type, summary, atMs, approvedBy }) => ({
      checkpoint_id: id,
      type,
      summary,
      created_at: formatTime(atMs),
      ...(approvedBy === undefined ? {} : { approved_by: approvedBy }),
    })),
    open_decisions: view.openDecisions,
    usage: amounts('used'),
    limits: amounts('limit'),
    reason_codes: view.reasonCodes,
    ...(worker === undefined
      ? {}
      : { worker: { worker_id: worker.name, lease_expires_at: formatTime(worker.untilMs) } }),
  };
}

/** Names of wrkr's budgets, and how many of our units make one of theirs. */
const UNITS = {
  wallMs: ['wall_time_seconds', 1000],
  retries: ['retry_count', 1],
  steps: ['step_count', 1],
  toolCalls: ['tool_call_count', 1],
  tokens: ['tokens', 1],
  costMicros: ['estimated_cost', 1_000_000],
} as const satisfies Record<JobView['budget'][number]['key'], readonly [string, number]>;
