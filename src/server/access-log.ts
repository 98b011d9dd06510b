/** One JSON line per answer. Never a header, a query or a body: they may hold secrets (I9). */
export interface AccessEntry {
  readonly requestId: string;
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly durationMs: number;
  readonly remote: string;
  /** Owner of the token, where it has one. */
  readonly caller: string | undefined;
}

const PATH_CHARS_MAX = 300;

export function accessLine(entry: AccessEntry, nowMs: number): string {
  const { requestId, method, url, status, durationMs, remote, caller } = entry;
  return `${JSON.stringify({
    at: new Date(nowMs).toISOString(),
    request_id: requestId,
    method,
    path: (url.split('?', 1)[0] ?? '').slice(0, PATH_CHARS_MAX),
    status,
    duration_ms: Math.round(durationMs * 10) / 10,
    remote,
    ...(caller === undefined ? {} : { caller }),
  })}\n`;
}
