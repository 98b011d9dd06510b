/**
 * Brings the events of a run up to date in an Event Stream, under the numbers that they have here: sent twice, they are
 * there already, and that is looked at.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Engine } from '../../../../engine/engine.ts';
import type { EventStreamClient, NumberedEvent } from '../../clients/event-stream-client.ts';
import { ArpError } from '../../wire/errors.ts';
import { RunFeed } from '../feed.ts';
import type { RunViews } from '../run-views.ts';
import type { Reach } from './lane.ts';
import type { Positions } from './positions.ts';

export interface EventsParts {
  readonly engine: Engine;
  readonly views: RunViews;
  readonly positions: Positions;
  readonly client: EventStreamClient;
  /** Events up to this one of the model may be sent: what they tell of is stored. */
  upTo(view: { readonly id: string; readonly createdAtMs: number; readonly version: number }): number;
}

const BATCH = 200;

/** @throws ArpError: it is refused, or another event has the number */
export async function carryEvents(parts: EventsParts, runId: string, reach: Reach): Promise<void> {
  const { engine, views, positions, client, upTo } = parts;
  const view = await views.get(runId);
  if (view === undefined) return;
  const position = positions.get('event_stream', view);
  const version = Math.min(view.version, upTo(view));
  const { version: from } = position;
  if (from >= version) return;
  let { seq } = position;
  const end = view.sources.findLastIndex((source) => source <= version) + 1;
  const feed = new RunFeed(engine, views, { runId });
  try {
    while (seq < end) {
      const { entries, last } = await feed.page(seq, Math.min(BATCH, end - seq));
      if (entries.length === 0) return; // removed meanwhile
      const events = entries.map(({ text }): NumberedEvent => JSON.parse(text));
      await send(client, events, seq, reach);
      seq = last;
      positions.reach('event_stream', view, { version: from, seq });
    }
  } finally {
    feed.close();
  }
  positions.reach('event_stream', view, { version, seq });
}

async function send(
  client: EventStreamClient,
  events: readonly NumberedEvent[],
  after: number,
  reach: Reach,
): Promise<void> {
  if (await isAppended(client, events, reach)) return;
  const runId = events[0]?.run_id ?? '';
  const found = await reach((signal) => client.read(runId, after, events.length, signal));
  const there = new Map(found.map((event) => [event.seq, event]));
  for (const event of events) {
    const other = there.get(event.seq);
    if (other !== undefined && !isSame(event, other))
      throw new ArpError(409, 'event_conflict', `event ${event.seq} of run ${runId} is another one there`);
  }
  const missing = events.filter(({ seq }) => !there.has(seq));
  if (missing.length === 0 || (await isAppended(client, missing, reach))) return;
  // Some were there, and their retention is over, or another coordinator sends them right now.
  for (const event of missing) await isAppended(client, [event], reach);
}

/** @returns false when one of the numbers is taken: then nothing was stored. */
async function isAppended(
  client: EventStreamClient,
  events: readonly NumberedEvent[],
  reach: Reach,
): Promise<boolean> {
  try {
    await reach((signal) => client.append(events, signal));
    return true;
  } catch (error) {
    if (error instanceof ArpError && error.status === 409) return false;
    throw error;
  }
}

/** Others may write times in another way, and have more to say of an event. */
function isSame(ours: NumberedEvent, theirs: NumberedEvent): boolean {
  return (
    ours.type === theirs.type &&
    Date.parse(ours.time) === Date.parse(theirs.time) &&
    (ours.node_run_id ?? undefined) === (theirs.node_run_id ?? undefined) &&
    isDeepStrictEqual(ours.data ?? undefined, theirs.data ?? undefined)
  );
}
