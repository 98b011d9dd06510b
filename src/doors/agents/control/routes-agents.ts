/** What agents call (contract agents §2). */
import type { HttpRequest, Route } from '../../http.ts';
import {
  HEARTBEAT_REPLY,
  HEARTBEAT_REQUEST,
  REGISTER_REPLY,
  REGISTER_REQUEST,
  WAIT_MAX_S,
  type HeartbeatReply,
  type HeartbeatRequest,
  type RegisterRequest,
} from '../wire/agents.ts';
import { NAME } from '../wire/common.ts';
import { AgentsFailure } from '../wire/errors.ts';
import {
  LEASE_REPLY,
  LEASE_REQUEST,
  POLLED,
  RESULT_REPLY,
  RESULT_REQUEST,
  START_REQUEST,
  type ResultRequest,
} from '../wire/tasks.ts';
import type { Agent } from './agent-rows.ts';
import type { Agents } from './agents.ts';
import type { AllowLists } from './allow-lists.ts';
import type { Board } from './board/board.ts';
import { callerOf, callerOrAnonymous, requireTenant } from './callers.ts';
import { idsFrom } from './idempotency.ts';
import type { Caller } from './ports.ts';

/** Polls of one agent that may wait at a time, beyond the tasks that it could take. */
const POLLS_MAX = 16;
const RESULT_BYTES_MAX = 8 * 1_048_576;

export interface AgentRoutesOptions {
  readonly agents: Agents;
  readonly board: Board;
  readonly allowLists: AllowLists;
  readonly pollS: number;
  readonly leaseS: number;
}

export function agentRoutes(options: AgentRoutesOptions): readonly Route[] {
  return [registerRoute(options), pollRoute(options), heartbeatRoute(options), ...leaseRoutes(options)];
}

function registerRoute({ agents, board, allowLists, pollS, leaseS }: AgentRoutesOptions): Route {
  return {
    method: 'POST',
    path: '/register',
    operation: 'registerAgent',
    summary: 'An agent says who it is. The first time it gets its token, and never again.',
    body: { schema: REGISTER_REQUEST, required: true },
    responses: { 200: { description: 'How it is to ask', schema: REGISTER_REPLY } },
    async handle(request) {
      const by = callerOrAnonymous(request, 'enrolment', 'agent');
      const body = request.body as RegisterRequest;
      requireTenant(by, body.tenant);
      const isTrusting = request.principal?.via === 'anonymous';
      const token = await agents.register(by, body, isTrusting, idsFrom(request, 'enrol') ?? null);
      board.wakeAgent(by.tenant, body.agent_id);
      return {
        json: {
          status: 'ok',
          agent_id: body.agent_id,
          ...(token === undefined ? {} : { agent_token: token }),
          poll_interval_s: pollS,
          lease_s: leaseS,
          allowlist_serial: allowLists.serial(by.tenant),
        },
      };
    },
  };
}

function pollRoute({ agents, board }: AgentRoutesOptions): Route {
  return {
    method: 'GET',
    path: '/task',
    operation: 'pollTask',
    summary: 'A task for the agent, or null. With `wait` the answer comes as soon as there is one.',
    query: {
      wait: {
        description: `How long to wait for one, seconds (default 0, at most ${WAIT_MAX_S})`,
        schema: { type: 'integer', minimum: 0, maximum: WAIT_MAX_S },
      },
      agent_id: { description: 'Who asks, where no token says it', schema: NAME },
    },
    responses: { 200: { description: 'A task, or null', schema: POLLED } },
    async handle(request) {
      const by = callerOrAnonymous(request, 'agent');
      const agent = pollingAgent(agents, by, request);
      if (agent === undefined) return { json: { task: null } };
      const waitS = (request.query['wait'] as number | undefined) ?? 0;
      if (agents.waitingPolls(agent) >= agent.about.max_parallel + POLLS_MAX) throw tooManyPolls();
      agents.touch(agent);
      const done = agents.waits(agent);
      try {
        const task = await board.poll(agent, waitS * 1000, request.signal);
        return { json: { task: task ?? null } };
      } finally {
        done();
      }
    },
  };
}

/** Undefined: an agent of the original, which polls without ever having said who it is. */
function pollingAgent(agents: Agents, by: Caller, { principal, query }: HttpRequest): Agent | undefined {
  const named = query['agent_id'] as string | undefined;
  if (principal?.via === 'anonymous') return named === undefined ? undefined : agents.find(by.tenant, named);
  if (named !== undefined && named !== by.actor)
    throw new AgentsFailure(403, 'forbidden', 'the token is of another agent', { field: 'agent_id' });
  return agents.require(by.tenant, by.actor);
}

function tooManyPolls(): AgentsFailure {
  const message = 'too many polls of this agent wait already';
  return new AgentsFailure(429, 'rate_limited', message, {}, { 'retry-after': String(WAIT_MAX_S) });
}

function heartbeatRoute({ agents, board, allowLists }: AgentRoutesOptions): Route {
  return {
    method: 'POST',
    path: '/heartbeat',
    operation: 'heartbeat',
    summary: 'A sign of life: what the agent runs, and what of it it is to stop.',
    body: { schema: HEARTBEAT_REQUEST, required: true },
    responses: { 200: { description: 'What it is to do', schema: HEARTBEAT_REPLY } },
    async handle(request) {
      const by = callerOf(request, 'agent');
      const agent = agents.require(by.tenant, by.actor);
      agents.touch(agent);
      const { running } = request.body as HeartbeatRequest;
      const reply: HeartbeatReply = {
        cancel: board.toStop(by, running),
        allowlist_serial: allowLists.serial(by.tenant),
        drain: agent.drained,
      };
      return { json: reply };
    },
  };
}

function leaseRoutes({ agents, board }: AgentRoutesOptions): readonly Route[] {
  const agentIn = (request: HttpRequest): Caller => {
    const by = callerOf(request, 'agent');
    agents.touch(agents.require(by.tenant, by.actor));
    return by;
  };
  return [
    {
      method: 'POST',
      path: '/tasks/{task_id}/lease',
      operation: 'renewLease',
      summary: 'Keeps a task: its lease holds for another while.',
      body: { schema: LEASE_REQUEST, required: true },
      responses: { 200: { description: 'Until when', schema: LEASE_REPLY } },
      async handle(request) {
        const by = agentIn(request);
        const { lease_id } = request.body as { readonly lease_id: string };
        return { json: { lease_expires_at: await board.leases.renew(by, taskIdOf(request), lease_id) } };
      },
    },
    {
      method: 'POST',
      path: '/tasks/{task_id}/start',
      operation: 'startTask',
      summary: 'The agent has begun.',
      body: { schema: START_REQUEST, required: true },
      responses: { 204: { description: 'Recorded', schema: 'none' } },
      async handle(request) {
        const by = agentIn(request);
        const { lease_id, started_at } = request.body as {
          readonly lease_id: string;
          readonly started_at?: string;
        };
        await board.leases.start(by, taskIdOf(request), lease_id, started_at);
        return { status: 204, empty: true };
      },
    },
    {
      method: 'POST',
      path: '/tasks/{task_id}/result',
      operation: 'reportResult',
      summary: 'How it ended. The same report again changes nothing.',
      body: { schema: RESULT_REQUEST, required: true },
      bodyBytesMax: RESULT_BYTES_MAX,
      responses: { 200: { description: 'How the task stands', schema: RESULT_REPLY } },
      async handle(request) {
        const by = agentIn(request);
        const status = await board.leases.result(by, taskIdOf(request), request.body as ResultRequest);
        return { json: { status } };
      },
    },
  ];
}

function taskIdOf({ params }: HttpRequest): string {
  return params['task_id'] ?? '';
}
