// The process of a worker elsewhere: `startWorker` starts it, and its end of the pipe stops it.
import type { Place, SystemModule } from './systems/system.ts';

const [module = '', place = ''] = process.argv.slice(2);
const { work } = (await import(module)) as SystemModule;
if (work === undefined) throw new Error(`${module} has no worker`);
const stop = await work(JSON.parse(place) as Place, (message) => process.send?.(message));
process.on('disconnect', () => {
  void stop().then(() => process.exit());
});
process.send?.('ready');
