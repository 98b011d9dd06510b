// A Run Coordinator on a real store and a real socket, for tests.
import { randomBytes } from 'node:crypto';
import { AssignmentTokens } from '../../../src/doors/arp/coordinator/assignment-tokens.ts';
import { Coordinator, type CoordinatorOptions } from '../../../src/doors/arp/coordinator/coordinator.ts';
import { coordinatorService, type CoordinatorWorld } from '../../../src/doors/arp/coordinator/routes.ts';
import type { CoordinatorAddress } from '../../../src/doors/arp/gateway/relay.ts';
import { gatewayService } from '../../../src/doors/arp/gateway/routes.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { systemChance, systemClock } from '../../../src/engine/system.ts';
import type { Store } from '../../../src/store/open-store.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import type { Answer } from '../../server/client.ts';
import { WORLD, type Served, type Stack } from './support.ts';

/** A registry that knows these. */
export function types(...known: readonly NodeType[]): { get(id: string): Promise<NodeType> } {
  return {
    async get(id) {
      const found = known.find(({ node_type_id }) => node_type_id === id);
      if (found === undefined) throw new Error(`there is no ${id}`);
      return found;
    },
  };
}

export const ECHO = { node_type_id: 'atomic.echo', version: '1.0.0' };
export const PLANNER = { node_type_id: 'composite.planner', version: '1.0.0' };

export interface Opened extends Served {
  readonly coordinator: Coordinator;
  readonly engine: Engine;
  readonly assignments: AssignmentTokens;
  readonly store: Store;
  start(body?: Record<string, unknown>): Promise<Answer>;
  /** A run with a composite root; @returns the root's id. */
  composite(body?: Record<string, unknown>): Promise<{ runId: string; rootId: string }>;
  create(runId: string, parent: string, ...nodeRuns: Record<string, unknown>[]): Promise<Answer>;
  complete(nodeRunId: string, body: Record<string, unknown>): Promise<Answer>;
  events(path: string): Promise<Event[]>;
}

export interface Event {
  readonly seq: number;
  readonly type: string;
  readonly run_id: string;
  readonly node_run_id?: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface CoordinatorChoices
  extends Partial<Omit<CoordinatorOptions, 'engine'>>,
    Partial<Pick<CoordinatorWorld, 'authenticate' | 'checks' | 'heartbeatMs'>> {
  readonly store?: Store;
}

export async function openCoordinator(stack: Stack, choices: CoordinatorChoices = {}): Promise<Opened> {
  const { store = await stack.store('store'), authenticate, heartbeatMs, checks, ...options } = choices;
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  const assignments = new AssignmentTokens(randomBytes(32));
  const coordinator = new Coordinator({
    engine,
    policy: { allowsWithout: () => true },
    autoDispatch: false,
    ...options,
  });
  const group = coordinatorService(coordinator, {
    ...WORLD,
    assignments,
    checks: checks ?? (async () => []),
    ...(authenticate === undefined ? {} : { authenticate }),
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
  });
  const served = await stack.serve(group);
  return {
    ...served,
    coordinator,
    engine,
    store,
    assignments,
    start: (body = {}) => served.send('POST', '/v1/runs', { root_node_type_ref: ECHO, input: {}, ...body }),
    async composite(body = {}) {
      const answer = await served.send('POST', '/v1/runs', {
        root_node_type_ref: PLANNER,
        input: {},
        ...body,
      });
      return { runId: answer.json.run_id, rootId: answer.json.root_node_run_id };
    },
    create: (runId, parent, ...nodeRuns) =>
      served.send('POST', '/v1/node-runs', {
        run_id: runId,
        parent_node_run_id: parent,
        node_runs: nodeRuns.map((spec) => ({ node_type_ref: ECHO, inputs: {}, ...spec })),
      }),
    complete: (id, body) => served.send('POST', `/v1/node-runs/${id}:complete`, body),
    events: async (path) => eventsIn((await served.get(path)).text),
  };
}

/** A gateway before a coordinator of its own, or before an address. */
export async function openGateway(
  stack: Stack,
  choices: CoordinatorChoices & { readonly baseUrl?: string } = {},
): Promise<{ gateway: Served; coordinator: Opened | undefined }> {
  const { baseUrl, ...rest } = choices;
  const coordinator = baseUrl === undefined ? await openCoordinator(stack, rest) : undefined;
  const address: CoordinatorAddress = {
    baseUrl: baseUrl ?? coordinator?.url ?? '',
    authorization: async ({ headers }) => headers['authorization'] as string | undefined,
  };
  return { gateway: await stack.serve(gatewayService(address, WORLD)), coordinator };
}

export function eventsIn(text: string): Event[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Event => JSON.parse(line));
}
