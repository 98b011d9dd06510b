import type { ReeveError } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import { mismatch } from './pack-reader.ts';

/** Keeps what was found until it is known that nothing of more weight comes. */
export class Findings {
  readonly #found = new Map<number, ReeveError>();

  /** @param rank the lowest is thrown. Of one rank, the first found. */
  note(rank: number, error: ReeveError): void {
    if (!this.#found.has(rank)) this.#found.set(rank, error);
  }

  /** Throws what weighs most, if it weighs as much as that rank. */
  throwUpTo(rank: number): void {
    const [first = Infinity] = [...this.#found.keys()].toSorted((a, b) => a - b);
    const error = first > rank ? undefined : this.#found.get(first);
    if (error !== undefined) throw error;
  }
}

/** What is wrong with single lines comes in this order; then what they show together, and what the chain does. */
export const RANK = { events: 1, checkpoints: 2, approvals: 3, together: 4, chain: 5 } as const;

/** @throws ReeveError E_VERIFY_HASH_MISMATCH when a document is of another job than the manifest. */
export function requireJob(jobId: string, { job_id: found }: JsonObject, path: string, line?: number): void {
  if (found === jobId) return;
  throw mismatch(
    `${path} belongs to job ${JSON.stringify(found)}, the manifest to ${JSON.stringify(jobId)}`,
    {
      path,
      ...(line === undefined ? {} : { line }),
      expected: jobId,
      actual: found,
    },
  );
}
