/** Runs, as whoever starts them asks a gateway or a coordinator over HTTP. */
import { setTimeout as delay } from 'node:timers/promises';
import { RUN_EVENT } from '../wire/core.ts';
import { cursorText } from '../wire/cursor.ts';
import { ArpError } from '../wire/errors.ts';
import type { RunStartRequest } from '../wire/requests.ts';
import { INTERNAL_RUN, type InternalRun } from '../wire/runs.ts';
import { withoutNulls } from '../wire/validate.ts';
import { parsed, unavailable } from './failures.ts';
import { get, post, type ServiceAddress } from './http-client.ts';
import { linesOf } from './line-client.ts';

/** What is asked of an event, and no more: types of coordinators to come are shown as they are. */
export interface StreamedEvent {
  readonly seq: number;
  readonly type: string;
  readonly time?: string;
  readonly node_run_id?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export interface EventsFrom {
  /** Number of the last event that is known; 0: from the first on. */
  readonly after: number;
  /** Go on until the run is over. */
  readonly follow: boolean;
}

export interface RunsClient {
  /** Not repeated: without an id of its own it would start two. @throws ArpError */
  start(request: RunStartRequest): Promise<InternalRun>;
  /** @throws ArpError 404 `run_not_found` */
  run(runId: string): Promise<InternalRun>;
  /** One that is over stays as it is. @throws ArpError 404 `run_not_found` */
  cancel(runId: string): Promise<InternalRun>;
  /**
   * Each event once, in order. A followed stream that was cut off goes on where it was.
   * @throws ArpError; the signal's reason
   */
  events(runId: string, from: EventsFrom, signal: AbortSignal): AsyncGenerator<StreamedEvent>;
}

/** Pauses between tries to go on with a stream, milliseconds. After the last one it has failed. */
const PAUSES_MS = [200, 1000, 2000, 4000, 8000];
/** Between looks at a coordinator that ends a followed stream while its run goes on. */
const LOOK_MS = 1000;
const STATES_OVER: ReadonlySet<string> = new Set(['succeeded', 'failed', 'canceled']);

export function isOver({ state }: InternalRun): boolean {
  return STATES_OVER.has(state);
}

export function runsClient(address: Omit<ServiceAddress, 'name'>): RunsClient {
  const service: ServiceAddress = { ...address, name: 'run_coordinator' };
  const at = (runId: string): string => `/v1/runs/${encodeURIComponent(runId)}`;
  const client: RunsClient = {
    async start(request) {
      return (await post(service, { path: '/v1/runs', schema: INTERNAL_RUN, body: request })) as InternalRun;
    },
    async run(runId) {
      return (await get(service, { path: at(runId), schema: INTERNAL_RUN })) as InternalRun;
    },
    async cancel(runId) {
      const call = { path: `${at(runId)}:cancel`, schema: INTERNAL_RUN, repeatable: true };
      return (await post(service, call)) as InternalRun;
    },
    async *events(runId, { after, follow }, signal) {
      let last = after;
      for (let failures = 0; ; ) {
        const before = last;
        try {
          for await (const line of linesOf(service, pathOf(at(runId), last, follow), signal)) {
            const event = eventIn(service, line);
            if (event.seq <= last) continue; // of a coordinator that takes no cursor
            last = event.seq;
            failures = 0;
            yield event;
            if (follow && event.type === 'run_completed') return;
          }
          if (!follow) return;
          if (last === before) {
            // It has been over for long, or whom we ask does not follow.
            if (isOver(await client.run(runId))) return;
            await delay(LOOK_MS, undefined, { signal });
          }
        } catch (error) {
          const pauseMs = PAUSES_MS[failures];
          const isPassing = follow && error instanceof ArpError && error.retryable === true;
          if (signal.aborted || !isPassing || pauseMs === undefined) throw error;
          failures += 1;
          await delay(pauseMs, undefined, { signal });
        }
      }
    },
  };
  return client;
}

function pathOf(run: string, after: number, follow: boolean): string {
  const query = new URLSearchParams({
    ...(after === 0 ? {} : { cursor: cursorText(after) }),
    ...(follow ? { follow: '1' } : {}),
  });
  return `${run}/events${query.size === 0 ? '' : `?${query.toString()}`}`;
}

function eventIn(service: ServiceAddress, line: string): StreamedEvent {
  const event = withoutNulls(RUN_EVENT, parsed(line)) as Partial<StreamedEvent> | null | undefined;
  if (Number.isSafeInteger(event?.seq) && typeof event?.type === 'string') return event as StreamedEvent;
  throw unavailable(service, 'its answer is wrong: a line is no event', false);
}
