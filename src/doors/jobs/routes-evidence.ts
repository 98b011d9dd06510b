/** What a job leaves behind, and what is thought of it. */
import { open } from 'node:fs/promises';
import { verifyJobpack } from '../../evidence/verify.ts';
import type { HttpReply, HttpRequest, Route } from '../http.ts';
import { HttpFailure } from '../http.ts';
import { ReeveError } from '../../model/errors.ts';
import { acceptJob, AcceptInterrupted } from './accept.ts';
import { jobIn, pathIn } from './http-input.ts';
import {
  ACCEPT_REQUEST,
  ACCEPT_RESPONSE,
  EXPORT_RESULT,
  OUT_DIR_REQUEST,
  REPORT_RESULT,
  VERIFY_RESULT,
} from './http-schemas.ts';
import { exportJob, jobpackPath } from './pack.ts';
import { reportGithub } from './report-github.ts';
import { exportResult, verifyResult } from './results.ts';
import type { JobService, ServiceOf } from './http-service.ts';

export function evidenceRoutes(service: ServiceOf): readonly Route[] {
  const outDirBody = { schema: OUT_DIR_REQUEST, required: false };
  return [
    {
      method: 'POST',
      path: '/v1/jobs/{job_id}:export',
      operation: 'exportJob',
      summary: "Write the job's evidence to one file.",
      body: outDirBody,
      responses: { 200: { description: 'The pack that was written.', schema: EXPORT_RESULT } },
      async handle(request) {
        const { id } = await jobIn(service().jobs, request);
        const outDir = await outDirOf(service(), request);
        return { json: exportResult(await exportJob(service().jobs, id, { outDir })) };
      },
    },
    {
      method: 'GET',
      path: '/v1/jobs/{job_id}:jobpack',
      operation: 'downloadJobpack',
      summary: 'The pack that was exported last to the default place.',
      responses: { 200: { description: 'The file.', type: 'application/zip' } },
      handle: (request) => download(service(), request),
    },
    {
      method: 'POST',
      path: '/v1/jobs/{job_id}:verify',
      operation: 'verifyJob',
      summary: 'Verify the pack that was exported; exports nothing.',
      body: outDirBody,
      responses: { 200: { description: 'It is what its events say.', schema: VERIFY_RESULT } },
      async handle(request) {
        const { id } = await jobIn(service().jobs, request);
        const outDir = await outDirOf(service(), request);
        return { json: verifyResult(await verifyJobpack(jobpackPath(outDir, id))) };
      },
    },
    {
      method: 'POST',
      path: '/v1/jobs/{job_id}:accept',
      operation: 'acceptJob',
      summary: 'Check whether the work is as its owner wants it. A failed check is an answer, not an error.',
      body: { schema: ACCEPT_REQUEST, required: true },
      responses: { 200: { description: 'What the checks found.', schema: ACCEPT_RESPONSE } },
      handle: (request) => accept(service(), request),
    },
    {
      method: 'POST',
      path: '/v1/jobs/{job_id}:report-github',
      operation: 'reportGithub',
      summary: 'Export the job and write its summary for a pull request.',
      body: outDirBody,
      responses: { 200: { description: 'The summary that was written.', schema: REPORT_RESULT } },
      async handle(request) {
        const { jobs } = service();
        const { id } = await jobIn(jobs, request);
        const outDir = await outDirOf(service(), request);
        return { json: await reportGithub(jobs, { jobId: id }, { outDir, env: jobs.surroundings.env }) };
      },
    },
  ];
}

async function outDirOf({ jobs, outDir }: JobService, { body }: HttpRequest): Promise<string> {
  const { out_dir: given } = (body ?? {}) as { out_dir?: string };
  if (given === undefined) return outDir;
  return pathIn('out_dir', given, jobs.surroundings.cwd, ['jobpacks', 'reports']);
}

/** Its commands end with the server, not with the request that asked for them. */
async function accept({ jobs, outDir, stopping }: JobService, request: HttpRequest): Promise<HttpReply> {
  const { id } = await jobIn(jobs, request);
  const { config_path: given } = request.body as { config_path?: string };
  const { cwd, env } = jobs.surroundings;
  const configPath = given === undefined ? undefined : await pathIn('config_path', given, cwd);
  try {
    const { config_path, accept_result_path, accept_result, checks } = await acceptJob(jobs, id, {
      outDir,
      cwd,
      env,
      signal: stopping,
      ...(configPath === undefined ? {} : { configPath }),
    });
    return { json: { config_path, accept_result_path, accept_result, checks } };
  } catch (error) {
    if (!(error instanceof AcceptInterrupted)) throw error;
    throw new ReeveError(
      'E_SERVER_STOPPING',
      'the server stopped before the last check ended; nothing was recorded',
      {
        job_id: id,
      },
    );
  }
}

async function download({ jobs, outDir }: JobService, request: HttpRequest): Promise<HttpReply> {
  const { id } = await jobIn(jobs, request);
  const path = jobpackPath(outDir, id);
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new HttpFailure(404, 'E_INVALID_INPUT_SCHEMA', `job ${id} has no pack yet: export it first`, {
      job_id: id,
    });
  });
  // A pack is replaced, never changed: an open one stays whole whatever is exported meanwhile.
  const found = await file.stat();
  if (!found.isFile()) {
    await file.close();
    throw new HttpFailure(404, 'E_INVALID_INPUT_SCHEMA', `${path} is no pack`, { job_id: id, path });
  }
  const { size } = found;
  return {
    type: 'application/zip',
    headers: {
      'content-length': String(size),
      'content-disposition': `attachment; filename="jobpack_${id}.zip"`,
    },
    stream: file.createReadStream(),
  };
}
