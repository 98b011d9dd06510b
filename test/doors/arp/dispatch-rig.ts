// A Run Coordinator that dispatches, to executors that a test plays.
import { Dispatcher, type DispatchOptions } from '../../../src/doors/arp/coordinator/dispatch/dispatcher.ts';
import type { AtomicExecution, CompositeExecution } from '../../../src/doors/arp/ports.ts';
import type {
  AtomicExecuteRequest,
  AtomicExecuteResult,
  InternalCompositeBeginRequest,
} from '../../../src/doors/arp/wire/requests.ts';
import type { Answer } from '../../server/client.ts';
import { openCoordinator, type CoordinatorChoices, type Event, type Opened } from './coordinator-rig.ts';
import type { Stack } from './support.ts';

export type Answering = (
  request: AtomicExecuteRequest,
  signal: AbortSignal,
) => Promise<Partial<AtomicExecuteResult>> | Partial<AtomicExecuteResult>;

/** An atomic executor that notes what it is asked. */
export class PlayedAtomic implements AtomicExecution {
  readonly asked: AtomicExecuteRequest[] = [];
  readonly canceled: string[] = [];
  readonly #answer: Answering;

  constructor(answer: Answering = () => ({ outputs: { done: true } })) {
    this.#answer = answer;
  }

  async execute(request: AtomicExecuteRequest, signal: AbortSignal): Promise<AtomicExecuteResult> {
    this.asked.push(request);
    const { node_run_id } = request;
    return { node_run_id, state: 'succeeded', ...(await this.#answer(request, signal)) };
  }

  async cancel(nodeRunId: string): Promise<void> {
    this.canceled.push(nodeRunId);
  }
}

export class PlayedComposite implements CompositeExecution {
  readonly begun: InternalCompositeBeginRequest[] = [];
  readonly canceled: string[] = [];
  readonly #accept: (request: InternalCompositeBeginRequest) => boolean;

  constructor(accept: (request: InternalCompositeBeginRequest) => boolean = () => true) {
    this.#accept = accept;
  }

  async begin(request: InternalCompositeBeginRequest): Promise<{ accepted: boolean; message?: string }> {
    this.begun.push(request);
    return this.#accept(request) ? { accepted: true } : { accepted: false, message: 'not today' };
  }

  async cancel(nodeRunId: string): Promise<void> {
    this.canceled.push(nodeRunId);
  }
}

export interface Dispatching extends Opened {
  readonly dispatcher: Dispatcher;
  /** All events of the run, once it has ended. */
  end(runId: string): Promise<Event[]>;
  nodeRun(id: string): Promise<Answer['json']>;
}

export interface DispatchChoices extends CoordinatorChoices {
  readonly atomic?: AtomicExecution;
  readonly composite?: CompositeExecution;
  readonly publicUrl?: string;
  readonly dispatch?: Partial<DispatchOptions>;
}

export const PUBLIC_URL = 'http://127.0.0.1:1';

export async function openDispatching(stack: Stack, choices: DispatchChoices = {}): Promise<Dispatching> {
  const { atomic, composite, publicUrl = PUBLIC_URL, dispatch, ...rest } = choices;
  const policy = choices.policy ?? { allowsWithout: () => true };
  const opened = await openCoordinator(stack, {
    autoDispatch: true,
    policy,
    executors: { ...(atomic && { atomic }), ...(composite && { composite }) },
    ...rest,
  });
  const { engine, coordinator, assignments } = opened;
  const dispatcher = new Dispatcher({
    engine,
    views: coordinator.views,
    policy,
    ...(atomic && { atomic: { endpoint: 'http://127.0.0.1:2', execution: atomic } }),
    ...(composite && { composite: { endpoint: 'http://127.0.0.1:3', execution: composite } }),
    ...(publicUrl === '' ? {} : { publicUrl }),
    assignmentToken: (runId) => assignments.mint(runId),
    ...dispatch,
  });
  dispatcher.start();
  stack.opened({ close: () => dispatcher.stop() as unknown as void });
  return {
    ...opened,
    dispatcher,
    end: (runId) => opened.events(`/v1/runs/${runId}/events?follow=1`),
    nodeRun: async (id) => (await opened.get(`/v1/node-runs/${id}`)).json,
  };
}
