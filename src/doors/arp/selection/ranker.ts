/** Puts node types in order for a subtask. What it answers is checked by `selection.ts`, whoever it is. */
import type { NodeType, SUBTASK_SPEC } from '../wire/core.ts';
import type { TypeOf } from '../../wire-schema.ts';
import { rankByWords, schemaText, wordsOf } from './words.ts';

export type SubtaskSpec = TypeOf<typeof SUBTASK_SPEC>;

export interface RankRequest {
  readonly subtask: SubtaskSpec;
  /** Of the whole request. */
  readonly extensions: Readonly<Record<string, unknown>>;
  /** Atomic node types, by id. */
  readonly types: readonly NodeType[];
  readonly hasPlanner: boolean;
  /** Undefined: as many as there are. */
  readonly top: number | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface RankedType {
  readonly node_type_id: string;
  /** Undefined: the one that is offered. */
  readonly version?: string;
  readonly score?: number;
  readonly rationale?: string;
}

export interface Ranking {
  /** Best first. */
  readonly candidates: readonly RankedType[];
  /** No single node type does it: it has to be planned. */
  readonly needsPlanner: boolean;
  /** Why nobody can do it; undefined: somebody can. */
  readonly blockedReason?: string;
  readonly missingInputs: readonly string[];
  /** Goes into the extensions of the result. */
  readonly notes: Readonly<Record<string, unknown>>;
}

export interface Ranker {
  rank(request: RankRequest): Promise<Ranking>;
}

/** By the words that a goal shares with node types. It never asks for a planner: that would find the same words. */
export const BY_WORDS: Ranker = {
  async rank({ subtask, types }) {
    const words = wordsOf(`${subtask.goal} ${schemaText(subtask.expected_output_schema)}`);
    const candidates = rankByWords(words, types).map(({ type, score, shared }) => ({
      node_type_id: type.node_type_id,
      version: type.version,
      score,
      rationale: `shares ${shared.length} of ${words.size} words with the goal: ${shared.slice(0, 10).join(', ')}`,
    }));
    return { candidates, needsPlanner: false, missingInputs: [], notes: {} };
  },
};
