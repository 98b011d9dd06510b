/** What operators ask about tasks (contract agents §2). */
import { list, object } from '../../wire-schema.ts';
import type { HttpRequest, Route } from '../../http.ts';
import { LIMIT_DEFAULT, PAGE_QUERY } from '../wire/common.ts';
import { invalidField, notFound } from '../wire/errors.ts';
import { derivedId, newId } from '../ids.ts';
import {
  CANCEL_REQUEST,
  NEW_TASK,
  TASK_CREATED,
  TASK_LIST,
  TASK_STATUSES,
  TASK_VIEW,
  type NewTask,
  type TaskCreated,
  type TaskStatus,
  type TaskView,
} from '../wire/tasks.ts';
import type { Agents } from './agents.ts';
import { fits } from './board/queue.ts';
import { callerOf, callerOrAnonymous, requireTenant } from './callers.ts';
import { idsFrom } from './idempotency.ts';
import type { Caller, TaskBoard } from './ports.ts';

type TaskRequest = NewTask & { readonly fan_out?: boolean };

export interface TaskRoutesOptions {
  readonly board: TaskBoard;
  readonly agents: Agents;
}

export function taskRoutes({ board, agents }: TaskRoutesOptions): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/tasks',
      operation: 'createTask',
      summary: 'Queues a task; with `fan_out` one for each agent that fits.',
      body: { schema: NEW_TASK, required: true },
      responses: {
        201: {
          description: 'Queued',
          schema: { oneOf: [TASK_CREATED, object({ tasks: list(TASK_CREATED) }, {})] },
        },
      },
      async handle(request) {
        const by = callerOrAnonymous(request, 'operator');
        const { fan_out: isFannedOut = false, ...task } = request.body as TaskRequest;
        requireTenant(by, task.tenant);
        if (isFannedOut) return { status: 201, json: { tasks: await fanOut(by, task, request) } };
        const seed = idsFrom(request, 'task');
        const ids =
          seed === undefined ? undefined : { taskId: seed, runId: task.run_id ?? derivedId('run', seed) };
        return { status: 201, json: createdOf(await board.create(by, task, ids)) };
      },
    },
    {
      method: 'GET',
      path: '/tasks',
      operation: 'listTasks',
      summary: 'Tasks of the tenant, newest first.',
      query: {
        ...PAGE_QUERY,
        status: { description: 'Only these', schema: { type: 'string', enum: TASK_STATUSES } },
        agent: { description: 'Of this agent, by the last attempt', schema: { type: 'string' } },
        action: { description: 'Of this action', schema: { type: 'string' } },
        rollout: { description: 'Of this rollout', schema: { type: 'string' } },
      },
      responses: { 200: { description: 'Tasks', schema: TASK_LIST } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        const { limit = LIMIT_DEFAULT, ...query } = request.query as {
          readonly limit?: number;
          readonly cursor?: string;
          readonly status?: TaskStatus;
        };
        const page = await board.list(tenant, { ...query, limit });
        const next = page.nextCursor === undefined ? {} : { next_cursor: page.nextCursor };
        return { json: { tasks: page.items, ...next } };
      },
    },
    {
      method: 'GET',
      path: '/tasks/{task_id}',
      operation: 'getTask',
      summary: 'One task.',
      responses: { 200: { description: 'The task', schema: TASK_VIEW } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        const id = request.params['task_id'] ?? '';
        const view = await board.get(tenant, id);
        if (view === undefined) throw notFound('task', id);
        return { json: view };
      },
    },
    {
      method: 'POST',
      path: '/tasks/{task_id}/cancel',
      operation: 'cancelTask',
      summary: 'A queued task ends at once; of one that runs its agent is told.',
      body: { schema: CANCEL_REQUEST, required: false },
      responses: { 200: { description: 'The task', schema: TASK_VIEW } },
      async handle(request) {
        const by = callerOf(request, 'operator');
        const { reason } = (request.body ?? {}) as { readonly reason?: string };
        return { json: await board.cancel(by, request.params['task_id'] ?? '', reason) };
      },
    },
  ];

  /** One task for each agent that fits and is not drained, whether it is there or not. */
  async function fanOut(by: Caller, task: NewTask, request: HttpRequest): Promise<readonly TaskCreated[]> {
    if (task.run_id !== undefined)
      throw invalidField('run_id', 'names one run, and fan_out makes one for each agent');
    const target = task.target ?? {};
    const chosen = agents
      .list(by.tenant)
      .filter(({ agent_id: id, labels, state }) => state !== 'drained' && fits(target, { id, labels }));
    if (chosen.length === 0) throw invalidField('target', 'fits no agent that takes tasks');
    const seed = idsFrom(request, 'fan-out') ?? newId();
    const made: TaskView[] = [];
    for (const { agent_id } of chosen) {
      const ids = { taskId: derivedId('task', seed, agent_id), runId: derivedId('run', seed, agent_id) };
      made.push(await board.create(by, { ...task, target: { agent_ids: [agent_id] } }, ids));
    }
    return made.map(createdOf);
  }
}

function createdOf({ task_id, run_id, status }: TaskView): TaskCreated {
  return { task_id, run_id, status };
}
