import { existsSync, readFileSync } from 'node:fs';
import type { ExecutorHarness } from '../../contracts/executor.ts';
import { executorContract } from '../../contracts/executor.ts';
import { Rig } from './rig.ts';

const SCRIPTS = { succeed: 'true', fail: 'exit 3', hang: 'sleep 1000' };

executorContract('process', async (): Promise<ExecutorHarness> => {
  const rig = await Rig.open();
  return {
    executor: rig.executor(),
    input: (kind) => rig.shell('', `echo started >> "$REEVE_EFFECT_KEY.starts"; ${SCRIPTS[kind]}`).input,
    starts: async (key) => {
      const path = rig.path(`${key}.starts`);
      return existsSync(path) ? readFileSync(path, 'utf8').split('started').length - 1 : 0;
    },
    another: async () => rig.executor(),
    close: () => rig.close(),
  };
});
