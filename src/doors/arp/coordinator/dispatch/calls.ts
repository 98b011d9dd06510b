/** How NodeRuns reach their executors: each attempt is one call (contract arp §4.7). */
import type { Call, CallEnd } from '../../../../executors/call-executor.ts';
import type { NodeWork, RuntimeError } from '../../../../engine/executor.ts';
import type { JsonObject } from '../../../../model/json.ts';
import { ReeveError } from '../../../../model/errors.ts';
import { withContext, type RequestContext } from '../../../../telemetry/request-context.ts';
import { attemptSpan, runSpan } from '../../../../telemetry/trace-context.ts';
import { Unavailable } from '../../clients/failures.ts';
import { ATTEMPT_EXTENSION, type AtomicExecution, type CompositeExecution } from '../../ports.ts';
import { ArpError } from '../../wire/errors.ts';
import type { AtomicExecuteResult, CompositeBeginResponse } from '../../wire/requests.ts';
import type { NodeRunEnd } from '../facts.ts';
import type { RunViews } from '../run-views.ts';
import type { NodeRecord, RunView } from '../view.ts';
import { wireNodeRun } from '../wire-run.ts';

export interface CallParts {
  readonly views: RunViews;
}

export function atomicCall(
  execution: AtomicExecution,
  { views }: CallParts,
  /** Ends a NodeRun as canceled, which no attempt of its own can do. */
  cancelNode: (runId: string, nodeRunId: string, end: NodeRunEnd) => Promise<void>,
): Call {
  return async (work, signal) => {
    const known = await views.having(work.runId, work.nodeId);
    const { view, record } = found(known, work.runId, work.nodeId);
    const { node_type_ref, inputs, constraints, extensions } = record.input;
    const { run_context } = view.request;
    const more = work.attempt > 1 ? { [ATTEMPT_EXTENSION]: work.attempt } : {};
    let result: AtomicExecuteResult;
    try {
      const request = {
        node_run_id: work.nodeId,
        run_id: work.runId,
        node_type_ref,
        inputs,
        ...(run_context === undefined ? {} : { run_context }),
        ...(constraints === undefined ? {} : { constraints }),
        extensions: { ...extensions, ...more },
      };
      result = await withContext(traceOf(view, work), () => execution.execute(request, signal));
    } catch (error) {
      if (signal.aborted) await execution.cancel(work.nodeId).catch(() => undefined);
      return record.isRepeatable ? failedBy(error) : failedBy(unrepeated(error));
    }
    const { state } = result;
    const end = endOf(result);
    if (state === 'canceled') await cancelNode(work.runId, work.nodeId, end);
    const outputs = end as unknown as JsonObject;
    if (state === 'succeeded') return { outcome: 'succeeded', outputs };
    return { outcome: 'failed', outputs, error: (result.error as RuntimeError | undefined) ?? unsaid(state) };
  };
}

export interface CompositeParts extends CallParts {
  readonly publicUrl: string;
  token(runId: string): string;
}

/** Asks an executor to take a NodeRun over. What it has in progress it takes a second time without harm. */
export function beginning(
  execution: CompositeExecution,
  { views, publicUrl, token }: CompositeParts,
): (runId: string, nodeRunId: string) => Promise<CompositeBeginResponse> {
  return async (runId, nodeRunId) => {
    const { view, record } = await recordOf(views, runId, nodeRunId);
    const { node_type_ref, inputs, constraints } = record.input;
    const { run_context } = view.request;
    const { extensions } = wireNodeRun(view, record, 'bare');
    return execution.begin({
      node_run_id: nodeRunId,
      run_id: runId,
      node_type_ref,
      inputs,
      coordinator_endpoint: publicUrl,
      assignment_token: token(runId),
      ...(run_context === undefined ? {} : { run_context }),
      ...(constraints === undefined ? {} : { constraints }),
      ...(extensions === undefined ? {} : { extensions }),
    });
  };
}

export function compositeCall(execution: CompositeExecution, parts: CompositeParts): Call {
  const begin = beginning(execution, parts);
  return async (work, signal) => {
    const { runId, nodeId } = work;
    try {
      const { view } = await recordOf(parts.views, runId, nodeId);
      const { accepted, message } = await withContext(traceOf(view, work), () => begin(runId, nodeId));
      // Canceled meanwhile: it may have begun after the cancellation had come.
      if (signal.aborted) await execution.cancel(nodeId).catch(() => undefined);
      if (accepted) return { outcome: 'accepted' };
      const error = {
        code: 'composite_rejected',
        message: message ?? 'the composite executor did not take it',
      };
      return { outcome: 'failed', error };
    } catch (error) {
      return failedBy(error);
    }
  };
}

/** What the executor does belongs to the attempt's span, in the run's one trace. */
function traceOf({ id, labels }: RunView, { effectKey }: NodeWork): RequestContext {
  const { context } = runSpan(id, labels);
  return { requestId: effectKey, trace: attemptSpan(context, effectKey), tracer: undefined };
}

/** As the store has it now. */
async function recordOf(views: RunViews, runId: string, nodeId: string): Promise<Found> {
  return found(await views.get(runId), runId, nodeId);
}

interface Found {
  readonly view: RunView;
  readonly record: NodeRecord;
}

function found(view: RunView | undefined, runId: string, nodeId: string): Found {
  const record = view?.nodes.get(nodeId);
  if (view === undefined || record === undefined)
    throw new ReeveError('E_STORE_CORRUPT', `run ${runId} has no NodeRun ${nodeId}`, { run_id: runId });
  return { view, record };
}

function endOf({ state, outputs, output_artifacts, error }: AtomicExecuteResult): NodeRunEnd {
  return {
    ...(outputs === undefined ? {} : { outputs }),
    ...(output_artifacts === undefined ? {} : { output_artifacts }),
    ...(error === undefined ? {} : { error }),
    evaluation: { status: state === 'succeeded' ? 'success' : 'fail', reason_code: 'atomic_completed' },
  };
}

function unsaid(state: string): RuntimeError {
  return state === 'failed' || state === 'canceled'
    ? {
        code: state,
        message: `the executor says that it ${state === 'failed' ? 'failed' : 'was canceled'}, and not why`,
      }
    : {
        code: 'invalid_executor_result',
        message: `the executor answered with the state ${state}, which is no end`,
      };
}

/** Of work that may have been begun, and must not be done twice: the same failure, which is not tried again (I5). */
function unrepeated(error: unknown): unknown {
  if (!(error instanceof Unavailable) || !error.mayHaveArrived) return error;
  const message = `${error.message}; it may have run, and is not run again`;
  return new ArpError(error.status, error.wireCode, message, { retryable: false });
}

/** A failure of the call, and not of the work: its code is known to clients (contract arp §2). */
function failedBy(error: unknown): CallEnd {
  if (error instanceof ArpError) {
    const { wireCode: code, message, retryable, details } = error;
    return {
      outcome: 'failed',
      error: {
        code,
        message,
        ...(retryable === undefined ? {} : { retryable }),
        ...(details === undefined ? {} : { details: details as JsonObject }),
      },
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    outcome: 'failed',
    error: { code: error instanceof ReeveError ? error.code : 'internal_error', message },
  };
}
