/** PUT /runs/{run_id}/files/{path}: an agent uploads what a run produced (contract agents §2.2). */
import type { HttpReply, HttpRequest, Route } from '../../../http.ts';
import { AgentsFailure, conflict, invalidField, notFound } from '../../wire/errors.ts';
import { callerOf } from '../callers.ts';
import type { Caller, TaskBoard } from '../ports.ts';
import { chunkOf, digestOf, textOf } from './headers.ts';
import { tooLarge } from './intake.ts';
import type { LeaseHistory } from './lease-history.ts';
import { attemptIn, requirePath } from './paths.ts';
import type { RunFileStore } from './run-files.ts';

export interface PutRouteOptions {
  readonly files: RunFileStore;
  readonly board: Pick<TaskBoard, 'lease' | 'ofRun'>;
  readonly leases: LeaseHistory;
}

export const FILE_ROUTE = '/runs/{run_id}/files/{path*}';

export function putRoute(options: PutRouteOptions): Route {
  const { files } = options;
  return {
    method: 'PUT',
    path: FILE_ROUTE,
    operation: 'putRunFile',
    summary:
      'Uploads a file of a run, whole or, with Content-Range, in chunks in order. Needs X-Lease-Id and Digest: sha-256=… of the whole file.',
    body: 'bytes',
    bodyBytesMax: Number.MAX_SAFE_INTEGER, // bytes are counted as they arrive
    responses: {
      201: { description: 'The file is stored', schema: 'none' },
      204: {
        description: 'It was there, or chunks are missing: Upload-Offset says how many bytes are there',
        schema: 'none',
      },
    },
    async handle(request) {
      const caller = callerOf(request, 'agent');
      const { run_id: runId = '', path: name = '' } = request.params;
      const path = requirePath(name);
      const chunk = chunkOf(request.headers['content-range']);
      if (chunk !== undefined && !('from' in chunk)) {
        await admitted(options, caller, { runId, path, request });
        return progress(files.held(caller.tenant, runId, path));
      }
      const digest = digestOf(request.headers['digest']);
      const size = Number(textOf(request.headers['content-length']) || 0);
      if (size > files.fileBytesMax) throw tooLarge(files.fileBytesMax);
      const { attempt, guard } = await admitted(options, caller, { runId, path, request });
      const outcome = await files.put({
        tenant: caller.tenant,
        runId,
        attempt,
        path,
        bytes: request.bytes,
        digest,
        redact: true,
        actor: caller.actor,
        guard,
        ...(chunk === undefined ? {} : { range: chunk }),
      });
      if (outcome === 'partial') return progress(files.held(caller.tenant, runId, path));
      return { status: outcome === 'created' ? 201 : 204, empty: true };
    },
  };
}

function progress(held: number): HttpReply {
  return { status: 204, headers: { 'upload-offset': String(held) }, empty: true };
}

interface Asked {
  readonly runId: string;
  readonly path: string;
  readonly request: HttpRequest;
}

/**
 * Who holds the run's lease may write its files. Who held it once may still leave what there is of its own attempt, below
 * `attempts/<n>/`, and never overwrites the winner.
 * @throws AgentsFailure 404, 409, 422
 */
async function admitted(
  { board, leases }: PutRouteOptions,
  caller: Caller,
  { runId, path, request }: Asked,
): Promise<{ readonly attempt: number; guard(): void }> {
  const leaseId = textOf(request.headers['x-lease-id']);
  if (leaseId === '') throw invalidField('X-Lease-Id', 'is missing');
  const { tenant, actor } = caller;
  const below = attemptIn(path);
  const holds = (): number | undefined => {
    const live = board.lease(tenant, runId);
    return live?.leaseId === leaseId && live.agentId === actor ? live.attempt : undefined;
  };
  const now = holds();
  if (now !== undefined && (below === undefined || below === now)) {
    const guard = (): void => {
      if (below === undefined && holds() === undefined) throw leaseLost(runId, now);
    };
    return { attempt: now, guard };
  }
  if ((await board.ofRun(tenant, runId)) === undefined) throw notFound('run', runId);
  const past =
    now === undefined ? await leases.attemptOf(tenant, runId, leaseId) : { attempt: now, agentId: actor };
  if (past === undefined || past.agentId !== actor)
    throw new AgentsFailure(409, 'lease_lost', 'this lease is not one of yours for this run', {
      run_id: runId,
    });
  if (below === undefined) throw leaseLost(runId, past.attempt);
  if (below !== past.attempt)
    throw conflict('lease_lost', `this lease was for attempt ${past.attempt}`, { attempt: past.attempt });
  return { attempt: past.attempt, guard: () => undefined };
}

function leaseLost(runId: string, attempt: number): AgentsFailure {
  const place = `attempts/${attempt}/`;
  return conflict('lease_lost', `the lease does not hold any more; only files below ${place} are taken`, {
    run_id: runId,
    place,
  });
}
