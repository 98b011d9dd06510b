// Whatever is sent to the coordinator, it answers with what its schemas say, or with an envelope, and never with a 5xx.
import fc from 'fast-check';
import { expect } from 'vitest';
import { ERROR_ENVELOPE, EXTENSIONS } from '../../../src/doors/arp/wire/common.ts';
import { RUN_EVENT } from '../../../src/doors/arp/wire/core.ts';
import {
  NODE_RUN_COMPLETE_REQUEST,
  NODE_RUN_EVALUATION_REQUEST,
  NODE_RUNS_CREATE_REQUEST,
  RUN_START_REQUEST,
} from '../../../src/doors/arp/wire/requests.ts';
import { INTERNAL_NODE_RUN, INTERNAL_RUN } from '../../../src/doors/arp/wire/runs.ts';
import { list, object } from '../../../src/doors/wire-schema.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { openCoordinator } from './coordinator-rig.ts';
import { fitting, spoiled } from './documents.ts';
import { test } from './support.ts';

const CREATED = object({ node_runs: list(INTERNAL_NODE_RUN) }, { extensions: EXTENSIONS });

function sent(schema: object): fc.Arbitrary<unknown> {
  const fits = fitting(schema);
  return fc.oneof({ arbitrary: fits, weight: 2 }, fits.chain(spoiled));
}

test('G3 documents of all shapes, at every route that takes one', { timeout: 120_000 }, async ({ stack }) => {
  const c = await openCoordinator(stack);
  const { runId, rootId } = await c.composite();
  const made = await c.create(runId, rootId, ...Array.from({ length: 20 }, () => ({})));
  const leaves: string[] = made.json.node_runs.map(({ node_run_id: id }: { node_run_id: string }) => id);
  const routes = [
    ['/v1/runs', RUN_START_REQUEST, INTERNAL_RUN, {}],
    ['/v1/node-runs', NODE_RUNS_CREATE_REQUEST, CREATED, { run_id: runId, parent_node_run_id: rootId }],
    [`/v1/node-runs/${rootId}:evaluation`, NODE_RUN_EVALUATION_REQUEST, undefined, {}],
    ['', NODE_RUN_COMPLETE_REQUEST, undefined, {}],
  ] as const;
  const seen = new Set<number>();
  for (const [path, schema, answers, known] of routes) {
    await fc.assert(
      fc.asyncProperty(sent(schema), fc.nat(19), async (document, leaf) => {
        const body =
          typeof document === 'object' && document !== null && !Array.isArray(document)
            ? { ...document, ...known }
            : document;
        const at = path === '' ? `/v1/node-runs/${leaves[leaf]}:complete` : path;
        const { status, json } = await c.send('POST', at, body);
        seen.add(status);
        expect([status, json]).toEqual([
          expect.toSatisfy((code: number) => [200, 204, 400, 409].includes(code)),
          json,
        ]);
        if (status === 204) return;
        const expected = status === 200 ? (answers ?? {}) : ERROR_ENVELOPE;
        expect(await fieldErrors(expected, json)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  }
  expect(seen).toEqual(new Set([200, 204, 400, 409]));
  for (const event of await c.events(`/v1/runs/${runId}/events`))
    expect(await fieldErrors(RUN_EVENT, event)).toEqual([]);
});
