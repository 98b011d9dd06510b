/** A process of a fleet: lives the worlds it is told to, one after the other. */
import { simulate, type Outcome } from './simulation.ts';

process.on('message', ({ from, count }: { from: number; count: number }) => {
  void live(from, count).then((outcomes) => process.send?.(outcomes));
});

async function live(from: number, count: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let seed = from; seed < from + count; seed += 1)
    outcomes.push({ ...(await simulate(seed)), trace: [] });
  return outcomes;
}
