/** The Event Stream, asked over HTTP. Nothing is tried twice here. */
import { cursorText } from '../wire/cursor.ts';
import { getOnce, post, type ServiceAddress } from './http-client.ts';

/** An event with its number; in the answers of others with a null for whatever is unset (D3). */
export interface NumberedEvent {
  readonly run_id: string;
  readonly seq: number;
  readonly type: string;
  readonly time: string;
  readonly node_run_id?: string | null;
  readonly data?: unknown;
}

export interface EventStreamClient {
  /** All or none. @throws ArpError 409: a number is taken */
  append(events: readonly NumberedEvent[], signal: AbortSignal): Promise<void>;
  /** What follows a number. */
  read(runId: string, after: number, limit: number, signal: AbortSignal): Promise<readonly NumberedEvent[]>;
}

const EVENTS = {
  type: 'array',
  items: {
    type: 'object',
    required: ['seq', 'type', 'time'],
    properties: { seq: { type: 'integer' }, type: { type: 'string' }, time: { type: 'string' } },
  },
};

export function eventStreamClient(address: Omit<ServiceAddress, 'name' | 'isStore'>): EventStreamClient {
  const service: ServiceAddress = { ...address, name: 'event_stream', isStore: true };
  return {
    async append(events, signal) {
      await post(service, { path: '/v1/run-events', schema: {}, body: { events }, signal });
    },
    async read(runId, after, limit, signal) {
      const path = `/v1/runs/${encodeURIComponent(runId)}/events?cursor=${cursorText(after)}&limit=${limit}`;
      const call = { path, schema: EVENTS, form: 'ndjson', signal } as const;
      return (await getOnce(service, call)) as readonly NumberedEvent[];
    },
  };
}
