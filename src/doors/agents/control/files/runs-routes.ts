/** GET /runs and /runs/{run_id}: which runs there are, and the manifest of each (contract agents §2.2). */
import type { Route } from '../../../http.ts';
import { COUNT, list, object, TEXT, TIME, word } from '../../../wire-schema.ts';
import {
  ACTION,
  FILE_PATH,
  LIMIT_DEFAULT,
  NAME,
  PAGE_QUERY,
  SHA256,
  SHORT_TEXT,
  UUID,
} from '../../wire/common.ts';
import { timestamp } from '../../ids.ts';
import { notFound } from '../../wire/errors.ts';
import { TASK_STATUSES, type TaskStatus, type TaskView } from '../../wire/tasks.ts';
import { callerOf } from '../callers.ts';
import type { TaskBoard, TaskQuery } from '../ports.ts';
import type { FileIndex, FileRow } from './index-tables.ts';
import { countsOf } from './run-files.ts';

export interface RunsRouteOptions {
  readonly index: FileIndex;
  readonly board: Pick<TaskBoard, 'list' | 'ofRun'>;
}

const ABOUT_RUN = {
  task_id: UUID,
  action: ACTION,
  status: word(...TASK_STATUSES),
  attempt: COUNT,
  created_at: TIME,
} as const;
const MORE_ABOUT_RUN = {
  agent_id: NAME,
  started_at: TIME,
  finished_at: TIME,
  exit_code: { type: ['integer', 'null'] },
  rollout_id: UUID,
} as const;
const TOTALS = { files: COUNT, bytes: COUNT, removed: COUNT } as const;
const RUN_LIST = object(
  { runs: list(object({ run_id: NAME, ...ABOUT_RUN, ...TOTALS }, MORE_ABOUT_RUN)) },
  { next_cursor: SHORT_TEXT },
);
const FILE = object(
  { path: FILE_PATH, size: COUNT, sha256: SHA256, kind: TEXT, attempt: COUNT, created_at: TIME },
  {
    /** Secrets were replaced: this is what was sent. */
    redacted: object({ sent_size: COUNT, sent_sha256: SHA256, counts: { type: 'object' } as const }, {}),
    /** Retention removed the bytes. */
    removed_at: TIME,
  },
);
const MANIFEST = object(
  { run_id: NAME, files: list(FILE), bytes: COUNT },
  { ...ABOUT_RUN, ...MORE_ABOUT_RUN },
);

const FILTERS = {
  status: { description: 'Of the task', schema: { type: 'string', enum: TASK_STATUSES } },
  agent: { description: 'That ran it last', schema: { type: 'string' } },
  action: { description: 'Exactly this one', schema: { type: 'string' } },
  rollout: { description: 'That it belongs to', schema: { type: 'string' } },
} as const;

export function runsRoutes({ index, board }: RunsRouteOptions): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/runs',
      operation: 'listRuns',
      summary: 'Runs, newest first, and how much each has stored.',
      query: { ...PAGE_QUERY, ...FILTERS },
      responses: { 200: { description: 'A page', schema: RUN_LIST } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        const { limit = LIMIT_DEFAULT, ...query } = request.query as Partial<TaskQuery>;
        const { items, nextCursor } = await board.list(tenant, { ...query, limit });
        const runs = items.map((task) => ({
          run_id: task.run_id,
          ...aboutRun(task),
          ...index.totals(tenant, task.run_id),
        }));
        return { json: { runs, ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }) } };
      },
    },
    {
      method: 'GET',
      path: '/runs/{run_id}',
      operation: 'getRun',
      summary: 'The manifest of a run: every file it ever stored, with its digest.',
      responses: { 200: { description: 'The manifest', schema: MANIFEST } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        const { run_id: runId = '' } = request.params;
        const task = await board.ofRun(tenant, runId);
        const files = index.files(tenant, runId);
        if (task === undefined && files.length === 0) throw notFound('run', runId);
        return {
          json: {
            run_id: runId,
            ...(task === undefined ? {} : aboutRun(task)),
            files: files.map(fileView),
            bytes: index.totals(tenant, runId).bytes,
          },
        };
      },
    },
  ];
}

interface AboutRun {
  readonly task_id: string;
  readonly action: string;
  readonly status: TaskStatus;
  readonly attempt: number;
  readonly created_at: string;
}

function aboutRun(task: TaskView): AboutRun {
  const {
    task_id,
    action,
    status,
    attempt,
    created_at,
    agent_id,
    started_at,
    finished_at,
    result,
    rollout_id,
  } = task;
  return {
    task_id,
    action,
    status,
    attempt,
    created_at,
    ...(agent_id === undefined ? {} : { agent_id }),
    ...(started_at === undefined ? {} : { started_at }),
    ...(finished_at === undefined ? {} : { finished_at }),
    ...(result?.exit_code === undefined ? {} : { exit_code: result.exit_code }),
    ...(rollout_id === undefined ? {} : { rollout_id }),
  };
}

function fileView(row: FileRow): object {
  const { path, size, sha256, kind, attempt, created_ms: createdMs, removed_ms: removedMs } = row;
  const redacted = { sent_size: row.sent_size, sent_sha256: row.sent_sha256, counts: countsOf(row) };
  return {
    path,
    size,
    sha256,
    kind,
    attempt,
    created_at: timestamp(createdMs),
    ...(row.redactions === null ? {} : { redacted }),
    ...(removedMs === null ? {} : { removed_at: timestamp(removedMs) }),
  };
}
