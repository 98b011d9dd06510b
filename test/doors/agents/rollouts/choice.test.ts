import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  chooseBatches,
  chooseCanary,
  type Candidate,
} from '../../../../src/doors/agents/control/rollouts/choice.ts';
import { rolloutSpec } from '../../../../src/doors/agents/control/rollouts/spec.ts';
import type { NewRollout } from '../../../../src/doors/agents/wire/rollouts.ts';

const specOf = (more: Partial<NewRollout> = {}) =>
  rolloutSpec({ name: 'r', skill: { name: 's', version: '1.0.0' }, target: {}, ...more }, 'default');
const agents = (count: number, labels: Record<string, string> = {}): Candidate[] =>
  Array.from({ length: count }, (_, index) => ({ agentId: `agent-${index}`, labels, isReady: true }));

describe('J23 who comes first', () => {
  test('the same rollout and agents give the same choice, in whatever order they are listed', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.shuffledSubarray(agents(30), { minLength: 1 }), (id, some) => {
        const sorted = some.toSorted((a, b) => a.agentId.localeCompare(b.agentId));
        expect(chooseCanary(id, specOf(), some)).toEqual(chooseCanary(id, specOf(), sorted));
      }),
    );
  });

  test('another rollout chooses others', () => {
    const choices = ['a', 'b', 'c', 'd'].map((id) => chooseCanary(id, specOf(), agents(100)).canary.join());
    expect(new Set(choices).size).toBe(4);
  });

  test.each([
    [1, 1],
    [9, 1],
    [10, 1],
    [19, 1],
    [20, 2],
    [100, 10],
  ])('ten per cent of %i agents are %i', (all, chosen) => {
    expect(chooseCanary('r', specOf(), agents(all)).canary).toHaveLength(chosen);
  });

  test('only agents that are online, not drained and meant', () => {
    const mixed = [
      { agentId: 'off', labels: { site: 'x' }, isReady: false },
      { agentId: 'other', labels: { site: 'y' }, isReady: true },
      { agentId: 'fit', labels: { site: 'x', ring: '0' }, isReady: true },
      { agentId: 'late', labels: { site: 'x', ring: '1' }, isReady: true },
    ];
    const spec = specOf({ target: { labels: { site: 'x' } }, canary: { count: 5, labels: { ring: '0' } } });
    expect(chooseCanary('r', spec, mixed).canary).toEqual(['fit']);
    expect(chooseCanary('r', specOf({ target: { agent_ids: ['off'] } }), mixed).canary).toEqual([]);
  });

  test('required agents are part of it, and it is said when one is not there', () => {
    const spec = specOf({ canary: { count: 2 }, criteria: { required_agents: ['agent-7', 'gone'] } });
    const { canary, missing } = chooseCanary('r', spec, agents(20));
    expect(canary).toHaveLength(2);
    expect(canary[0]).toBe('agent-7');
    expect(missing).toEqual(['gone']);
  });

  test('J25 batches hold everybody else once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom(1, 7, '25%', '33%', '100%', '1%'),
        (count, batch_size) => {
          const all = agents(count);
          const spec = specOf({ batch_size });
          const { canary } = chooseCanary('r', spec, all);
          const batches = chooseBatches('r', spec, all, new Set(canary));
          expect([...canary, ...batches.flat()].toSorted()).toEqual(
            all.map(({ agentId }) => agentId).toSorted(),
          );
          if (batch_size === '25%') expect(batches.length).toBeLessThanOrEqual(4);
        },
      ),
    );
  });
});
