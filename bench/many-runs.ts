/** Many runs in one store: parked ones and what waking them takes, live ones and what a crash costs. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endGroup, endsWithUs } from './children.ts';
import type { Made, ManyOrder, Woken } from './many-runs-child.ts';
import { nowMs, type Place } from './systems/system.ts';

type Kind = ManyOrder['kind'];

export interface Parked {
  readonly runs: number;
  readonly makeSeconds: number;
  readonly bytesPerRun: number;
  readonly idleBytes: number;
  readonly woken: number;
  readonly wakeSeconds: number;
}

export interface Crashed {
  readonly runs: number;
  /** From the kill until the next worker, started at that moment, begins a step; milliseconds, for each kill. */
  readonly nextStepMs: readonly number[];
  /** From the last kill until a step that it interrupted begins again; milliseconds. */
  readonly interruptedMs: number | undefined;
}

/** How long a worker works before it is killed, and how long interrupted work is waited for, milliseconds. */
const WORK_MS = 500;
const TAKEOVER_MS = 45_000;

function start(order: ManyOrder): ChildProcess {
  const script = fileURLToPath(new URL('many-runs-child.ts', import.meta.url));
  const child = fork(script, [JSON.stringify(order)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  endsWithUs(child);
  child.once('exit', () => endGroup(child.pid));
  return child;
}

async function answer<T>(order: ManyOrder): Promise<T> {
  const child = start(order);
  const exited = once(child, 'exit').then(() => {
    throw new Error(`'${order.mode}' gave no answer`);
  });
  const [result] = (await Promise.race([once(child, 'message'), exited])) as [T];
  await once(child, 'exit').catch(() => undefined);
  return result;
}

/** @param bytes What the store takes on the disk. */
export async function parked(
  place: Place,
  kind: Kind,
  { runs, woken, bytes }: { runs: number; woken: number; bytes: () => Promise<number> },
): Promise<Parked> {
  const base = { kind, place, parked: true };
  const before = await bytes();
  const { seconds: makeSeconds } = await answer<Made>({ ...base, mode: 'make', count: runs });
  const bytesPerRun = ((await bytes()) - before) / runs;
  const { idleBytes, seconds } = await answer<Woken>({ ...base, mode: 'wake', count: woken });
  return { runs, makeSeconds, bytesPerRun, idleBytes, woken, wakeSeconds: seconds };
}

interface Begun {
  readonly key: string;
  readonly atMs: number;
}

export async function crashed(
  place: Place,
  kind: Kind,
  { runs, kills }: { runs: number; kills: number },
): Promise<Crashed> {
  const base = { kind, place, parked: false };
  await answer<Made>({ ...base, mode: 'make', count: runs });
  const seen = new Set<string>();
  const nextStepMs: number[] = [];
  let killedMs = 0;
  let interruptedMs: number | undefined;
  for (let n = 0; n <= kills; n += 1) {
    const child = start({ ...base, mode: 'work', count: 0 });
    const exited = once(child, 'exit');
    const first = Promise.withResolvers<void>();
    const again = Promise.withResolvers<void>();
    child.on('message', ({ key, atMs }: Begun) => {
      first.resolve();
      if (n > 0 && nextStepMs.length < n) nextStepMs.push(atMs - killedMs);
      if (seen.has(key) && n === kills) {
        interruptedMs ??= atMs - killedMs;
        again.resolve();
      }
      seen.add(key);
    });
    await Promise.race([first.promise, exited]);
    // The last one is not killed before it has taken over what was interrupted: its lease has to run out first.
    const stop = new AbortController();
    await Promise.race([
      n < kills ? delay(WORK_MS) : again.promise,
      delay(TAKEOVER_MS, undefined, { signal: stop.signal }).catch(() => undefined),
      exited,
    ]);
    stop.abort();
    child.kill('SIGKILL');
    killedMs = nowMs();
    await exited;
  }
  return { runs, nextStepMs, interruptedMs };
}
