/** Rollouts over HTTP (contract agents §7): for operators. */
import type { HttpRequest, Route } from '../../../http.ts';
import { LIMIT_DEFAULT, PAGE_QUERY } from '../../wire/common.ts';
import { timestamp } from '../../ids.ts';
import {
  NEW_ROLLOUT,
  ROLLOUT_CREATED,
  ROLLOUT_LIST,
  ROLLOUT_STATES,
  ROLLOUT_STEP,
  ROLLOUT_VIEW,
  type NewRollout,
  type RolloutStep,
  type RolloutView,
} from '../../wire/rollouts.ts';
import { callerOf, requireTenant } from '../callers.ts';
import { idsFrom } from '../idempotency.ts';
import type { TaskView } from '../../wire/tasks.ts';
import type { TaskBoard } from '../ports.ts';
import type { Rollout } from './record.ts';
import type { Rollouts } from './rollouts.ts';
import type { Verb } from './rules.ts';

export interface RolloutRoutesOptions {
  readonly rollouts: Rollouts;
  readonly board: TaskBoard;
}

const VERBS: readonly (readonly [verb: Verb, summary: string])[] = [
  ['start', 'Let a draft begin with its canary.'],
  ['promote', 'Run the agents that are left; of a failing verdict with `override: true` only.'],
  ['abort', 'Cancel what is queued, stop what runs, hand out nothing more.'],
  ['pause', 'Hand out nothing more for now; what runs goes on.'],
  ['resume', 'Go on behind a pause.'],
];

export function rolloutRoutes({ rollouts, board }: RolloutRoutesOptions): readonly Route[] {
  const view = async ({ mount }: HttpRequest, rollout: Rollout): Promise<RolloutView> =>
    viewOf(rollout, { mount, tasks: await board.ofRollout(rollout.spec.tenant, rollout.id) });
  return [
    {
      method: 'POST',
      path: '/rollouts',
      operation: 'createRollout',
      summary: 'Begin with a few agents what is to reach all that are meant.',
      body: { schema: NEW_ROLLOUT, required: true },
      responses: { 201: { description: 'It is on record.', schema: ROLLOUT_CREATED } },
      handle: async (request) => {
        const by = callerOf(request, 'operator');
        const asked = request.body as NewRollout;
        requireTenant(by, asked.tenant);
        const { id, state } = await rollouts.create(by, asked, idsFrom(request, 'rollout'));
        return { status: 201, json: { rollout_id: id, state } };
      },
    },
    {
      method: 'GET',
      path: '/rollouts',
      operation: 'listRollouts',
      summary: 'Rollouts, newest first.',
      query: {
        ...PAGE_QUERY,
        state: { description: 'Only in this state', schema: { type: 'string', enum: ROLLOUT_STATES } },
        environment: { description: 'Only in this environment', schema: { type: 'string' } },
      },
      responses: { 200: { description: 'A page of them, without their tasks.', schema: ROLLOUT_LIST } },
      handle: async (request) => {
        const { tenant } = callerOf(request, 'operator');
        const { limit = LIMIT_DEFAULT, cursor, state, environment } = request.query;
        const { items, nextCursor } = await rollouts.list(tenant, {
          limit: limit as number,
          ...(cursor === undefined ? {} : { cursor: cursor as string }),
          ...(state === undefined ? {} : { state: state as string }),
          ...(environment === undefined ? {} : { environment: environment as string }),
        });
        const page = items.map((rollout) => viewOf(rollout));
        return { json: { rollouts: page, ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }) } };
      },
    },
    {
      method: 'GET',
      path: '/rollouts/{rollout_id}',
      operation: 'getRollout',
      summary: 'A rollout: its state, its verdict criterion by criterion, and its tasks.',
      responses: { 200: { description: 'The rollout.', schema: ROLLOUT_VIEW } },
      handle: async (request) => {
        const { tenant } = callerOf(request, 'operator');
        return { json: await view(request, await rollouts.get(tenant, idOf(request))) };
      },
    },
    ...VERBS.map(
      ([verb, summary]): Route => ({
        method: 'POST',
        path: `/rollouts/{rollout_id}/${verb}`,
        operation: `${verb}Rollout`,
        summary,
        body: { schema: ROLLOUT_STEP, required: true },
        responses: { 200: { description: 'The rollout as it is now.', schema: ROLLOUT_VIEW } },
        handle: async (request) => {
          const by = callerOf(request, 'operator');
          const { reason, expected_state: expectedState, override } = request.body as RolloutStep;
          const rollout = await rollouts.act(by, idOf(request), verb, {
            by: by.actor,
            reason,
            ...(expectedState === undefined ? {} : { expectedState }),
            ...(override === undefined ? {} : { override }),
          });
          return { json: await view(request, rollout) };
        },
      }),
    ),
  ];
}

function idOf({ params }: HttpRequest): string {
  return params['rollout_id'] ?? '';
}

function viewOf(
  rollout: Rollout,
  shown?: { readonly mount: string; readonly tasks: readonly TaskView[] },
): RolloutView {
  const {
    id,
    spec,
    state,
    pausedFrom,
    canary,
    batches,
    batchesDone,
    verdict,
    verdictAtMs,
    lastAct,
    failure,
  } = rollout;
  return {
    rollout_id: id,
    state,
    ...(pausedFrom === undefined ? {} : { paused_from: pausedFrom }),
    ...spec,
    canary_agents: canary,
    batches,
    batches_done: batchesDone,
    ...(verdict === undefined ? {} : { verdict: { ...verdict, evaluated_at: timestamp(verdictAtMs ?? 0) } }),
    ...(lastAct === undefined ? {} : { last_action: lastAct }),
    ...(failure === undefined ? {} : { failure }),
    created_at: timestamp(rollout.createdAtMs),
    updated_at: timestamp(rollout.updatedAtMs),
    ...(shown === undefined
      ? {}
      : {
          tasks: shown.tasks.map(({ task_id, run_id, target, status, phase }) => ({
            task_id,
            run_id,
            agent_id: target.agent_ids?.[0] ?? '',
            status,
            ...(phase === undefined ? {} : { phase }),
            artifacts: `${shown.mount}/runs/${run_id}`,
          })),
        }),
  };
}
