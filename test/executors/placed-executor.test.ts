// Effects in a store that several places share (I5). The contract of executors holds where an effect was begun.
import { existsSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { EffectPlaces } from '../../src/engine/ports.ts';
import { PlacedExecutor } from '../../src/executors/placed-executor.ts';
import { executorContract } from '../contracts/executor.ts';
import { Rig } from './process/rig.ts';

/** What the database does, without one. */
class Places implements EffectPlaces {
  readonly known = new Map<string, string>();
  claim(effectKey: string, place: string): Promise<string> {
    if (!this.known.has(effectKey)) this.known.set(effectKey, place);
    return Promise.resolve(this.known.get(effectKey) ?? place);
  }
  forget(effectKey: string): Promise<void> {
    this.known.delete(effectKey);
    return Promise.resolve();
  }
}

const SCRIPTS = { succeed: 'true', fail: 'exit 3', hang: 'sleep 1000' };

executorContract('placed', async () => {
  const rig = await Rig.open();
  const places = new Places();
  const here = (): PlacedExecutor => new PlacedExecutor(rig.executor(), places, 'here');
  return {
    executor: here(),
    input: (kind) => rig.shell('', `echo started >> "$REEVE_EFFECT_KEY.starts"; ${SCRIPTS[kind]}`).input,
    starts: (key) => {
      const path = rig.path(`${key}.starts`);
      return Promise.resolve(existsSync(path) ? readFileSync(path, 'utf8').split('started').length - 1 : 0);
    },
    another: () => Promise.resolve(here()),
    close: () => rig.close(),
  };
});

async function twoPlaces() {
  const [one, two] = [await Rig.open(), await Rig.open()];
  onTestFinished(async () => {
    await one.close();
    await two.close();
  });
  const places = new Places();
  return {
    one,
    two,
    places,
    here: new PlacedExecutor(one.executor(), places, 'here'),
    there: new PlacedExecutor(two.executor(), places, 'there'),
  };
}

test('I5: what was begun elsewhere is unknown, not absent; asking, stopping and forgetting leave it alone', async () => {
  const { one, here, there } = await twoPlaces();
  const ref = await here.submit(one.shell('k', 'until [ -e go ]; do sleep 0.02; done'));
  expect(await there.status(ref)).toMatchObject({
    phase: 'unknown',
    reason: expect.stringContaining('here') as string,
  });
  await there.cancel(ref, 'canceled');
  const seen = [];
  for await (const status of there.watch(ref, new AbortController().signal)) seen.push(status.phase);
  expect(seen).toEqual(['unknown']);
  expect(await here.status(ref)).toMatchObject({ phase: 'running' });
  await here.cancel(ref, 'canceled');
});

test('I5: who asked first keeps it from being begun anywhere else', async () => {
  const { one, two, here, there } = await twoPlaces();
  const ref = { executor: 'process', effectKey: 'k' };
  expect(await there.status(ref)).toMatchObject({ phase: 'not_started' });
  await here.submit(one.shell('k', 'touch ran'));
  expect(await here.status(ref)).toMatchObject({ phase: 'unknown' });
  await there.submit(two.shell('k', 'touch ran'));
  expect([one, two].filter((rig) => existsSync(rig.path('ran')))).toEqual([]);
});

test('what is forgotten leaves nothing behind', async () => {
  const { one, here, places } = await twoPlaces();
  const ref = await here.submit(one.shell('k', 'true'));
  for await (const _ of here.watch(ref, new AbortController().signal));
  await here.forget(ref);
  expect(places.known.size).toBe(0);
});
