/** Lives worlds until one of them breaks an invariant: then it says how many it took and which one, and ends with 3. */
import { simulate } from './simulation.ts';

const most = Number(process.argv[2] ?? '100');
for (let seed = 1; seed <= most; seed += 1) {
  process.stdout.write(`${seed}\n`); // who hears nothing more for long knows that this world has no end
  const { violation } = await simulate(seed);
  if (violation === undefined) continue;
  process.stdout.write(`${seed} ${violation.message.split('\n')[0] ?? ''}\n`);
  process.exit(3);
}
