/**
 * Finds node types for a subtask (contract arp §7.2). A ranker proposes; what goes out is what the registry knows, the
 * constraints allow, and fits the bound.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../model/canonical.ts';
import { type Llm, LlmError } from '../llm/llm.ts';
import type { Selection } from '../ports.ts';
import type { NodeTypes } from '../registry/node-types.ts';
import type { NodeType } from '../wire/core.ts';
import { ArpError, validationFailed } from '../wire/errors.ts';
import { wireTime } from '../wire/ids.ts';
import type { CandidateSet, CandidateSetRequest } from '../wire/requests.ts';
import { inventoryOf, strictest, type Inventory } from './inventory.ts';
import { llmRanker } from './llm-ranker.ts';
import { BY_WORDS, type Ranker, type Ranking } from './ranker.ts';

export interface SelectionOptions {
  /** `JARVIS_SELECTION_STRATEGY`: `llm` or `deterministic`; any other is refused when it is asked. */
  readonly strategy: string;
  /** Undefined: there is nothing to choose from. */
  readonly nodeTypes?: Pick<NodeTypes, 'list'>;
  readonly llm?: Llm;
  /** Candidates where a request has no bound, at least 1. Undefined: all. */
  readonly topDefault?: number;
  /** Plans where it is among the planners. */
  readonly plannerId?: string;
  nowMs(): number;
}

export interface SelectionService extends Selection {
  /** @param signal aborts the question to the language model, and throws its reason. */
  candidates(request: CandidateSetRequest, signal?: AbortSignal): Promise<CandidateSet>;
}

type Candidate = CandidateSet['candidates'][number];

/** Sure of nothing but that somebody has to plan. */
const PLANNER_SCORE = 0.1;
const REASON_CHARS_MAX = 1000;
/** Only we say these of a result. */
const OURS =
  /^jarvis\.(?:selection\.(?:strategy|needs_planner|planner_node_type_ref)|llm\.(?:provider|model|latency_ms))$/;

export function selectionService(options: SelectionOptions): SelectionService {
  const { strategy, nodeTypes, topDefault, plannerId, nowMs } = options;
  return {
    async candidates(request, signal) {
      const ranker = rankerOf(options);
      const { subtask_spec: subtask, extensions = {} } = request;
      const constraints = strictest([request.constraints, subtask.constraints]);
      const top = constraints.candidates?.max_candidates_per_subtask ?? topDefault;
      const inventory = inventoryOf((await nodeTypes?.list({})) ?? [], constraints, plannerId);
      const { atomics: types, planner } = inventory;
      if (types.length === 0 && planner === undefined) throw nothing(subtask.subtask_id, types.length);
      const hasPlanner = planner !== undefined;
      const ranking = await asked(
        ranker.rank({ subtask, extensions, types, hasPlanner, top, signal }),
        signal,
      );
      const chosen = chosenOf(ranking, inventory, subtask.subtask_id).slice(0, top);
      const [first] = chosen;
      const content = {
        subtask_id: subtask.subtask_id,
        candidates: chosen,
        ...(top === undefined ? {} : { top_k: top }),
        ...(Object.keys(constraints).length === 0 ? {} : { constraints }),
      };
      const said = {
        ...passedOn(extensions),
        'jarvis.selection.strategy': strategy,
        'jarvis.selection.needs_planner': ranking.needsPlanner,
        ...(ranking.needsPlanner ? { 'jarvis.selection.planner_node_type_ref': first?.node_type_ref } : {}),
      };
      return {
        candidate_set_id: idOf({ subtask, content, said }),
        ...content,
        generated_at: wireTime(nowMs()),
        extensions: { ...said, ...ranking.notes },
      };
    },
  };
}

/** @throws ArpError 400 `selection_strategy_unsupported`, 503 `selection_llm_missing` */
function rankerOf({ strategy, llm }: SelectionOptions): Ranker {
  if (strategy === 'deterministic') return BY_WORDS;
  if (strategy !== 'llm') {
    const details = { strategy: strategy.slice(0, 100), supported: ['llm', 'deterministic'] };
    const message = `there is no selection strategy ${JSON.stringify(details.strategy)}`;
    throw new ArpError(400, 'selection_strategy_unsupported', message, { details });
  }
  if (llm !== undefined) return llmRanker(llm);
  throw new ArpError(
    503,
    'selection_llm_missing',
    'the strategy is llm, and no language model is configured (ARP_LLM_…)',
  );
}

/** @throws ArpError 502 `selection_llm_<code>` or `selection_llm_failed` */
async function asked(answer: Promise<Ranking>, signal: AbortSignal | undefined): Promise<Ranking> {
  try {
    return await answer;
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof LlmError))
      throw new ArpError(502, 'selection_llm_failed', 'the language model could not be asked');
    const { llmCode, message, retryable } = error;
    throw new ArpError(502, `selection_llm_${llmCode}`, message, { retryable });
  }
}

/** @throws ArpError 422 */
function chosenOf(
  ranking: Ranking,
  { atomics, planner }: Inventory,
  subtaskId: string,
): readonly Candidate[] {
  const { blockedReason, missingInputs, needsPlanner } = ranking;
  if (blockedReason !== undefined || missingInputs.length > 0) {
    const reason = (blockedReason ?? `inputs are missing: ${missingInputs.join(', ')}`).slice(
      0,
      REASON_CHARS_MAX,
    );
    throw new ArpError(422, 'selection_blocked', `subtask ${subtaskId} cannot be carried out: ${reason}`, {
      retryable: false,
      details: { subtask_id: subtaskId, blocked_reason: reason, missing_inputs: missingInputs },
    });
  }
  if (needsPlanner) {
    if (planner !== undefined) return [candidateOf(planner, { score: PLANNER_SCORE })];
    const message = `subtask ${subtaskId} has to be planned, and there is no planner that may do it`;
    throw new ArpError(422, 'selection_planner_missing', message, { details: { subtask_id: subtaskId } });
  }
  const offered = new Map(atomics.map((type) => [type.node_type_id, type]));
  const chosen = ranking.candidates.flatMap(({ node_type_id, version, ...more }) => {
    const type = offered.get(node_type_id);
    if (type === undefined || (version ?? type.version) !== type.version) return [];
    offered.delete(node_type_id); // a second time it is unknown
    return [candidateOf(type, more)];
  });
  if (chosen.length === 0) throw nothing(subtaskId, atomics.length);
  return chosen;
}

function candidateOf(
  type: NodeType,
  more: { readonly score?: number; readonly rationale?: string },
): Candidate {
  const { node_type_id, version, constraints } = type;
  return {
    node_type_ref: { node_type_id, version },
    ...more,
    ...(constraints === undefined ? {} : { constraints }),
  };
}

function nothing(subtaskId: string, offered: number): ArpError {
  return new ArpError(422, 'selection_no_candidates', `no node type fits subtask ${subtaskId}`, {
    details: { subtask_id: subtaskId, node_types_offered: offered },
  });
}

function passedOn(extensions: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const kept = ([key]: readonly [string, unknown]): boolean =>
    key !== 'jarvis.prior_steps' && !OURS.test(key);
  return Object.fromEntries(Object.entries(extensions).filter(kept));
}

/**
 * Of what the set says and of the subtask: a caller that asks again, say after a crash, gets the same id for the same
 * answer, so that its idempotent requests stay the same (contract arp §4.6).
 * @throws ArpError 400 for text that is no Unicode, and for what is nested too deeply
 */
function idOf(content: unknown): string {
  let text: string;
  try {
    text = canonicalJson(content);
  } catch {
    throw validationFailed([
      { type: 'unicode', loc: ['body'], msg: 'holds text that is no Unicode, or is nested too deeply' },
    ]);
  }
  return `cs_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}
