/** What is asked of the world, from the seed: runs, and what people do to them and when. */
import type { Command } from '../../src/model/commands.ts';
import type { NodeSpec } from '../../src/model/node.ts';
import type { RunSpec } from '../../src/model/run-spec.ts';
import type { Limits } from '../../src/model/budget.ts';
import { isGated, leaseOwner, type RunState } from '../../src/model/state.ts';
import type { Mood } from './moods.ts';
import { Random } from './random.ts';

export interface PlannedRun {
  readonly id: string;
  readonly spec: RunSpec;
  readonly below: readonly { readonly parent: string; readonly nodes: readonly NodeSpec[] }[];
}

export const DEEDS = {
  create: 0,
  pause: 10,
  cancel: 4,
  approve: 14,
  resume: 18,
  queue: 8,
  settle: 5,
  checkpoint: 5,
  record: 3,
  hold: 2,
  add: 3,
  forget: 3,
  look: 3,
  stale: 6,
  early: 4,
} as const satisfies Record<string, number>;

/** Something that a person does at some time. */
export interface Deed {
  readonly id: string;
  readonly atMs: number;
  readonly slot: string;
  readonly kind: keyof typeof DEEDS;
  readonly run: number;
  readonly pick: number;
}

export interface Workload {
  readonly runs: readonly PlannedRun[];
  readonly deeds: readonly Deed[];
  readonly workers: readonly { readonly slot: string; readonly concurrency: number }[];
  readonly clients: readonly string[];
  /** Whether workers ask before each start. */
  readonly admits: boolean;
}

/** Virtual time in which things go wrong. */
export const ROUGH_MS = 240_000;

export function planWorkload(seed: number, mood: Mood): Workload {
  const random = new Random(seed, 'workload');
  const workers = Array.from({ length: random.int(1, 3) }, (_, at) => ({
    slot: `w${at + 1}`,
    concurrency: random.int(1, 3),
  }));
  const clients = Array.from({ length: random.int(1, 2) }, (_, at) => `c${at + 1}`);
  const byChance = random.oneIn(9);
  const isFat = mood.isFat ?? byChance;
  const admits = random.oneIn(3);
  const runs = Array.from({ length: random.int(1, 3) }, (_, at) =>
    planRun(new Random(seed, 'run', at), `r${at}`, isFat, mood),
  );
  const deeds: Deed[] = runs.map((_, run) => ({
    id: `d-r${run}`,
    atMs: random.int(0, 20_000),
    slot: random.pick(clients),
    kind: 'create',
    run,
    pick: 0,
  }));
  const weights = { ...DEEDS, ...mood.deedWeights };
  for (let count = random.int(...mood.deeds), at = 0; at < count; at += 1) {
    const kind = random.oneIn(15) ? 'create' : random.weighed(weights);
    // Sometimes several at once: what is decided together is committed together.
    const before = random.oneIn(3) ? deeds.at(-1) : undefined;
    deeds.push({
      id: `d${at}`,
      atMs: before?.atMs ?? random.int(500, ROUGH_MS - 20_000),
      slot: before?.slot ?? random.pick(clients),
      kind,
      run: random.int(0, runs.length - 1),
      pick: random.int(0, 1000),
    });
  }
  return { runs, deeds, workers, clients, admits };
}

function planRun(random: Random, id: string, isFat: boolean, mood: Mood): PlannedRun {
  const below: { parent: string; nodes: NodeSpec[] }[] = [];
  const level = (prefix: string, depth: number, most: number): NodeSpec[] =>
    Array.from({ length: random.int(1, most) }, (_, at) => {
      const nodeId = `${prefix}${at}`;
      const needs = at > 0 && random.next() < 0.6 ? [`${prefix}${random.int(0, at - 1)}`] : [];
      const dice = random.next();
      const place = { id: nodeId, ...(needs.length === 0 ? {} : { needs }), ...afterOf(random, mood) };
      if (depth > 0 && dice < mood.nested) {
        below.push({ parent: nodeId, nodes: level(`${nodeId}.`, depth - 1, 3) });
        return { ...place, kind: 'composite', drive: 'plan', maxParallel: random.int(1, 2) };
      }
      if (depth > 0 && dice < mood.nested + 0.06) {
        below.push({ parent: nodeId, nodes: level(`${nodeId}.`, depth - 1, 2) });
        return { ...place, kind: 'composite', ...handedOver(random, isFat) };
      }
      return { ...place, kind: 'atomic', ...workOf(random, isFat) };
    });
  const addressable = random.oneIn(3);
  // Nodes of an addressable run have names of their own; sometimes not, and then only one run can have them.
  const own = addressable && !random.oneIn(6) ? `${id}.` : '';
  const rootKind = random.weighed({ plan: 84, external: 11, atomic: 5 });
  const nodes = rootKind === 'atomic' ? [] : level(`${own}n`, 1, isFat ? 9 : 5);
  const root: NodeSpec =
    rootKind === 'plan'
      ? {
          id: `${own}root`,
          kind: 'composite',
          drive: 'plan',
          maxParallel: random.int(1, 3),
          ...(random.oneIn(2) ? { before: { type: 'plan', summary: 'go' } } : {}),
          ...(random.oneIn(2) ? { after: { type: 'completed', summary: 'gone' } } : {}),
        }
      : {
          id: `${own}root`,
          ...(rootKind === 'external'
            ? { kind: 'composite', ...handedOver(random, isFat) }
            : { kind: 'atomic', ...workOf(random, isFat) }),
        };
  const spec: RunSpec = {
    tenant: 't',
    actor: 'ann',
    name: `run ${id}`,
    limits: random.oneIn(3) ? limitsOf(random) : {},
    labels: {},
    root,
    nodes,
    ...(addressable ? { addressable } : {}),
    onApproval: random.oneIn(2) ? 'continue' : 'wait',
    ...(random.oneIn(20) ? { constraints: { requireApproval: true } } : {}),
    ...(random.oneIn(15) ? { requiredCheckpoints: ['progress'] } : {}),
    ...(random.oneIn(5) ? { minCheckpointIntervalMs: 5000 } : {}),
  };
  return { id, spec, below };
}

function afterOf(random: Random, { decisions }: Mood): Partial<NodeSpec> {
  const kind = random.weighed({ none: 82 - decisions, progress: 18, decision: decisions });
  if (kind === 'none') return {};
  const delta = { added: [`${random.int(0, 9)}.txt`], changed: [], removed: [] };
  if (kind === 'progress') return { after: { type: 'progress', summary: 'one more', delta } };
  return {
    after: { type: 'decision-needed', summary: 'is this right?', requiredAction: { kind: 'approval' } },
  };
}

/** An external composite: its executor does it, or takes it over for somebody to settle later. */
function handedOver(random: Random, isFat: boolean): Partial<NodeSpec> {
  const work = workOf(random, isFat);
  return random.oneIn(3) ? work : { ...work, input: { accepts: true } };
}

function workOf(random: Random, isFat: boolean): Partial<NodeSpec> {
  const retry = {
    max: random.int(1, 3),
    backoffMs: 500,
    capMs: 8000,
    ...(random.oneIn(4) ? { only: 'retryable' as const } : {}),
  };
  return {
    ...(random.oneIn(8) ? {} : { executor: 'x' }),
    input: isFat ? { fat: true } : { n: random.int(0, 9) },
    ...(random.oneIn(12) ? { approval: 'before' } : {}),
    ...(random.oneIn(2) ? { retry } : {}),
    ...(random.oneIn(6) ? { timeoutMs: random.int(1000, 20_000) } : {}),
    ...(random.oneIn(8) ? { reserve: { tokens: 7, toolCalls: 1 } } : {}),
    ...(random.oneIn(10) ? { key: 'step' } : {}),
    onFailure: random.oneIn(2) ? 'hold' : 'fail',
    onInterrupt: random.weighed({ rerun: 60, block: 28, fail: 12 }),
  };
}

function limitsOf(random: Random): Limits {
  return {
    ...(random.oneIn(3) ? { wallMs: random.int(5000, 120_000) } : {}),
    ...(random.oneIn(3) ? { steps: random.int(1, 6) } : {}),
    ...(random.oneIn(3) ? { retries: random.int(1, 2) } : {}),
    ...(random.oneIn(3) ? { toolCalls: random.int(1, 6) } : {}),
    ...(random.oneIn(3) ? { tokens: random.int(10, 90) } : {}),
  };
}

/** Limits that stop nothing any more. */
export const UNLIMITED: Limits = { wallMs: 0, steps: 0, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 };

/** The command of a deed on a run as it stands; undefined for deeds that are none. */
export function commandOf(deed: Deed, state: RunState): Command | undefined {
  const { pick } = deed;
  const by = deed.id;
  switch (deed.kind) {
    case 'pause':
      return { type: 'pause', by };
    case 'cancel':
      return { type: 'cancel', by };
    case 'approve': {
      const open = [...state.decisions.keys()].filter((key) => state.decisions.get(key)?.approved === false);
      const checkpoint = open[pick % Math.max(1, open.length)];
      if (checkpoint === undefined) return undefined;
      const binds = pick % 7 === 0 ? 'something else' : (state.decisions.get(checkpoint)?.binds ?? '');
      return { type: 'approve', checkpoint, by, reason: 'looks right', ...(pick % 2 === 0 ? { binds } : {}) };
    }
    case 'settle': {
      const unsettled = [...state.nodes.keys()].filter((id) => {
        const node = state.nodes.get(id);
        if (node?.lastOutcome === 'unknown') return true;
        // Whoever settles work that is being handed over has it: here nobody has, as long as its executor says nothing.
        return node?.spec.kind === 'composite' && node.spec.drive !== 'plan' && node.live === undefined;
      });
      const node = unsettled[pick % Math.max(1, unsettled.length)];
      if (node === undefined) return undefined;
      return { type: 'settle', node, state: pick % 3 === 0 ? 'failed' : 'succeeded', by, reason: 'looked' };
    }
    case 'checkpoint': {
      const type =
        (['plan', 'progress', 'decision-needed', 'blocked', 'completed'] as const)[pick % 5] ?? 'plan';
      return {
        type: 'emit_checkpoint',
        checkpoint: type,
        summary: 'by hand',
        requiredAction: { kind: 'look' },
      };
    }
    case 'record':
      return { type: 'record', name: 'note', data: { by } };
    case 'hold':
      return { type: 'hold', hold: pick % 2 === 0 ? 'budget' : 'error', summary: 'stop', reasonCodes: [] };
    case 'add': {
      const composites = [...state.nodes.keys()].filter(
        (id) => state.nodes.get(id)?.spec.kind === 'composite',
      );
      const parent = composites[pick % Math.max(1, composites.length)];
      if (parent === undefined) return undefined;
      return {
        type: 'add_nodes',
        parent,
        nodes: [{ id: `${deed.id}.x`, kind: 'atomic', executor: 'x', onInterrupt: 'rerun' }],
      };
    }
    case 'stale': {
      // Somebody who believes to hold a lease that is long gone (I4).
      const live = [...state.live.keys()];
      const node = live[pick % Math.max(1, live.length)];
      const found = node === undefined ? undefined : state.nodes.get(node);
      if (node === undefined || found?.live === undefined || found.state === 'canceled') return undefined;
      const { attempt, epoch } = found.live;
      const current = state.nodes.get(leaseOwner(state, node))?.epoch ?? epoch;
      const { rootId } = state.spec;
      if (pick % 6 === 5)
        return { type: 'release', node: rootId, epoch: current - 1, cause: 'released', seenMs: 0 };
      const stale =
        pick % 6 === 4 ? { node, attempt: attempt - 1, epoch: current } : { node, attempt, epoch: epoch - 1 };
      if (pick % 3 === 0) return { type: 'interrupt', ...stale, found: 'not_started', reason: 'stale' };
      if (pick % 3 === 1) return { type: 'charge', ...stale, usage: { tokens: 1 } };
      return { type: 'finish', ...stale, outcome: 'succeeded', usage: {} };
    }
    case 'early': {
      // Somebody who knows the epoch and does not wait for the approval (I8).
      const gated = [...state.nodes.keys()].filter((id) => {
        const node = state.nodes.get(id);
        return node !== undefined && isGated(state, node);
      });
      const node = gated[pick % Math.max(1, gated.length)];
      if (node === undefined) return undefined;
      const owner = leaseOwner(state, node);
      const claimant = { worker: 'nobody', leaseId: 'none', ttlMs: 1000 };
      return {
        type: 'start',
        node,
        epoch: state.nodes.get(owner)?.epoch ?? 0,
        ...(owner === node ? { claimant } : {}),
      };
    }
    case 'create':
    case 'resume':
    case 'queue':
    case 'forget':
    case 'look':
      return undefined;
  }
}
