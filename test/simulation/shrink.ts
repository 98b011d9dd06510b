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
  for (let size = Math.ceil(kept.length / 2); size >= 1; ) {
    let isSmaller = false;
    for (let at = 0; at < kept.length && tries < triesMax; ) {
      const fewer = kept.toSpliced(at, size);
      if (await stillFails(fewer)) isSmaller = true;
      else at += size;
    }
    if (tries >= triesMax || (size === 1 && !isSmaller)) break;
    size = isSmaller && size === 1 ? 1 : Math.floor(size / 2) || (isSmaller ? 1 : 0);
  }
  return { replay: replayOf(kept), outcome, tries };
}
