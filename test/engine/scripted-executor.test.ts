/** A fake that does not keep the contract may not be used. */
import { systemClock } from '../../src/engine/system.ts';
import { executorContract } from '../contracts/executor.ts';
import { ScriptedExecutor, ScriptedWorld } from '../support/scripted-executor.ts';

executorContract('scripted', () => {
  const world = new ScriptedWorld(systemClock);
  return Promise.resolve({
    executor: new ScriptedExecutor(world),
    input: (kind) => ({ fate: kind }),
    starts: (key) => Promise.resolve(world.starts(key)),
    another: () => Promise.resolve(new ScriptedExecutor(world)),
    close: () => Promise.resolve(),
  });
});
