/** One line per answer. Never a header, a query or a body: they may hold secrets (I9). */
import type { Level } from '../telemetry/log.ts';

export interface AccessEntry {
  readonly requestId: string;
  readonly method: string;
  readonly url: string;
  /** As the route is declared; undefined: there was none. */
  readonly route: string | undefined;
  /** Asked by probes, all the time. */
  readonly isProbe: boolean;
  readonly status: number;
  readonly durationMs: number;
  readonly remote: string;
  /** Owner of the token, where it has one. */
  readonly caller: string | undefined;
  readonly runId: string | undefined;
  readonly traceId: string | undefined;
}

const PATH_CHARS_MAX = 300;

export function accessLevel({ status, isProbe }: AccessEntry): Level {
  if (status >= 500) return 'error';
  if (status >= 400) return 'warn';
  return isProbe ? 'debug' : 'info';
}

export function accessFields(entry: AccessEntry): Readonly<Record<string, unknown>> {
  const { requestId, method, url, route, status, durationMs, remote, caller, runId, traceId } = entry;
  return {
    request_id: requestId,
    method,
    path: (url.split('?', 1)[0] ?? '').slice(0, PATH_CHARS_MAX),
    ...(route === undefined ? {} : { route }),
    status,
    duration_ms: Math.round(durationMs * 10) / 10,
    remote,
    ...(caller === undefined ? {} : { caller }),
    ...(runId === undefined ? {} : { run_id: runId }),
    ...(traceId === undefined ? {} : { trace_id: traceId }),
  };
}
