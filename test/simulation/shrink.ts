/** Of the faults and deeds of a failing world, those that it takes: delta debugging over deterministic replays. */
import { planOf, simulate, type Outcome, type Replay } from './simulation.ts';

export interface Shrunk {
  readonly replay: Replay;
  readonly outcome: Outcome;
  readonly tries: number;
}

/** @param triesMax How many replays it may cost. */
export async function shrink(seed: number, rule: string, triesMax = 400): Promise<Shrunk> {
  const whole = planOf(seed);
  const items = [
    ...whole.faults.map((fault) => ({ fault, deed: undefined })),
    ...whole.deeds.map((deed) => ({ fault: undefined, deed })),
  ];
  const replayOf = (kept: typeof items): Replay => ({
    faults: kept.flatMap(({ fault }) => fault ?? []),
    deeds: kept.flatMap(({ deed }) => deed ?? []),
  });
  let tries = 0;
  let kept = items;
  let outcome = await simulate(seed, replayOf(kept));
  const stillFails = async (fewer: typeof items): Promise<boolean> => {
    tries += 1;
    const found = await simulate(seed, replayOf(fewer));
    if (found.violation?.rule !== rule) return false;
    outcome = found;
    kept = fewer;
    return true;
  };
  const hasTries = (): boolean => tries < triesMax;
  for (let size = Math.ceil(items.length / 2); size >= 1 && hasTries(); ) {
    const before = kept.length;
    for (let at = 0; at < kept.length && hasTries(); ) {
      if (!(await stillFails(kept.toSpliced(at, size)))) at += size;
    }
    // Single ones are tried again as long as that helps: what one needed may be gone by now.
    if (size > 1) size = Math.floor(size / 2);
    else if (kept.length === before) break;
  }
  return { replay: replayOf(kept), outcome, tries };
}
