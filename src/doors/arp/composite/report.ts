/** How a composite NodeRun tells the coordinator that it ended (contract arp §7.1 7). */
import type { CompositeCallbacks } from '../ports.ts';
import { ArpError } from '../wire/errors.ts';
import type { NodeRunCompleteRequest } from '../wire/requests.ts';
import type { InternalNodeRun } from '../wire/runs.ts';
import { STRATEGY_KEY } from './binding.ts';
import { PATIENCE_MS } from './children.ts';
import { reportedError } from './failures.ts';
import { type Clock, persistently } from './patience.ts';
import { isFields } from './plan.ts';
import type { Strategy } from './strategy.ts';

export interface ReportParts {
  readonly coordinator: CompositeCallbacks;
  readonly clock: Clock;
  readonly strategy: Pick<Strategy, 'name'>;
  note(text: string): void;
}

export class Report {
  readonly #nodeRunId: string;
  readonly #parts: ReportParts;
  readonly #stop: AbortSignal;

  constructor(nodeRunId: string, parts: ReportParts, stop: AbortSignal) {
    this.#nodeRunId = nodeRunId;
    this.#parts = parts;
    this.#stop = stop;
  }

  /** All steps were done, or one of them did not succeed. */
  async ended(children: readonly InternalNodeRun[], summary: string | undefined): Promise<void> {
    const lost = children.find(({ state }) => state !== 'succeeded');
    const { name } = this.#parts.strategy;
    const { coordinator } = this.#parts;
    await this.#tell(() =>
      coordinator.evaluate(this.#nodeRunId, {
        evaluation_result: {
          status: lost === undefined ? 'success' : 'fail',
          reason_code: 'composite_evaluation',
          message: lost === undefined ? `${children.length} steps succeeded` : `a step ended ${lost.state}`,
          extensions: { [STRATEGY_KEY]: name },
        },
      }),
    );
    const outputs = outputsOf(children, summary);
    await this.#complete(
      lost === undefined
        ? { state: 'succeeded', outputs }
        : {
            state: lost.state === 'canceled' ? 'canceled' : 'failed',
            outputs,
            error: reportedError(childFailed(lost)),
          },
    );
  }

  async failed(error: unknown, children: readonly InternalNodeRun[]): Promise<void> {
    if (!(error instanceof ArpError))
      this.#parts.note(`NodeRun ${this.#nodeRunId} failed by a defect: ${(error as Error).message}`);
    await this.#complete({ state: 'failed', ...partly(children), error: reportedError(error) });
  }

  async canceled(reason: ArpError, children: readonly InternalNodeRun[]): Promise<void> {
    await this.#complete({ state: 'canceled', ...partly(children), error: reportedError(reason) });
  }

  #complete(report: NodeRunCompleteRequest): Promise<void> {
    return this.#tell(() => this.#parts.coordinator.complete(this.#nodeRunId, report));
  }

  /** The first terminal state wins: whoever comes late has nothing to add. */
  async #tell(send: () => Promise<void>): Promise<void> {
    const { clock, note } = this.#parts;
    try {
      await persistently(send, PATIENCE_MS, clock, this.#stop);
    } catch (error) {
      if (this.#stop.aborted) return;
      if (error instanceof ArpError && error.wireCode === 'node_run_already_terminal') return;
      note(`the end of NodeRun ${this.#nodeRunId} could not be reported: ${(error as Error).message}`);
    }
  }
}

/** What was done before it failed is no secret; where nothing was, there are no outputs. */
function partly(children: readonly InternalNodeRun[]): Pick<NodeRunCompleteRequest, 'outputs'> {
  return children.length === 0 ? {} : { outputs: outputsOf(children, undefined) };
}

function outputsOf(children: readonly InternalNodeRun[], summary: string | undefined) {
  return {
    ...(summary === undefined ? {} : { planner_summary: summary }),
    child_node_runs: children.map(({ node_run_id, node_type_ref, state, outputs, output_artifacts }) => ({
      node_run_id,
      node_type_ref,
      state,
      ...(outputs === undefined ? {} : { outputs }),
      ...(output_artifacts === undefined ? {} : { output_artifacts }),
    })),
  };
}

function childFailed({ node_run_id, node_type_ref, state, extensions = {} }: InternalNodeRun): ArpError {
  const behind = extensions['completion_error'];
  const code = isFields(behind) && typeof behind['code'] === 'string' ? behind['code'] : undefined;
  const why = isFields(behind) && typeof behind['message'] === 'string' ? behind['message'] : undefined;
  const message = `a child of type ${node_type_ref.node_type_id} ended ${state}`;
  return new ArpError(422, 'child_failed', message, {
    details: { node_run_id, state },
    ...(why === undefined ? {} : { behind: { message: why, ...(code === undefined ? {} : { code }) } }),
  });
}
