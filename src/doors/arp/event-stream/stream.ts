/**
 * Streams events: what is there, and with `follow` what comes, until the run is over. It is pulled by whoever reads it,
 * a page at a time: a slow reader holds a page and delays nobody.
 */
import type { HttpRequest, QueryParameter, StreamReply } from '../../http.ts';
import { cursorPlace, cursorText } from '../wire/cursor.ts';

export interface EventEntry {
  readonly seq: number;
  /** One line of JSON, without its end. */
  readonly text: string;
}

export interface EventPage {
  readonly entries: readonly EventEntry[];
  /** Number up to which nothing is left out: the next page follows it. */
  readonly last: number;
  /** `more`: the next page can be had at once. `tail`: there is no more yet. `over`: there will be no more. */
  readonly next: 'more' | 'tail' | 'over';
}

/** Events of a run or NodeRun, for one reader. */
export interface EventFeed {
  /** What follows a number, cut to what may be held at once. */
  page(after: number, limit: number): EventPage | Promise<EventPage>;
  /**
   * Waits for what comes after the last page. Nothing is missed between the two.
   * @returns false when nothing came in `ms`, or when it was aborted.
   */
  waitFor(ms: number, signal: AbortSignal): Promise<boolean>;
  close(): void;
}

/** Proxies close what is silent for 60 s. */
const HEARTBEAT_MS = 15_000;

export const STREAM_QUERY: Readonly<Record<string, QueryParameter>> = {
  cursor: {
    description: 'URL-safe base64 of the number of the last event that is known',
    schema: { type: 'string' },
  },
  limit: { description: 'How many events at most', schema: { type: 'integer', minimum: 1, maximum: 10_000 } },
  follow: {
    description: '0: end with what is there. 1: stay until the run is over',
    schema: { type: 'integer', minimum: 0, maximum: 1 },
  },
};

interface Form {
  readonly type: string;
  entry(entry: EventEntry): string;
  /** Passed by by readers; whoever stands between keeps the connection. */
  readonly heartbeat: string;
}

const NDJSON: Form = {
  type: 'application/x-ndjson',
  entry: ({ text }) => `${text}\n`,
  heartbeat: '\n',
};
/** The id is a cursor: with it a browser goes on where it was cut off. */
const SERVER_SENT: Form = {
  type: 'text/event-stream',
  entry: ({ seq, text }) => `id: ${cursorText(seq)}\ndata: ${text}\n\n`,
  heartbeat: ': \n\n',
};

/** Before the first event, which may have number 0. */
const START = -1;

/** Answers with a stream, as NDJSON or as what `Accept` asks for; a feed is opened only once the request is known to fit. */
export async function streamReply(
  { query, headers, signal }: Pick<HttpRequest, 'query' | 'headers' | 'signal'>,
  open: () => EventFeed | Promise<EventFeed>,
  heartbeatMs = HEARTBEAT_MS,
): Promise<StreamReply> {
  const { limit = Number.POSITIVE_INFINITY, follow } = query as { limit?: number; follow?: number };
  const form = String(headers['accept']).includes(SERVER_SENT.type) ? SERVER_SENT : NDJSON;
  const cursor = query['cursor'] ?? (form === SERVER_SENT ? headers['last-event-id'] : undefined);
  const after = cursor === undefined ? START : cursorPlace(String(cursor), 'cursor');
  const options = { after, limit, follow: follow === 1, heartbeatMs, signal };
  return {
    type: form.type,
    ...(form === SERVER_SENT ? { headers: { 'cache-control': 'no-store' } } : {}),
    stream: eventText(await open(), form, options),
  };
}

interface StreamOptions {
  readonly after: number;
  readonly limit: number;
  readonly follow: boolean;
  readonly heartbeatMs: number;
  readonly signal: AbortSignal;
}

async function* eventText(feed: EventFeed, form: Form, options: StreamOptions): AsyncGenerator<string> {
  const { follow, heartbeatMs, signal } = options;
  let { after, limit } = options;
  try {
    yield ''; // so that the reader sees at once that the stream is open
    while (!signal.aborted) {
      const asked = feed.page(after, limit);
      const { entries, last, next } = asked instanceof Promise ? await asked : asked;
      after = last;
      limit -= entries.length;
      if (entries.length > 0) yield entries.map(form.entry).join('');
      if (limit === 0 || next === 'over') return;
      if (next === 'more') continue;
      if (!follow) return;
      if (!(await feed.waitFor(heartbeatMs, signal)) && !signal.aborted) yield form.heartbeat;
    }
  } finally {
    feed.close();
  }
}
