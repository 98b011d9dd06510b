/** Events of a run as a stream reads them: made anew from the run's own, a page at a time. */
import type { Engine } from '../../../engine/engine.ts';
import type { RecordedEvent } from '../../../model/events.ts';
import type { EventEntry, EventFeed, EventPage } from '../event-stream/stream.ts';
import { Wakers } from '../event-stream/wakers.ts';
import { eventsOf, eventText } from './events.ts';
import type { RunViews } from './run-views.ts';
import type { RunView } from './view.ts';

/** What a reader holds that it has not sent yet, characters; one event may be larger. */
const PAGE_CHARS = 65_536;
/** Model events read at a time. */
const READ = 32;

export interface FeedScope {
  readonly runId: string;
  /** Only events of this NodeRun and of those below it. */
  readonly nodeRunId?: string;
}

export class RunFeed implements EventFeed {
  readonly #engine: Engine;
  readonly #views: RunViews;
  readonly #scope: FeedScope;
  readonly #wakers = new Wakers();
  readonly #unsubscribe: () => void;
  /** The model event that the last page ended in. */
  #held: RecordedEvent | undefined;
  /** Something was committed since the last page was begun. */
  #changed = false;

  constructor(engine: Engine, views: RunViews, scope: FeedScope) {
    this.#engine = engine;
    this.#views = views;
    this.#scope = scope;
    this.#unsubscribe = engine.store.subscribe((runId) => {
      if (runId !== undefined && runId !== scope.runId) return;
      this.#changed = true;
      this.#wakers.wake([scope.runId]);
    });
  }

  async page(after: number, limit: number): Promise<EventPage> {
    this.#changed = false;
    const view = await this.#views.get(this.#scope.runId);
    if (view === undefined) return { entries: [], last: after, next: 'over' }; // removed
    const entries: EventEntry[] = [];
    let last = Math.max(0, after);
    let chars = 0;
    for await (const { seq, text } of this.#read(view, last)) {
      if (entries.length >= limit || chars >= PAGE_CHARS) break;
      last = seq;
      if (text === undefined) continue;
      entries.push({ seq, text });
      chars += text.length;
    }
    if (last < view.sources.length) return { entries, last, next: 'more' };
    return { entries, last: Math.max(last, after), next: view.endedSeq === undefined ? 'tail' : 'over' };
  }

  waitFor(ms: number, signal: AbortSignal): Promise<boolean> {
    return this.#changed ? Promise.resolve(true) : this.#wakers.wait([this.#scope.runId], ms, signal);
  }

  close(): void {
    this.#unsubscribe();
  }

  /** What follows a number; without their text where they are not asked for. */
  async *#read(
    view: RunView,
    after: number,
  ): AsyncGenerator<{ readonly seq: number; readonly text: string | undefined }> {
    const from = view.sources[after];
    if (from === undefined) return;
    let seq = after;
    while (view.sources[seq - 1] === from) seq -= 1; // its first event
    for await (const recorded of this.#sources(view, from)) {
      this.#held = recorded;
      for (const draft of eventsOf(view, recorded)) {
        seq += 1;
        if (seq <= after) continue;
        const isAsked = this.#isAsked(view, draft.node);
        yield { seq, text: isAsked ? eventText(view, seq, recorded.atMs, draft) : undefined };
      }
    }
  }

  /** Model events from one on, as far as the view knows them. One that fills several pages is read once. */
  async *#sources(view: RunView, from: number): AsyncGenerator<RecordedEvent> {
    let next = from;
    if (this.#held?.seq === from) {
      yield this.#held;
      next += 1;
    }
    while (next <= view.version) {
      const read = await this.#engine.events(view.id, next - 1, READ);
      for (const recorded of read) {
        if (recorded.seq > view.version) return;
        yield recorded;
        next = recorded.seq + 1;
      }
      if (read.length < READ) return;
    }
  }

  #isAsked(view: RunView, node: string | undefined): boolean {
    const { nodeRunId } = this.#scope;
    if (nodeRunId === undefined) return true;
    let at = node;
    while (at !== undefined && at !== nodeRunId) at = view.nodes.get(at)?.parent;
    return at === nodeRunId;
  }
}
