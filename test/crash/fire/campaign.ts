/**
 * A campaign: workers and a server run jobs on one store while they are killed, frozen, and the database is restarted
 * under them. Then everything is left in peace until each run has ended, and an auditor compares what clients were told,
 * what the events say and what the steps did. The seed fixes what is killed and what the jobs are; moments are real.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expectedWork } from '../../../src/engine/work-changes.ts';
import { sha256 } from '../../../src/engine/system.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { systemChance, systemClock } from '../../../src/engine/system.ts';
import type { RecordedEvent } from '../../../src/model/events.ts';
import { checkRun } from '../../../src/store/check.ts';
import { Random } from '../../simulation/random.ts';
import { freePort } from '../../support/free-ports.ts';
import { Actor } from './actor.ts';
import { audit, type Audit } from './audit.ts';
import { Clients } from './clients.ts';
import { Estate, restart, type StoreKind } from './estate.ts';
import { signal } from './processes.ts';
import { timesToNextStep, type Killed, type Times } from './times.ts';

export interface CampaignOptions {
  readonly store: StoreKind;
  readonly seed: number;
  /** Workers to be killed. */
  readonly kills: number;
  /** Servers to be killed. */
  readonly servers: number;
  /** Processes to be stopped for longer than their lease. */
  readonly freezes: number;
  /** Restarts of the database, where there is one: tidy, as after a crash, and killed. */
  readonly restarts: number;
  /** Mean time between two deeds, milliseconds. */
  readonly pauseMs?: number;
  /** No further deed after this long, milliseconds. */
  readonly limitMs?: number;
  readonly leaseMs?: number;
  /** Another build of the program than the one here. */
  readonly program?: string;
  /** Ends it without a report, with nothing left behind. */
  readonly signal?: AbortSignal;
  readonly say?: (line: string) => void;
}

export interface Report extends Audit, Times {
  readonly killed: { readonly workers: number; readonly servers: number };
  /** How the kills were meant: the process alone, with its supervisors, or with everything below it. */
  readonly ways: Readonly<Record<Way, number>>;
  readonly freezes: number;
  /** Frozen processes whose run somebody else had taken when they woke up. */
  readonly overtaken: number;
  readonly restarts: number;
  /** How long the database was away, milliseconds, ascending. */
  readonly awayMs: readonly number[];
  /** From the moment the database was there again until any run began its next step, milliseconds, ascending. */
  readonly afterRestartMs: readonly number[];
  readonly acknowledged: number;
  readonly unanswered: number;
  /** Programs that ended although nobody had asked them to, with what they said. */
  readonly gaveUp: readonly string[];
  /** What `store check` has to say: broken chains, missing blobs, wrong work rows. */
  readonly damage: readonly string[];
  /** Processes that were there after everything had been stopped. */
  readonly leftovers: number;
  readonly seconds: number;
}

type Way = 'alone' | 'supervisors' | 'everything';
type Deed = 'worker' | 'server' | 'freeze' | 'restart';

const WORKERS = 3;
const LOAD = 16;
const CALM_MS = 120_000;
/** Longest wait for an effect before the next deed, milliseconds. */
const PROGRESS_MS = 5000;

export async function campaign(options: CampaignOptions): Promise<Report> {
  const { store, seed, pauseMs = 300, leaseMs = 2000, program, say = () => undefined } = options;
  const startMs = performance.now();
  const estate = await Estate.open({ kind: store, leaseMs, ...(program === undefined ? {} : { program }) });
  try {
    const address = `127.0.0.1:${await freePort()}`;
    const server = new Actor(estate, ['serve', '--listen', address, '--concurrency', '1'], 0);
    const workers = Array.from(
      { length: WORKERS },
      (_, at) => new Actor(estate, ['work', '--concurrency', '3'], at === WORKERS - 1 ? 1 : 0),
    );
    const actors = [server, ...workers];
    await server.up; // it makes the store
    const clients = new Clients({ estate, address, seed, load: LOAD });
    const using = clients.run();

    const random = new Random(seed, 'deeds');
    const killed: Killed[] = [];
    const frozen: Killed[] = [];
    /** When the database was there again. */
    const returned: Killed[] = [];
    const awayMs: number[] = [];
    const freezing: Promise<void>[] = [];
    const ways: Record<Way, number> = { alone: 0, supervisors: 0, everything: 0 };
    const done: Record<Deed, number> = { worker: 0, server: 0, freeze: 0, restart: 0 };
    const deeds = planDeeds(options, random);
    const limitAtMs = startMs + (options.limitMs ?? Number.POSITIVE_INFINITY);
    for (const [at, deed] of deeds.entries()) {
      await delay(pauseMs * (0.3 + 1.4 * random.next()));
      // On a busy machine nothing would ever be at work when it is killed: mostly something has to have happened since.
      if (!random.oneIn(3)) await estate.ledger.grown(PROGRESS_MS);
      options.signal?.throwIfAborted();
      if (performance.now() > limitAtMs) break;
      if (at % 50 === 49)
        say(
          `${store}: ${at + 1} of ${deeds.length} deeds, ${clients.submitted} jobs, ${clients.open?.length ?? '?'} open`,
        );
      await carryOut(deed);
      done[deed] += 1;
    }
    await Promise.all(freezing);
    clients.enough();
    const calmAtMs = performance.now() + CALM_MS;
    while (!clients.isDone && performance.now() < calmAtMs) {
      options.signal?.throwIfAborted();
      await delay(100);
    }
    await delay(leaseMs + 1500); // what still runs of canceled jobs is stopped by whoever gets its lease
    clients.close();
    await using;
    await Promise.all(actors.map((actor) => actor.stop()));
    const leftovers = await processesLeft(estate);
    say(`${store}: ${deeds.length} deeds done, ${clients.submitted} jobs; auditing`);

    const { runs, damage } = await readStore(estate);
    const audited = audit({ runs, lines: estate.ledger.read(), acknowledged: clients.acknowledged });
    return {
      ...audited,
      ...timesToNextStep(runs, killed),
      killed: { workers: done.worker, servers: done.server },
      ways,
      freezes: done.freeze,
      overtaken: timesToNextStep(runs, frozen).overtaken,
      restarts: done.restart,
      awayMs: awayMs.toSorted((a, b) => a - b),
      afterRestartMs: timesToNextStep(runs, returned).anyStepMs,
      acknowledged: clients.acknowledged.length,
      unanswered: clients.unanswered,
      gaveUp: actors.flatMap(({ gaveUp }) => gaveUp),
      damage,
      leftovers,
      seconds: (performance.now() - startMs) / 1000,
    };

    async function carryOut(deed: Deed): Promise<void> {
      if (deed === 'restart') {
        if (estate.database === undefined) throw new TypeError('there is no database to restart');
        const goneMs = Date.now();
        await restart(estate.database, random.pick(['SIGINT', 'SIGQUIT', 'SIGKILL'] as const));
        returned.push({ pid: 0, atMs: Date.now() });
        awayMs.push(Date.now() - goneMs);
        return;
      }
      const victim = await choose(deed === 'server' ? [server] : deed === 'worker' ? workers : actors);
      if (deed === 'freeze') {
        frozen.push({ pid: victim.pid, atMs: Date.now() });
        freezing.push(victim.freeze(leaseMs + 700));
        return;
      }
      const way = random.weighed({ alone: 2, supervisors: 1, everything: 1 });
      ways[way] += 1;
      killed.push({ pid: victim.pid, atMs: Date.now() });
      victim.kill(way);
    }

    /** Mostly one that is at work, sometimes one that has only just begun. */
    async function choose(from: readonly Actor[]): Promise<Actor> {
      const isWild = random.oneIn(5);
      for (;;) {
        const there = from.filter(({ isFrozen, isThere, isUp }) => isThere && !isFrozen && (isUp || isWild));
        if (there.length > 0) return random.pick(there);
        await delay(20);
      }
    }
  } finally {
    await estate.close();
  }
}

function planDeeds({ store, kills, servers, freezes, restarts }: CampaignOptions, random: Random): Deed[] {
  const counts = {
    worker: kills,
    server: servers,
    freeze: freezes,
    restart: store === 'sqlite' ? 0 : restarts,
  };
  const left = Object.entries(counts).flatMap(([deed, count]) => Array<Deed>(count).fill(deed as Deed));
  return left
    .map((deed) => ({ deed, place: random.next() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ deed }) => deed);
}

async function processesLeft(estate: Estate): Promise<number> {
  const giveUpAtMs = performance.now() + 8000;
  while (estate.processes().length > 0 && performance.now() < giveUpAtMs) await delay(50);
  const left = estate.processes();
  for (const pid of left) signal(pid, 'SIGKILL');
  return left.length;
}

async function readStore(
  estate: Estate,
): Promise<{ runs: Map<string, readonly RecordedEvent[]>; damage: string[] }> {
  const opened = await estate.openStore();
  try {
    const { runs: store, blobs } = opened;
    const engine = new Engine({ store, blobs, clock: systemClock, chance: systemChance });
    const runs = new Map<string, readonly RecordedEvent[]>();
    const damage = (await store.integrity?.()) ?? [];
    const texts = damage.map((found) => JSON.stringify(found));
    for (let after; ; ) {
      const page = await store.list({ limit: 200, ...(after === undefined ? {} : { after }) });
      for (const { id } of page.runs) {
        runs.set(id, await engine.events(id));
        const { findings } = await checkRun(store, blobs, id, { sha256, expectedWork });
        texts.push(...findings.map((found) => JSON.stringify(found)));
      }
      after = page.next;
      if (after === undefined) return { runs, damage: texts };
    }
  } finally {
    await opened.close();
  }
}
