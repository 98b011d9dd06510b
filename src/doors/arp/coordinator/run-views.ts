/** Views of runs that are in use, brought up to what the store has whenever they are asked for. */
import type { Engine } from '../../../engine/engine.ts';
import type { RecordedEvent } from '../../../model/events.ts';
import { advance } from './events.ts';
import { emptyView, isOfArp, type NodeRecord, type RunView } from './view.ts';

const PAGE = 500;
/** Of all views together, bytes. */
const WEIGHT_MAX = 128 * 1_048_576;
const VIEWS_MAX = 4000;

export interface FoundNode {
  readonly view: RunView;
  readonly record: NodeRecord;
}

export class RunViews {
  readonly #engine: Engine;
  /** Least recently used first. */
  readonly #kept = new Map<string, { readonly view: RunView; readonly counted: number }>();
  #weight = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The run as the store has it now; undefined when there is none, or it is another door's. */
  async get(runId: string): Promise<RunView | undefined> {
    const head = await this.#engine.store.head(runId);
    let view = this.#kept.get(runId)?.view;
    if (head === undefined || (view !== undefined && view.createdAtMs !== head.createdAtMs)) {
      this.#forget(runId); // removed, or made anew
      view = undefined;
    }
    if (head === undefined) return undefined;
    if (view === undefined) {
      const [first] = await this.#engine.events(runId, 0, 1);
      if (first?.event.type !== 'run_created' || !isOfArp(first.event.spec)) return undefined;
      view = this.#kept.get(runId)?.view ?? emptyView(runId);
    }
    while (view.version < head.version) {
      const page = await this.#engine.events(runId, view.version, PAGE);
      if (page.length === 0) break;
      take(view, page);
    }
    return this.#keep(view);
  }

  /** The run with this NodeRun in it, perhaps not as new as the store has it: for what never changes after its creation. */
  async having(runId: string, nodeRunId: string): Promise<RunView | undefined> {
    const kept = this.#kept.get(runId)?.view;
    return kept?.nodes.has(nodeRunId) === true ? kept : this.get(runId);
  }

  async node(nodeRunId: string): Promise<FoundNode | undefined> {
    const runId = await this.runOf(nodeRunId);
    return runId === undefined ? undefined : this.nodeIn(runId, nodeRunId);
  }

  async nodeIn(runId: string, nodeRunId: string): Promise<FoundNode | undefined> {
    const view = await this.get(runId);
    const record = view?.nodes.get(nodeRunId);
    return view === undefined || record === undefined ? undefined : { view, record };
  }

  /** The run whose NodeRun this is. */
  runOf(nodeRunId: string): Promise<string | undefined> {
    return this.#engine.store.runOf(nodeRunId);
  }

  /** Takes in what was just committed, and whatever came between. */
  async after(runId: string, events: readonly RecordedEvent[]): Promise<RunView> {
    const first = events[0]?.seq ?? 0;
    const view = this.#kept.get(runId)?.view ?? emptyView(runId);
    while (view.version < first - 1) {
      const page = await this.#engine.events(runId, view.version, Math.min(PAGE, first - 1 - view.version));
      if (page.length === 0) break;
      take(view, page);
    }
    take(view, events);
    return this.#keep(view);
  }

  /** @returns the one that is kept: of two that were loaded at once, it is the one that others build on. */
  #keep(view: RunView): RunView {
    const known = this.#kept.get(view.id);
    const kept = known !== undefined && known.view.version >= view.version ? known.view : view;
    this.#forget(view.id);
    this.#kept.set(view.id, { view: kept, counted: kept.weight });
    this.#weight += kept.weight;
    for (const id of this.#kept.keys()) {
      if ((this.#weight <= WEIGHT_MAX && this.#kept.size <= VIEWS_MAX) || id === view.id) break;
      this.#forget(id);
    }
    return kept;
  }

  #forget(id: string): void {
    this.#weight -= this.#kept.get(id)?.counted ?? 0;
    this.#kept.delete(id);
  }
}

/** Others may take in the same events meanwhile: each is taken once, in order. */
function take(view: RunView, events: readonly RecordedEvent[]): void {
  for (const recorded of events) if (recorded.seq === view.version + 1) advance(view, recorded);
}
