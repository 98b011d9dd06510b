import { chainHash, eventBody } from '../model/chain.ts';
import { canonicalJson, type Sha256 } from '../model/canonical.ts';
import type { RecordedEvent, RunEvent } from '../model/events.ts';
import { ReeveError } from '../model/errors.ts';
import type { BlobStore } from '../store/blob-store.ts';
import type { StoredEvent } from '../store/run-store.ts';

/** Events longer than this keep their payload in a blob, characters (DESIGN §3). */
const SPILL_OVER = 16 * 1024;

/** An event about to be stored; `spill` must be in the blob store before the commit. */
export interface SealedEvent {
  readonly stored: StoredEvent;
  readonly spill?: string;
}

/** The text and hash of an event in its chain. A big payload is replaced by its own hash, which the chain then covers. */
export function sealEvent(previous: string, recorded: RecordedEvent, sha256: Sha256): SealedEvent {
  const { seq, atMs, event } = recorded;
  let body = eventBody(recorded);
  let spill: string | undefined;
  if (body.length > SPILL_OVER) {
    spill = canonicalJson(event);
    body = canonicalJson({ at: atMs, event: { type: event.type }, seq, spilled: sha256(spill) });
  }
  const hash = chainHash(previous, body, sha256);
  return { stored: { seq, atMs, type: event.type, body, hash }, ...(spill === undefined ? {} : { spill }) };
}

/**
 * Reads stored events, fetching spilled payloads.
 * @throws ReeveError E_STORE_CORRUPT for text that is no event.
 */
export async function openEvents(stored: readonly StoredEvent[], blobs: BlobStore): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for (const { seq, atMs, body } of stored) {
    const parsed = parseBody(seq, body);
    const event = parsed.spilled === undefined ? parsed.event : await fetchSpilled(parsed.spilled, blobs);
    events.push({ seq, atMs, event });
  }
  return events;
}

function parseBody(seq: number, body: string): { event: RunEvent; spilled?: string } {
  try {
    return JSON.parse(body) as { event: RunEvent; spilled?: string };
  } catch (cause) {
    throw new ReeveError('E_STORE_CORRUPT', `event ${seq} cannot be read`, { seq }, { cause });
  }
}

async function fetchSpilled(sha256: string, blobs: BlobStore): Promise<RunEvent> {
  return JSON.parse(new TextDecoder().decode(await blobs.get(sha256))) as RunEvent;
}
