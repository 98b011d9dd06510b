/** Selection over HTTP before a real registry, for tests. */
import { expect } from 'vitest';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { devMock } from '../../../src/doors/arp/llm/dev-mock.ts';
import type { Llm } from '../../../src/doors/arp/llm/llm.ts';
import { builtinTypes } from '../../../src/doors/arp/registry/builtin-types.ts';
import { CANDIDATE_SET, type NodeType } from '../../../src/doors/arp/wire/core.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import type { Any } from '../../cli/rig.ts';
import { hasNull, type Stack } from './support.ts';

export const PLANNER = { node_type_id: 'jarvis.composite.planner.general', version: '0.3.8' };
export const type = (node_type_id: string, more: Partial<NodeType> = {}): NodeType => ({
  node_type_id,
  version: '1.0.0',
  kind: 'atomic',
  ...more,
});
export const subtask = (goal: string, more: object = {}) => ({
  subtask_spec: { subtask_id: 'S1', goal, ...more },
});

export interface Setting {
  readonly types?: readonly NodeType[];
  readonly strategy?: string;
  readonly llm?: Llm;
  readonly topDefault?: number;
  readonly plannerId?: string;
}

/** Selection over HTTP, which asks a registry over HTTP. */
export async function selecting(
  stack: Stack,
  { types = builtinTypes('0.3.8'), strategy, ...more }: Setting = {},
) {
  const registry = stack.registry();
  registry.registry.seed(types);
  const nodeTypes = registryClient({ baseUrl: (await registry).url });
  const how = strategy ?? (more.llm === undefined ? 'deterministic' : 'llm');
  const service = await stack.selection({ nodeTypes, strategy: how, ...more });
  return {
    service,
    registry: registry.registry,
    async ask(request: object): Promise<Any> {
      const answer = await service.send('POST', '/v1/candidate-sets', request);
      if (answer.status !== 200) return { status: answer.status, ...answer.json.error };
      expect(await fieldErrors(CANDIDATE_SET, answer.json)).toEqual([]);
      expect(hasNull(answer.json)).toBe(false);
      return answer.json;
    },
  };
}

export const idsOf = (set: Any): string[] => set.candidates.map((one: Any) => one.node_type_ref.node_type_id);

export interface Ranking {
  readonly candidates?: readonly object[];
  readonly needs_planner?: boolean;
  readonly blocked_reason?: string | null;
  readonly missing_inputs?: readonly string[];
}

export const named = (node_type_id: string, version: string | null = null, score: number | null = null) => ({
  node_type_id,
  version,
  score,
  rationale: score === null ? null : 'fits',
});

/** A language model that ranks so, once per argument. */
export function model(...rankings: readonly Ranking[]): Llm {
  const whole = { candidates: [], needs_planner: false, blocked_reason: null, missing_inputs: [] };
  return devMock(rankings.map((ranking) => ({ text: '', parsed: { ...whole, ...ranking } })));
}
