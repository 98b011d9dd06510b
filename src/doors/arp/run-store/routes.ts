/** The Run Store over HTTP (contract arp §2). Beside it: a list of runs, and replacing only what was read (H2, H24). */
import type { HttpRequest, JsonReply, Route, RouteGroup } from '../../http.ts';
import { pageDocument, pageQuery, PAGING } from '../pages.ts';
import { arpService, checked } from '../services.ts';
import { RUN_STATE } from '../wire/core.ts';
import { ArpError } from '../wire/errors.ts';
import type { InternalNodeRun, InternalRun } from '../wire/runs.ts';
import type { RunRecords, Stored } from './records.ts';
import {
  NODE_RUN_CREATE,
  NODE_RUN_PAGE,
  NODE_RUN_RECORD,
  RUN_CREATE,
  RUN_PAGE,
  RUN_RECORD,
} from './schemas.ts';

const BODY_BYTES_MAX = 16 * 1_048_576;

export function runStoreService(
  records: RunRecords,
  world: { readonly version: string; nowMs(): number },
): RouteGroup {
  return arpService({
    ...world,
    service: 'run-store',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: async () => [await checked('database', () => records.probe())],
    routes: [...runRoutes(records), ...nodeRunRoutes(records)],
  });
}

function runRoutes(records: RunRecords): readonly Route[] {
  const record = { 200: { description: 'The run; its version as ETag', schema: RUN_RECORD } };
  return [
    {
      method: 'POST',
      path: '/v1/runs',
      operation: 'createRun',
      summary: 'Stores a new run; the same key and id again give what is stored.',
      body: { schema: RUN_CREATE, required: true },
      responses: record,
      async handle({ body }) {
        const { run, idempotency_key: key } = body as { run: InternalRun; idempotency_key?: string };
        return { json: { run: records.createRun(run, key) } };
      },
    },
    {
      method: 'GET',
      path: '/v1/runs',
      operation: 'listRuns',
      summary: 'Runs in the order of their insertion.',
      query: {
        ...PAGING,
        state: { description: 'Only runs in this state', schema: RUN_STATE },
      },
      responses: { 200: { description: 'A page', schema: RUN_PAGE } },
      async handle({ query }) {
        const state = query['state'] as string | undefined;
        return { json: pageDocument(records.runs(pageQuery(query), state)) };
      },
    },
    {
      method: 'GET',
      path: '/v1/runs/{run_id}',
      operation: 'getRun',
      summary: 'A run.',
      responses: record,
      handle: async ({ params }) => stored('run', records.getRun(params['run_id'] ?? '')),
    },
    {
      method: 'PUT',
      path: '/v1/runs/{run_id}',
      operation: 'replaceRun',
      summary: 'Replaces a run as a whole; with If-Match only the version that was read.',
      body: { schema: RUN_RECORD, required: true },
      responses: record,
      async handle({ params, body, headers }) {
        const { run } = body as { run: InternalRun };
        return stored('run', records.putRun(params['run_id'] ?? '', run, expectedVersion(headers)));
      },
    },
    {
      method: 'GET',
      path: '/v1/runs/{run_id}/node-runs',
      operation: 'listNodeRuns',
      summary: 'NodeRuns of a run in the order of their insertion; none for an unknown run.',
      query: PAGING,
      responses: { 200: { description: 'A page', schema: NODE_RUN_PAGE } },
      handle: async ({ params, query }) => ({
        json: pageDocument(records.nodeRuns(params['run_id'] ?? '', pageQuery(query))),
      }),
    },
  ];
}

function nodeRunRoutes(records: RunRecords): readonly Route[] {
  const record = { 200: { description: 'The NodeRun; its version as ETag', schema: NODE_RUN_RECORD } };
  return [
    {
      method: 'POST',
      path: '/v1/node-runs',
      operation: 'createNodeRun',
      summary:
        'Stores a new NodeRun; the same key below the same parent and the same id again give what is stored.',
      body: { schema: NODE_RUN_CREATE, required: true },
      responses: record,
      async handle({ body }) {
        const { node_run: nodeRun, idempotency_key: key } = body as {
          node_run: InternalNodeRun;
          idempotency_key?: string;
        };
        return { json: { node_run: records.createNodeRun(nodeRun, key) } };
      },
    },
    {
      method: 'GET',
      path: '/v1/node-runs/{node_run_id}',
      operation: 'getNodeRun',
      summary: 'A NodeRun.',
      responses: record,
      handle: async ({ params }) => stored('node_run', records.getNodeRun(params['node_run_id'] ?? '')),
    },
    {
      method: 'PUT',
      path: '/v1/node-runs/{node_run_id}',
      operation: 'replaceNodeRun',
      summary: 'Replaces a NodeRun as a whole; with If-Match only the version that was read.',
      body: { schema: NODE_RUN_RECORD, required: true },
      responses: record,
      async handle({ params, body, headers }) {
        const { node_run: nodeRun } = body as { node_run: InternalNodeRun };
        const id = params['node_run_id'] ?? '';
        return stored('node_run', records.putNodeRun(id, nodeRun, expectedVersion(headers)));
      },
    },
  ];
}

function stored<T>(kind: 'run' | 'node_run', { record, version }: Stored<T>): JsonReply {
  return { headers: { etag: `"${version}"` }, json: { [kind]: record } };
}

/** @throws ArpError 412: none of ours was ever read as this one. */
function expectedVersion(headers: HttpRequest['headers']): number | undefined {
  const given = headers['if-match'];
  if (given === undefined || given === '*') return undefined;
  const [, digits] = /^"(\d{1,15})"$/.exec(String(given)) ?? [];
  if (digits !== undefined) return Number(digits);
  throw new ArpError(412, 'version_mismatch', 'If-Match must be an ETag that was given out here');
}
