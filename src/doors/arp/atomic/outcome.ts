/** What a caller is told of how a handler ended. */
import type { ERROR_DETAIL } from '../wire/common.ts';
import { RESOURCE_REF } from '../wire/common.ts';
import type { AtomicExecuteResult } from '../wire/requests.ts';
import { ANYTHING, list, object, type TypeOf } from '../../wire-schema.ts';
import { fieldErrors } from '../wire/validate.ts';
import type { NodeFailureOptions, NodeOutput } from './node.ts';

/** Largest result unless the executor is told otherwise. A client of ours takes answers of 16 MiB. */
export const OUTPUT_BYTES_DEFAULT = 8 * 1_048_576;

/** `stopped`: the executor itself ends. */
export type StopCause = 'canceled' | 'timeout' | 'stopped';

/** A result without its id and its times. */
export interface Outcome
  extends Pick<AtomicExecuteResult, 'state' | 'outputs' | 'output_artifacts' | 'error'> {
  /** Of outputs and artifacts as JSON. */
  readonly bytes: number;
}

const OUTPUT = object({}, { outputs: ANYTHING, output_artifacts: list(RESOURCE_REF) });

export function failed(code: string, message: string, options: NodeFailureOptions = {}): Outcome {
  const { details, retryable } = options;
  const error: TypeOf<typeof ERROR_DETAIL> = {
    code,
    message,
    ...(details === undefined ? {} : { details }),
    ...(retryable === undefined ? {} : { retryable }),
  };
  return { state: 'failed', error, bytes: details === undefined ? 0 : JSON.stringify(details).length };
}

/** @param timeoutMs that was allowed. */
export function stopped(cause: StopCause, timeoutMs: number | undefined): Outcome {
  switch (cause) {
    case 'canceled':
      return { ...failed('canceled', 'the node run was canceled'), state: 'canceled' };
    case 'timeout':
      return failed('timeout', `the handler took longer than ${(timeoutMs ?? 0) / 1000} s`, {
        details: { timeout_ms: timeoutMs },
      });
    case 'stopped':
      return failed(
        'executor_stopped',
        'the executor was stopped before the handler ended; it may have had effects',
      );
  }
}

/** What a handler returned, as JSON says it: only that leaves the process, and nothing of it is shared with the handler. */
export async function succeeded(output: NodeOutput, bytesMax: number): Promise<Outcome> {
  let text: string | undefined;
  try {
    text = JSON.stringify(output);
  } catch {
    text = undefined; // it refers to itself, or holds a BigInt
  }
  if (text === undefined) return failed('invalid_output', 'the handler returned what JSON cannot say');
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) {
    return failed('output_too_large', `the handler returned ${bytes} bytes; the limit is ${bytesMax}`, {
      details: { bytes, limit: bytesMax },
      retryable: false,
    });
  }
  const plain: NodeOutput = JSON.parse(text);
  const errors = await fieldErrors(OUTPUT, plain, ['output']);
  if (errors.length > 0)
    return failed('invalid_output', 'the handler returned no {outputs, output_artifacts}', {
      details: { errors },
    });
  return { state: 'succeeded', ...plain, bytes };
}
