/** Runs and command sequences at random: sensible often enough to get far, hostile often enough to hurt. */
import fc from 'fast-check';
import type { Limits } from '../../src/model/budget.ts';
import type { Command, Context } from '../../src/model/commands.ts';
import { CHECKPOINT_TYPES, type NodeSpec } from '../../src/model/node.ts';
import type { RunSpec } from '../../src/model/run-spec.ts';
import { leaseOwner, type RunState } from '../../src/model/state.ts';
import { sha256 } from '../../src/engine/system.ts';
import { claimant, DECISION, fingerprint, specOf } from './rig.ts';

/** A node without its place: `needs` count back to elder siblings. */
interface Shape {
  readonly kind: 'atomic' | 'plan' | 'external';
  readonly executor: boolean;
  readonly needs: readonly number[];
  readonly approval: boolean;
  readonly after: 'none' | 'progress' | 'decision-needed';
  readonly retries: number;
  readonly onFailure: 'fail' | 'hold';
  readonly onInterrupt: 'rerun' | 'block' | 'fail';
  readonly begins: boolean;
  readonly timed: boolean;
  readonly keyed: boolean;
  readonly reserveTokens: number;
  readonly maxParallel: number;
  readonly children: readonly Shape[];
}

function shape(depth: number): fc.Arbitrary<Shape> {
  return fc.record({
    kind: fc.oneof(
      { weight: depth > 0 ? 5 : 1, arbitrary: fc.constant('atomic' as const) },
      { weight: depth > 0 ? 2 : 0, arbitrary: fc.constant('plan' as const) },
      { weight: depth > 0 ? 1 : 0, arbitrary: fc.constant('external' as const) },
    ),
    executor: fc.boolean(),
    needs: fc.oneof(fc.constant([]), fc.constant([0]), fc.array(fc.nat(3), { maxLength: 2 })),
    approval: rarely(fc.constant(true), false),
    after: fc.constantFrom('none', 'progress', 'progress', 'decision-needed'),
    retries: fc.nat(2),
    onFailure: fc.constantFrom('fail', 'hold'),
    onInterrupt: fc.constantFrom('rerun', 'block', 'rerun', 'block', 'fail'),
    begins: often(false),
    timed: often(false),
    keyed: fc.boolean(),
    reserveTokens: fc.constantFrom(0, 0, 7),
    maxParallel: fc.integer({ min: 1, max: 3 }),
    children: depth > 0 ? fc.array(shape(depth - 1), { maxLength: 3 }) : fc.constant([]),
  });
}

function rarely<T>(other: fc.Arbitrary<T>, value: T): fc.Arbitrary<T> {
  return fc.oneof({ weight: 11, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other });
}

function often(value: boolean): fc.Arbitrary<boolean> {
  return fc.nat(4).map((n) => (n === 0 ? !value : value));
}

function build(shapes: readonly Shape[], prefix: string): NodeSpec[] {
  return shapes.map((from, at) => {
    const id = `${prefix}${at}`;
    const needs = [
      ...new Set(from.needs.filter((back) => back < at).map((back) => `${prefix}${at - 1 - back}`)),
    ];
    const common = {
      id,
      ...(needs.length === 0 ? {} : { needs }),
      ...(from.after === 'none' ? {} : { after: from.after === 'progress' ? PROGRESS : DECISION }),
      ...(from.keyed ? { key: `step:${id}` } : {}),
    };
    if (from.kind === 'plan')
      return {
        ...common,
        kind: 'composite',
        drive: 'plan',
        maxParallel: from.maxParallel,
        ...(from.begins ? { before: BEFORE } : {}),
      };
    return {
      ...common,
      kind: from.kind === 'external' ? 'composite' : 'atomic',
      ...(from.executor ? { executor: 'x', input: { n: at } } : {}),
      ...(from.approval && (from.executor || from.kind === 'atomic') ? { approval: 'before' } : {}),
      ...(from.begins ? { before: BEFORE } : {}),
      ...(from.kind === 'external' && from.timed ? { timeoutMs: 500 } : {}),
      ...(from.retries > 0
        ? {
            retry: {
              max: from.retries,
              backoffMs: 100,
              capMs: 1000,
              ...(from.timed ? { only: 'retryable' } : {}),
            },
          }
        : {}),
      ...(from.reserveTokens > 0 ? { reserve: { tokens: from.reserveTokens, toolCalls: 1 } } : {}),
      onFailure: from.onFailure,
      onInterrupt: from.onInterrupt,
    };
  });
}
const BEFORE = { type: 'progress', summary: 'here it begins' } as const;
const PROGRESS = {
  type: 'progress',
  summary: 'one more',
  delta: { added: ['a.txt'], changed: [], removed: [] },
} as const;

/** What `create` is given, and what is then added below the composites it declared. */
export interface Plan {
  readonly spec: RunSpec;
  readonly below: readonly { readonly parent: string; readonly nodes: readonly NodeSpec[] }[];
}

function below(shapes: readonly Shape[], prefix: string): Plan['below'] {
  return shapes.flatMap((from, at) => {
    const parent = `${prefix}${at}`;
    if (from.kind === 'atomic' || from.children.length === 0) return [];
    return [{ parent, nodes: build(from.children, `${parent}.`) }, ...below(from.children, `${parent}.`)];
  });
}

const limits = fc.record(
  {
    wallMs: fc.constantFrom(0, 5_000, 1_000_000),
    steps: fc.nat(6),
    retries: fc.nat(3),
    toolCalls: fc.nat(5),
    tokens: fc.constantFrom(0, 10, 100),
    costMicros: fc.constantFrom(0, 1_000_000),
  },
  { requiredKeys: [], noNullPrototype: true },
);

export const anyPlan: fc.Arbitrary<Plan> = planWith(
  fc.constantFrom('plan', 'plan', 'plan', 'external', 'atomic'),
);
/** Runs that Reeve itself can bring to their end. */
export const drivenPlan: fc.Arbitrary<Plan> = planWith(fc.constant('plan')).filter(
  ({ spec, below: added }) => ![...spec.nodes, ...added.flatMap(({ nodes }) => nodes)].some(isExternal),
);

function isExternal(node: NodeSpec): boolean {
  return node.kind === 'composite' && node.drive !== 'plan';
}

function planWith(rootKind: fc.Arbitrary<'plan' | 'external' | 'atomic'>): fc.Arbitrary<Plan> {
  return fc
    .record({
      rootKind,
      root: shape(0),
      shapes: fc.array(shape(2), { maxLength: 5, size: 'max' }),
      limits: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: limits }),
      requireApproval: rarely(fc.constant(true), false),
      requiredCheckpoints: fc.constantFrom([], [], [], ['progress'], ['plan', 'completed']),
      minCheckpointIntervalMs: fc.constantFrom(0, 0, 500),
      onApproval: fc.constantFrom('wait', 'continue'),
    })
    .map(({ rootKind: kind, root, shapes, requireApproval, onApproval, ...rest }) => {
      const { after: _after, needs: _needs, ...rootSpec } = build([{ ...root, kind }], 'r')[0] as NodeSpec;
      const children = kind === 'atomic' ? [] : shapes;
      return {
        spec: specOf({
          ...rest,
          root: {
            ...rootSpec,
            ...(kind === 'plan'
              ? { before: { type: 'plan', summary: 'go' }, after: { type: 'completed', summary: 'gone' } }
              : {}),
          },
          nodes: build(children, 'n'),
          onApproval,
          ...(requireApproval ? { constraints: { requireApproval } } : {}),
        }),
        below: below(children, 'n'),
      };
    });
}

const UNLIMITED: Limits = { wallMs: 0, steps: 0, retries: 0, toolCalls: 0, tokens: 0, costMicros: 0 };

const usage = fc.record(
  {
    tokens: fc.oneof(fc.nat(5), fc.nat(2 ** 40)),
    toolCalls: fc.nat(3),
    costMicros: fc.oneof(fc.nat(1000), fc.nat(2 ** 40)),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const move = fc.record({
  kind: fc.oneof(
    { weight: 24, arbitrary: fc.constant('next' as const) },
    { weight: 3, arbitrary: fc.constantFrom('start' as const, 'finish' as const) },
    { weight: 2, arbitrary: fc.constantFrom('claim' as const, 'approve' as const) },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        'charge' as const,
        'interrupt' as const,
        'reload' as const,
        'release' as const,
      ),
    },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        'settle' as const,
        'emit' as const,
        'pause' as const,
        'hold' as const,
        'record' as const,
        'add' as const,
        'again' as const,
        'reject' as const,
        'ask' as const,
        'expire' as const,
        'create' as const,
      ),
    },
  ),
  cancels: fc.nat(150).map((n) => n === 0),
  pick: fc.nat(30),
  /** Mostly what would make sense, sometimes any node there ever was. */
  wild: often(false),
  /** Added to the epoch and the attempt that would be right. */
  skew: rarely(fc.constantFrom(-1, 1), 0),
  attemptSkew: rarely(fc.constantFrom(-1, 1), 0),
  live: fc.boolean(),
  flag: fc.boolean(),
  resume: often(true),
  outcome: fc.constantFrom(
    'succeeded',
    'succeeded',
    'succeeded',
    'failed',
    'timed_out',
    'canceled',
    'over_budget',
    'accepted',
  ),
  usage,
  limits,
  nodes: fc.array(shape(1), { maxLength: 2 }),
  type: fc.constantFrom(...CHECKPOINT_TYPES),
  environment: rarely(fc.constantFrom('none', 'other'), 'same'),
  elapsed: fc.oneof(fc.nat(300), fc.nat(300), fc.constantFrom(-10_000, 60_000)),
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});
export type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;
export const anyMoves: fc.Arbitrary<readonly Move[]> = fc.array(move, {
  minLength: 20,
  maxLength: 60,
  size: 'max',
});

const FACTS = [{ name: 'said', data: null }] as const;

/** The command a move stands for in this state; undefined: encode and decode the state instead. */
export function commandOf(
  state: RunState,
  known: readonly string[],
  from: Move,
  serial: number,
): Command | undefined {
  const { pick, skew, wild } = from;
  const kind = from.kind === 'next' ? nextKind(state, from) : from.kind;
  if (from.cancels) return { type: 'cancel', by: 'ann' };
  const among = (keys: Iterable<string>): string => {
    const sensible = [...keys];
    const all = wild || sensible.length === 0 ? known : sensible;
    return all[pick % Math.max(1, all.length)] ?? 'nobody';
  };
  const epoch = (node: string): number => (state.nodes.get(leaseOwner(state, node))?.epoch ?? 0) + skew;
  const attempt = (): { node: string; attempt: number; epoch: number } => {
    const node = among(state.live.keys());
    return { node, attempt: (state.nodes.get(node)?.attempt ?? 0) + from.attemptSkew, epoch: epoch(node) };
  };
  const by = from.flag ? 'ann' : 'bob';
  switch (kind) {
    case 'reload':
      return undefined;
    case 'create':
      return { type: 'create', spec: specOf({ root: { id: 'again', kind: 'atomic' } }) };
    case 'claim': {
      const rootId = state.spec.rootId;
      const { environment, resume, flag } = from;
      return {
        type: 'claim',
        node: wild ? among([]) : rootId,
        claimant: claimant(by),
        ...(environment === 'none' ? {} : { environment: fingerprint(environment) }),
        ...(resume
          ? {
              resume: {
                by,
                reason: 'go on',
                ...(flag ? { limits: wild ? from.limits : UNLIMITED } : {}),
                ...(wild ? { force: true } : {}),
              },
            }
          : {}),
      };
    }
    case 'release': {
      const node = wild ? among([]) : state.spec.rootId;
      return {
        type: 'release',
        node,
        epoch: epoch(node),
        cause: from.flag ? 'released' : 'expired',
        seenMs: pick,
      };
    }
    case 'start': {
      const node = among(state.ready.keys());
      return {
        type: 'start',
        node,
        epoch: epoch(node),
        ...(from.flag && leaseOwner(state, node) === node ? { claimant: claimant(by) } : {}),
      };
    }
    case 'charge':
      return { type: 'charge', ...attempt(), usage: from.usage };
    case 'finish':
      return {
        type: 'finish',
        ...attempt(),
        outcome: from.outcome as 'succeeded',
        usage: from.usage,
        ...(from.outcome === 'failed' ? { error: { code: 'E', message: 'no', retryable: from.flag } } : {}),
      };
    case 'interrupt':
      return {
        type: 'interrupt',
        ...attempt(),
        found: from.flag ? 'unknown' : 'not_started',
        reason: 'its worker died',
      };
    case 'settle': {
      const settled = (['succeeded', 'failed', 'canceled'] as const)[pick % 3] ?? 'failed';
      return {
        type: 'settle',
        node: among([]),
        state: settled,
        ...(from.flag ? { by, reason: 'looked' } : {}),
        ...(pick % 2 === 0 ? { regardless: true } : {}),
      };
    }
    case 'emit':
      return {
        type: 'emit_checkpoint',
        checkpoint: from.type,
        summary: 'note',
        requiredAction: { kind: 'look' },
      };
    case 'approve': {
      const open = [...state.decisions.keys()].filter(
        (key) => wild || state.decisions.get(key)?.approved === false,
      );
      const checkpoint = open[pick % Math.max(1, open.length)] ?? pick;
      const binds = state.decisions.get(checkpoint)?.binds ?? '';
      return {
        type: 'approve',
        checkpoint,
        by,
        reason: skew < 0 ? ' ' : 'fine',
        ...(from.flag ? { binds: skew > 0 ? 'other' : binds } : {}),
      };
    }
    case 'pause':
      return { type: 'pause', by };
    case 'hold':
      return { type: 'hold', hold: from.flag ? 'budget' : 'error', summary: 'stop', reasonCodes: [] };
    case 'reject': {
      const node = among(state.ready.keys());
      const error = { code: 'E_DENIED', message: 'not allowed' };
      return { type: 'reject', node, epoch: epoch(node), error, facts: FACTS };
    }
    case 'ask': {
      const node = among(state.ready.keys());
      return {
        type: 'ask',
        node,
        epoch: epoch(node),
        summary: 'may it?',
        instructions: 'look',
        facts: FACTS,
      };
    }
    case 'expire':
      return { type: 'expire', node: among(state.open.keys()) };
    case 'again': {
      const { spec, parent } = state.nodes.get(among(state.nodes.keys())) ?? {};
      if (spec === undefined || parent === undefined) return { type: 'record', name: 'nothing', data: null };
      const changed = from.flag ? {} : { input: 'another' };
      return { type: 'add_nodes', parent, nodes: [{ ...spec, ...changed }], facts: FACTS };
    }
    case 'record':
      return { type: 'record', name: 'note', data: { pick } };
    case 'add': {
      const composites = known.filter((id) => state.nodes.get(id)?.spec.kind === 'composite');
      return {
        type: 'add_nodes',
        parent: among(composites),
        nodes: build(from.nodes, `a${serial}.`),
        below: below(from.nodes, `a${serial}.`),
        facts: FACTS,
      };
    }
  }
}

/** What would bring the run on. */
function nextKind(state: RunState, { flag }: Move): Exclude<Move['kind'], 'next'> {
  const root = state.nodes.get(state.spec.rootId);
  const isRunning = state.standing.phase === 'running';
  if (state.openDecisions > 0 && (!isRunning || flag)) return 'approve';
  if (!isRunning || root?.lease === undefined) return 'claim';
  return state.live.size > 0 && (flag || state.ready.size === 0) ? 'finish' : 'start';
}

/** The instant and what else `decide` is told. */
export function contextOf(from: Move, nowMs: number): Context {
  return { nowMs, sha256, random: () => from.random, lease: { live: from.live, seenMs: nowMs - 50 } };
}
