/** Making jobs and deciding about them. */
import type { HttpReply, HttpRequest, Route } from '../http.ts';
import { HttpFailure } from '../http.ts';
import { ReeveError } from '../../model/errors.ts';
import { approve, cancel, pause } from './control.ts';
import { jobIn, pathIn, refuseDots } from './http-input.ts';
import {
  APPROVE_REQUEST,
  CONTROL_REQUEST,
  RESUME_REQUEST,
  RESUME_RESULT,
  STATE,
  SUBMIT_REQUEST,
  SUBMIT_RESULT,
} from './http-schemas.ts';
import { limitsFrom } from './limits.ts';
import { APPROVAL_RECORD_SCHEMA } from './response-schemas.ts';
import { resumeResult, submitResult } from './results.ts';
import type { JobService, ServiceOf } from './http-service.ts';

const WAIT: NonNullable<Route['query']> = {
  wait: {
    description: 'false: answer 202 at once; the job runs in the background.',
    schema: { type: 'boolean', default: true },
  },
};

interface Who {
  readonly approved_by?: string;
  readonly reason?: string;
}

export function steeringRoutes(service: ServiceOf): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/jobs:submit',
      operation: 'submitJob',
      summary: 'Create a job from a spec file and run it until it completes or stops.',
      query: WAIT,
      body: { schema: SUBMIT_REQUEST, required: true },
      responses: {
        200: { description: 'The job completed, or waits for somebody.', schema: SUBMIT_RESULT },
        202: { description: 'The job is durable and runs in the background.', schema: SUBMIT_RESULT },
      },
      handle: (request) => submitJob(service(), request),
    },
    {
      method: 'POST',
      path: '/v1/jobs/{job_id}:approve',
      operation: 'approveCheckpoint',
      summary: 'Approve a decision.',
      body: { schema: APPROVE_REQUEST, required: true },
      responses: { 200: { description: 'The approval on record.', schema: APPROVAL_RECORD_SCHEMA } },
      handle: (request) => approveJob(service(), request),
    },
    {
      method: 'POST',
      path: '/v1/jobs/{job_id}:resume',
      operation: 'resumeJob',
      summary: 'Go on with a job at its cursor: finished steps never run again.',
      query: WAIT,
      body: { schema: RESUME_REQUEST, required: false },
      responses: {
        200: { description: 'The job completed, or waits for somebody.', schema: RESUME_RESULT },
        202: { description: 'The job runs in the background.', schema: RESUME_RESULT },
      },
      handle: (request) => resumeJob(service(), request),
    },
    control('pause', 'Mark a job paused: the step in flight finishes and the next does not start.', pause),
    control('cancel', 'Mark a job canceled and stop whatever of it still runs.', cancel),
  ];

  function control(verb: 'pause' | 'cancel', summary: string, act: typeof pause): Route {
    return {
      method: 'POST',
      path: `/v1/jobs/{job_id}:${verb}`,
      operation: `${verb}Job`,
      summary,
      body: { schema: CONTROL_REQUEST, required: false },
      responses: { 200: { description: 'The state of the job.', schema: STATE } },
      async handle(request) {
        const { id } = await jobIn(service().jobs, request);
        const body = (request.body ?? {}) as Who;
        return { json: await act(service().jobs, id, actorOf(service(), request, body), body.reason) };
      },
    };
  }
}

async function submitJob({ jobs, runner }: JobService, request: HttpRequest): Promise<HttpReply> {
  const { jobspec_path: path, job_id: jobId } = request.body as { jobspec_path: string; job_id?: string };
  if (jobId !== undefined) refuseDots('job_id', jobId);
  const specPath = await pathIn('jobspec_path', path, jobs.surroundings.cwd);
  const submitted = await runner.submit(specPath, jobId);
  if (request.query['wait'] === false) return { status: 202, json: submitResult(submitted) };
  const { stopped, error, state } = await runner.follow(submitted.jobId, request.signal);
  if (error !== undefined) throw error;
  return { status: stopped ? 200 : 202, json: submitResult({ ...submitted, state }) };
}

async function approveJob(service: JobService, request: HttpRequest): Promise<HttpReply> {
  const { jobs } = service;
  const { id } = await jobIn(jobs, request);
  const body = request.body as { checkpoint_id: string; reason: string; binds?: string } & Who;
  requireName(service, request, 'approves');
  const { checkpoint_id: checkpoint, reason, binds } = body;
  refuseDots('checkpoint_id', checkpoint);
  const record = await approve(jobs, {
    jobId: id,
    checkpoint,
    by: actorOf(service, request, body),
    reason,
    ...(binds === undefined ? {} : { binds }),
  });
  return { json: record };
}

interface ResumeBody extends Who {
  readonly force_env?: boolean;
  readonly takeover?: boolean;
  readonly mark_done?: readonly string[];
  readonly [limit: string]: unknown;
}

async function resumeJob(service: JobService, request: HttpRequest): Promise<HttpReply> {
  const { jobs, runner } = service;
  const { id } = await jobIn(jobs, request);
  const body = (request.body ?? {}) as ResumeBody;
  const { force_env: force = false, takeover, mark_done: markDone = [], reason } = body;
  const limits = limitsFrom((name) => body[name] as number | undefined);
  const decides = force ? 'force_env' : markDone.length > 0 ? 'mark_done' : undefined;
  if (decides !== undefined && (reason ?? '').trim() === '')
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${decides} needs a reason`, { field: '/reason' });
  if (decides !== undefined || limits !== undefined) requireName(service, request, 'decides');
  await runner.resume({
    jobId: id,
    resume: {
      by: actorOf(service, request, body),
      force,
      ...(reason === undefined ? {} : { reason }),
      ...(limits === undefined ? {} : { limits }),
    },
    takeover: takeover === true ? 'told' : takeover === undefined ? 'proven' : undefined,
    markDone,
  });
  if (request.query['wait'] === false)
    return { status: 202, json: await resumeResult(jobs, await jobs.engine.state(id)) };
  const { stopped, error, state } = await runner.follow(id, request.signal);
  if (error !== undefined) throw error;
  return { status: stopped ? 200 : 202, json: await resumeResult(jobs, state) };
}

/** Where callers are known, nobody else decides. @throws HttpFailure 403 */
function requireName({ namedCallers }: JobService, { caller }: HttpRequest, what: string): void {
  if (!namedCallers || caller !== undefined) return;
  throw new HttpFailure(
    403,
    'E_UNSAFE_OPERATION',
    `nobody knows who ${what}: use a token that says whose it is`,
    { header: 'authorization' },
  );
}

/** The token's owner; a name that the request gives itself counts only where callers are not known. */
function actorOf(
  { namedCallers, defaultActor }: JobService,
  { caller, principal }: HttpRequest,
  body: Who,
): string {
  if (caller !== undefined) return caller;
  if (namedCallers)
    return principal === undefined ? 'shared token' : (principal.subject ?? 'token without a name');
  const given = body.approved_by?.trim() ?? '';
  return given === '' ? defaultActor : given;
}
