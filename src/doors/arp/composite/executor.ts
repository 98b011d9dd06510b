/**
 * The Composite Executor (contract arp §7.1). What is in progress is in memory only: after a crash the coordinator begins
 * again, and the driver finds its children by their keys (H29).
 */
import type { CompositeCallbacks, CompositeExecution, Selection } from '../ports.ts';
import type { NodeTypes } from '../registry/node-types.ts';
import { ArpError } from '../wire/errors.ts';
import type { CompositeBeginResponse, InternalCompositeBeginRequest } from '../wire/requests.ts';
import { drive, type DriverParts } from './driver.ts';
import type { Clock } from './patience.ts';
import type { CompositeSettings } from './settings.ts';
import type { Strategy } from './strategy.ts';
import { Turns } from '../turns.ts';

export interface CompositeParts {
  /** Undefined parts are refused at each begin, with 503. */
  readonly selection: Selection | undefined;
  readonly nodeTypes: Pick<NodeTypes, 'get'> | undefined;
  /** Undefined: a language model is asked for, and there is none. */
  readonly strategy: Strategy | undefined;
  readonly settings: CompositeSettings | undefined;
  readonly clock: Clock;
  /**
   * The coordinator that assigned a NodeRun.
   * @param token for this NodeRun's run; undefined: none came with it.
   * @throws ArpError when it cannot be asked
   */
  coordinator(endpoint: string, token: string | undefined): CompositeCallbacks;
  note(text: string): void;
}

interface Underway {
  readonly cancel: AbortController;
  readonly ended: Promise<void>;
}

export class CompositeExecutor implements CompositeExecution {
  readonly #parts: CompositeParts;
  readonly #turns: Turns;
  readonly #stop = new AbortController();
  readonly #underway = new Map<string, Underway>();

  constructor(parts: CompositeParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.settings?.concurrency);
  }

  /** The parts that are missing, by the code that a begin fails with. */
  missing(): readonly string[] {
    const { selection, nodeTypes, strategy, settings } = this.#parts;
    return [
      ...(selection === undefined ? ['selection_service_missing'] : []),
      ...(nodeTypes === undefined ? ['node_registry_missing'] : []),
      ...(strategy === undefined ? ['composite_llm_missing'] : []),
      ...(settings === undefined ? ['composite_config_missing'] : []),
    ];
  }

  /**
   * @throws ArpError 503 `selection_service_missing`, `node_registry_missing`, `composite_llm_missing`,
   * `composite_config_missing`, and `unavailable` when it stops
   */
  async begin(request: InternalCompositeBeginRequest): Promise<CompositeBeginResponse> {
    if (this.#stop.signal.aborted)
      throw new ArpError(503, 'unavailable', 'the composite executor stops', { retryable: true });
    const parts = this.#complete();
    const { node_run_id: id, coordinator_endpoint: endpoint, assignment_token: token = '' } = request;
    if (this.#underway.has(id)) return { accepted: true, message: 'it is in progress' };
    const coordinator = this.#parts.coordinator(endpoint, token === '' ? undefined : token);
    const cancel = new AbortController();
    const signals = { stop: this.#stop.signal, cancel: cancel.signal };
    const ended = drive(request, { ...parts, coordinator }, signals).finally(() => this.#underway.delete(id));
    this.#underway.set(id, { cancel, ended });
    return { accepted: true };
  }

  async cancel(nodeRunId: string): Promise<void> {
    this.#underway.get(nodeRunId)?.cancel.abort();
  }

  /** Drivers leave their NodeRuns as they are, so that whoever is asked next goes on. Idempotent. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.settled();
  }

  /** Once nothing is in progress. */
  async settled(): Promise<void> {
    await Promise.all([...this.#underway.values()].map(({ ended }) => ended));
  }

  #complete(): Omit<DriverParts, 'coordinator'> {
    const { selection, nodeTypes, strategy, settings, clock, note } = this.#parts;
    const [code = ''] = this.missing();
    if (
      selection === undefined ||
      nodeTypes === undefined ||
      strategy === undefined ||
      settings === undefined
    )
      throw new ArpError(503, code, MISSING[code] ?? code, { retryable: false });
    return { selection, nodeTypes, strategy, settings, clock, note, turns: this.#turns };
  }
}

const MISSING: Readonly<Record<string, string>> = {
  selection_service_missing: 'no selection service is configured',
  node_registry_missing: 'no node registry is configured',
  composite_llm_missing: 'the strategy is llm, and no language model is configured',
  composite_config_missing: 'the composite executor is not configured',
};
