import { violations, violationText } from '../budget.ts';
import { canonicalJson, type Sha256 } from '../canonical.ts';
import type { CheckpointEmitted } from '../events.ts';
import type { Json } from '../json.ts';
import { mergeDelta } from '../evolve.ts';
import { NO_DELTA, type ArtifactsDelta, type CheckpointSpec, type NodeSpec } from '../node.ts';
import { usageAt, type Decision, type Node, type RunState } from '../state.ts';
import type { Standing } from '../transitions.ts';
import { addUsage } from '../usage.ts';
import type { Draft } from './draft.ts';

/** Most bytes of a checkpoint's summary, in UTF-8 (contract wrkr §c). */
export const SUMMARY_BYTES_MAX = 2000;

export function utf8Length(text: string): number {
  let bytes = 0;
  for (const char of text) {
    const point = char.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** The longest prefix of whole characters within `max` UTF-8 bytes. */
export function cutUtf8(text: string, max: number): string {
  if (text.length * 3 <= max) return text;
  let bytes = 0;
  let end = 0;
  for (const char of text) {
    bytes += utf8Length(char);
    if (bytes > max) return text.slice(0, end);
    end += char.length;
  }
  return text;
}

/** A summary that Reeve made itself: cut to fit rather than failing the step (contract wrkr §c). */
export function fitSummary(text: string, fallback = 'checkpoint'): string {
  const trimmed = text.trim();
  return cutUtf8(trimmed === '' ? fallback : trimmed, SUMMARY_BYTES_MAX);
}

interface Emission {
  readonly type: CheckpointEmitted['checkpoint'];
  readonly summary: string;
  readonly standing?: Standing;
  readonly delta?: ArtifactsDelta;
  readonly requiredAction?: CheckpointEmitted['requiredAction'];
  readonly reasonCodes?: readonly string[];
  readonly node?: NodeSpec;
  readonly blocks?: Decision['blocks'];
  readonly binds?: string;
}

/** Emits a checkpoint with the usage of this moment; deferred deltas ride along. */
export function checkpointNow(draft: Draft, emission: Emission): void {
  const { state, ctx } = draft;
  const { type, node, blocks, requiredAction } = emission;
  const isDecision = type === 'decision-needed';
  draft.emit({
    type: 'checkpoint_emitted',
    checkpoint: type,
    summary: emission.summary,
    standing: emission.standing ?? state.standing,
    usage: usageAt(state, ctx.nowMs),
    delta: mergeDelta(state.checkpoints.pending, emission.delta ?? NO_DELTA),
    reasonCodes: emission.reasonCodes ?? [],
    ...(requiredAction === undefined ? {} : { requiredAction }),
    ...(node === undefined ? {} : { node: node.id }),
    ...(isDecision ? { blocks: blocks ?? 'run', binds: emission.binds ?? bindingOf(draft, emission) } : {}),
  });
}

/** Hash of what a decision is about (I8): its words and claims, the node it follows, and the nodes that wait for it. */
function bindingOf(draft: Draft, emission: Emission): string {
  const { state, ctx } = draft;
  const { summary, requiredAction, delta, node } = emission;
  const waiting = node === undefined ? [] : (state.dependents.get(node.id) ?? []);
  return ctx.sha256(
    canonicalJson({
      run: state.id,
      after: state.version,
      summary,
      required_action: requiredAction ?? null,
      delta: delta ?? NO_DELTA,
      node: node === undefined ? null : argumentsOf(node),
      next: waiting.flatMap((id) => {
        const spec = state.nodes.get(id)?.spec;
        return spec === undefined ? [] : [argumentsOf(spec)];
      }),
    }),
  );
}

function argumentsOf(spec: NodeSpec): { id: string; executor: string | null; input: Json } {
  return { id: spec.id, executor: spec.executor ?? null, input: spec.input ?? null };
}

/** SHA-256 of what an attempt will be started with; recorded with its intent and bound by approvals (I5, I8). */
export function argumentsHash(sha256: Sha256, spec: NodeSpec): string {
  return sha256(canonicalJson(argumentsOf(spec)));
}

/** Whether the node's own decision is approved, and about the arguments that it has (I8). */
export function isApproved(state: RunState, { gate, spec }: Node, sha256: Sha256): boolean {
  const decision = gate === undefined ? undefined : state.decisions.get(gate);
  return decision?.approved === true && decision.binds === argumentsHash(sha256, spec);
}

/** The checkpoint a node declares, with what its attempt found out. */
export function declaredCheckpoint(
  draft: Draft,
  node: NodeSpec,
  spec: CheckpointSpec,
  found: ArtifactsDelta = NO_DELTA,
  standing?: Standing,
): void {
  const { state, ctx } = draft;
  const delta = mergeDelta(spec.delta ?? NO_DELTA, found);
  const { minCheckpointIntervalMs = 0 } = state.spec;
  const near = Math.max(ctx.nowMs, state.lastAtMs) - state.checkpoints.lastAtMs < minCheckpointIntervalMs;
  if (spec.type === 'progress' && near && state.checkpoints.types.includes('progress')) {
    draft.emit({ type: 'checkpoint_deferred', node: node.id, delta });
    return;
  }
  const isDecision = spec.type === 'decision-needed';
  checkpointNow(draft, {
    type: spec.type,
    summary: fitSummary(spec.summary, node.id),
    delta,
    node,
    ...(standing === undefined ? {} : { standing }),
    ...(spec.requiredAction === undefined ? {} : { requiredAction: spec.requiredAction }),
    ...(isDecision ? { standing: { phase: 'held', hold: 'decision' }, blocks: 'dependents' } : {}),
  });
}

/** What the run would be over if `more` were added to its usage and open reservations. */
export function budgetViolations(draft: Draft, more: Parameters<typeof addUsage>[1] = {}): readonly string[] {
  const { state, ctx } = draft;
  const total = addUsage(addUsage(usageAt(state, ctx.nowMs), state.reserved), more);
  return violations(state.limits, total).map(violationText);
}
