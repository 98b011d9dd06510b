/** Which agents come first. The same rollout and agents give the same choice, wherever and however often it is made (J23). */
import { createHash } from 'node:crypto';
import type { RolloutSpec, RolloutTarget } from './spec.ts';

export interface Candidate {
  readonly agentId: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Online and not drained: only such agents are chosen. */
  readonly isReady: boolean;
}

export interface Choice {
  readonly canary: readonly string[];
  /** Required agents that are no candidates now; with any of them the rollout cannot succeed. */
  readonly missing: readonly string[];
}

/**
 * Required agents, then as many as wanted in the order of `SHA-256(rollout, agent)`. Empty: nobody can be chosen.
 * A share is rounded down, and is at least one agent.
 */
export function chooseCanary(rolloutId: string, spec: RolloutSpec, candidates: readonly Candidate[]): Choice {
  const ready = inOrder(rolloutId, eligible(spec.target, candidates));
  const { count, percent = 10, labels } = spec.canary;
  const wanted = count ?? Math.max(1, Math.floor((ready.length * percent) / 100));
  const required = spec.criteria.required_agents ?? [];
  const isThere = new Set(ready.map(({ agentId }) => agentId));
  const first = required.filter((id) => isThere.has(id));
  const others = ready.filter(({ agentId, labels: own }) => !first.includes(agentId) && fits(labels, own));
  const canary = [
    ...first,
    ...others.slice(0, Math.max(0, wanted - first.length)).map(({ agentId }) => agentId),
  ];
  return { canary, missing: required.filter((id) => !isThere.has(id)) };
}

/** The agents that are left, in the same order, a batch after the other. */
export function chooseBatches(
  rolloutId: string,
  spec: RolloutSpec,
  candidates: readonly Candidate[],
  done: ReadonlySet<string>,
): readonly (readonly string[])[] {
  const left = inOrder(rolloutId, eligible(spec.target, candidates))
    .map(({ agentId }) => agentId)
    .filter((id) => !done.has(id));
  const size = batchSize(spec.batch_size, left.length);
  return Array.from({ length: Math.ceil(left.length / size) }, (_, no) =>
    left.slice(no * size, (no + 1) * size),
  );
}

/** At least one; a share is rounded up, so that `25%` never makes more than four batches. */
function batchSize(wanted: number | string, all: number): number {
  const size = typeof wanted === 'number' ? wanted : Math.ceil((all * Number.parseFloat(wanted)) / 100);
  return Math.max(1, size);
}

function eligible({ agent_ids: ids, labels }: RolloutTarget, candidates: readonly Candidate[]) {
  return candidates.filter(
    ({ agentId, labels: own, isReady }) => isReady && (ids?.includes(agentId) ?? true) && fits(labels, own),
  );
}

function fits(wanted: Readonly<Record<string, string>> = {}, own: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => Object.hasOwn(own, name) && own[name] === value);
}

function inOrder(rolloutId: string, candidates: readonly Candidate[]): readonly Candidate[] {
  const keyed = candidates.map((candidate) => ({
    candidate,
    key: createHash('sha256').update(`${rolloutId}\n${candidate.agentId}`).digest('hex'),
  }));
  return keyed
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ candidate }) => candidate);
}
