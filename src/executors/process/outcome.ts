/** How an attempt is judged once its command has ended. Pure. */
import type { RuntimeError, RuntimeOutcome } from '../../engine/executor.ts';
import type { Ended } from './command.ts';
import type { CancelReason } from './protocol.ts';
import type { UsageReport } from './usage-source.ts';
import type { FileReport } from './usage-report.ts';

/** `problem`: the usage source cannot go on. `interrupted`: the supervisor was told to end by a signal. */
export type StopCause = CancelReason | 'timed_out' | 'problem' | 'interrupted';

export interface Verdict {
  readonly outcome: RuntimeOutcome;
  readonly error?: RuntimeError;
}

/** @param stopped why the supervisor stopped the command; undefined if the command ended by itself. */
export function judge(
  ended: Ended,
  stopped: StopCause | undefined,
  stream: UsageReport | undefined,
  file: FileReport,
): Verdict {
  if (stopped === 'canceled' || stopped === 'over_budget' || stopped === 'timed_out')
    return { outcome: stopped };
  if (ended.kind === 'not_run') {
    return {
      outcome: 'failed',
      error: { code: 'E_ADAPTER_FAIL', message: ended.message, details: { not_run: true } },
    };
  }
  if (stream?.problem !== undefined) return failed(stream.problem.code, stream.problem.message);
  if (stopped === 'problem') return failed('E_ADAPTER_FAIL', 'the usage source failed');
  if (stopped === 'interrupted')
    return failed('E_ADAPTER_FAIL', 'the supervisor was told to end by a signal');
  if (ended.signal !== null)
    return failed('E_ADAPTER_FAIL', `the command was ended by ${ended.signal}`, stream, file);
  if (ended.code !== 0)
    return failed('E_ADAPTER_FAIL', `the command ended with exit code ${ended.code}`, stream, file);
  if (file.kind === 'invalid') return failed('E_USAGE_INVALID', file.message);
  if (stream?.agentError !== undefined) return failed('E_AGENT_FAILED', stream.agentError);
  return { outcome: 'succeeded' };
}

function failed(code: string, message: string, stream?: UsageReport, file?: FileReport): Verdict {
  const details = {
    ...(stream?.agentError === undefined ? {} : { agent_error: stream.agentError }),
    ...(file?.kind === 'invalid' ? { usage_problem: file.message } : {}),
  };
  return {
    outcome: 'failed',
    error: { code, message, ...(Object.keys(details).length === 0 ? {} : { details }) },
  };
}
