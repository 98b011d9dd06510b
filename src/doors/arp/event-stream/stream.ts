/**
 * Streams events as NDJSON: what is there, and with `follow` what comes, until the run is over. It is pulled by whoever
 * reads it, a page at a time: a slow reader holds a page and delays nobody.
 */
import { cursorPlace } from '../wire/cursor.ts';
import type { EventLog, Scope } from './log.ts';

export interface StreamQuery {
  /** Number of the last event that the reader has. */
  readonly after: number;
  /** How many events at most. */
  readonly limit: number;
  readonly follow: boolean;
}

/** Before the first event, which may have number 0. */
const START = -1;

/** @throws ArpError 422 */
export function streamQuery(query: {
  readonly cursor?: string;
  readonly limit?: number;
  readonly follow?: number;
}): StreamQuery {
  const { cursor, limit = Number.POSITIVE_INFINITY, follow } = query;
  return {
    after: cursor === undefined ? START : cursorPlace(cursor, 'cursor'),
    limit,
    follow: follow === 1,
  };
}

export async function* eventLines(
  log: EventLog,
  scope: Scope,
  query: StreamQuery & { readonly heartbeatMs: number; readonly signal: AbortSignal },
): AsyncGenerator<string> {
  const { follow, heartbeatMs, signal } = query;
  let { after, limit } = query;
  yield ''; // so that the reader sees at once that the stream is open
  while (!signal.aborted) {
    const { text, count, lastSeq } = log.page(scope, after, limit);
    if (count > 0) {
      after = lastSeq;
      limit -= count;
      yield text;
      if (limit === 0) return;
      continue;
    }
    if (!follow || log.isCompleted(scope)) return;
    // An empty line: readers of NDJSON pass it by, and whoever stands between keeps the connection.
    if (!(await log.waitFor(scope, heartbeatMs, signal)) && !signal.aborted) yield '\n';
  }
}
