// Coordinators of two machines on one store in PostgreSQL.
import { expect } from 'vitest';
import { describePostgres } from '../../store/postgres/rig.ts';
import { eventsIn, openCoordinator, type Opened } from './coordinator-rig.ts';
import { expectSame, openMirror, others, upToDate } from './mirror-rig.ts';
import { test, type Stack } from './support.ts';

describePostgres('coordinators on PostgreSQL', (server) => {
  async function two(stack: Stack): Promise<readonly [Opened, Opened]> {
    const postgres = server().address();
    const machine = async (name: string): Promise<Opened> =>
      openCoordinator(stack, { store: await stack.store(name, { postgres }) });
    return [await machine('a'), await machine('b')];
  }

  test('G31 limits hold between them, and a stream here ends with what is done there', async ({ stack }) => {
    const [a, b] = await two(stack);
    const { runId, rootId } = await a.composite({
      constraints: { structural: { max_children_per_composite: 10 } },
    });
    const stream = await fetch(`${a.url}/v1/runs/${runId}/events?follow=1`);
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => (index % 2 === 0 ? a : b).create(runId, rootId, {})),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ json }) => json.error?.code === 'constraint_violation')).toHaveLength(20);
    const same = await Promise.all(
      [a, b].map((c) =>
        c.start({ run_id: 'race', root_node_type_ref: { node_type_id: 'atomic.x', version: '1' } }),
      ),
    );
    expect(new Set(same.map(({ status }) => status))).toEqual(new Set([200, 409]));
    expect((await b.complete(rootId, { state: 'succeeded' })).status).toBe(204);
    const events = eventsIn(await stream.text());
    expect(events).toEqual(await b.events(`/v1/runs/${runId}/events`));
    expect(events.at(-1)?.type).toBe('run_completed');
    expect((await a.complete(rootId, { state: 'failed' })).status).toBe(409);
  });

  test('both mirror what either does, and nothing is there twice', async ({ stack }) => {
    const [a, b] = await two(stack);
    const services = await others(stack);
    const mirrors = [
      openMirror(stack, a, services, stack.path('a.sqlite')),
      openMirror(stack, b, services, stack.path('b.sqlite')),
    ];
    const runs = await Promise.all(
      [a, b, a, b].map(async (c, at) => {
        const { runId, rootId } = await c.composite();
        const other = at % 2 === 0 ? b : a;
        await Promise.all([c.create(runId, rootId, {}, {}), other.create(runId, rootId, {})]);
        await other.complete(rootId, { state: 'succeeded' });
        return runId;
      }),
    );
    for (const mirror of mirrors) await upToDate(a, mirror);
    for (const runId of runs) await expectSame(a, services, runId);
    expect(mirrors.flatMap(({ notes }) => notes)).toEqual([]);
  });
});
