/** The order in which things are measured. Every measurement gets a folder and a database of its own. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runSubject } from './children.ts';
import { CLIENTS } from './flags.ts';
import { crashed, parked } from './many-runs.ts';
import { Results, type Where } from './results.ts';
import type { Database, Servers } from './servers.ts';
import type { Order } from './subject.ts';
import type { Entry } from './systems/catalog.ts';
import { bytesBelow, type Place } from './systems/system.ts';
import type { LongRow, ManyRow } from './tables/ours.ts';

/** On an idle system, one after the other. */
const DISPATCHES = 50;
const WOKEN = 1000;
const EMPTY = { clients: [], seconds: 0, dispatches: 0, children: 0, long: 0, resume: false } as const;

async function inPlace<T>(
  servers: Servers,
  root: string,
  where: Where,
  work: (place: Place, database: Database) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(root, 'p-'));
  const database = await servers.database();
  try {
    const clientsMax = Math.max(...CLIENTS);
    return await work(
      { dir, postgres: database.url, elsewhere: where === 'elsewhere', clientsMax },
      database,
    );
  } finally {
    await database.drop();
    rmSync(dir, { recursive: true, force: true });
  }
}

export interface SideBySide {
  readonly root: string;
  readonly repetitions: number;
  readonly seconds: number;
  readonly children: number;
  readonly steps: boolean;
  readonly dispatch: boolean;
  readonly fanOut: boolean;
}

export async function sideBySide(
  servers: Servers,
  systems: readonly Entry[],
  { root, repetitions, seconds, children, steps, dispatch, fanOut }: SideBySide,
): Promise<Results> {
  const results = new Results();
  for (let n = 0; n < repetitions; n += 1) {
    for (const where of ['here', 'elsewhere'] as const) {
      for (const entry of systems.filter((one) => where === 'here' || one.elsewhere)) {
        const begun = performance.now();
        const order: Omit<Order, 'place'> = {
          ...EMPTY,
          system: entry.name,
          clients: steps ? (entry.alone === true ? [1] : CLIENTS) : [],
          seconds,
          dispatches: dispatch && entry.name !== 'reeve-plan' ? DISPATCHES : 0, // it would be that of `reeve` again
          children: fanOut && entry.name !== 'reeve-plan' ? children : 0,
        };
        const found = await inPlace(servers, root, where, (place) => runSubject({ ...order, place }));
        results.note(entry, where, found);
        const took = ((performance.now() - begun) / 1000).toFixed(1);
        process.stderr.write(`${n + 1} of ${repetitions}: ${entry.name} ${where}, ${took} s\n`);
      }
    }
  }
  return results;
}

/** Steps of a long run, as shares of what is asked for: a database server takes longer, and peers longer still. */
const SHARE: Readonly<Record<string, number>> = {
  reeve: 1,
  'reeve-postgres': 0.2,
  restate: 0.1,
  dbos: 0.1,
};

export async function longRuns(
  servers: Servers,
  systems: readonly Entry[],
  { root, steps }: { root: string; steps: number },
): Promise<LongRow[]> {
  const rows: LongRow[] = [];
  for (const entry of systems) {
    const share = SHARE[entry.name];
    if (share === undefined) continue;
    const long = Math.max(2000, Math.round(steps * share));
    process.stderr.write(`long run: ${entry.name}, ${long} steps\n`);
    const row = await inPlace(servers, root, 'here', async (place, database) => {
      const order = { ...EMPTY, system: entry.name, place };
      const before = await database.bytes();
      const { long: found } = await runSubject({ ...order, long });
      if (found === undefined) throw new Error(`${entry.name} has no long run`);
      const bytes = found.diskBytes ?? (await database.bytes()) - before;
      const { resumeMs } =
        entry.kind === 'ours' ? await runSubject({ ...order, resume: true }) : { resumeMs: undefined };
      return { ...found, title: entry.title, bytes, resumeMs };
    });
    rows.push(row);
  }
  return rows;
}

export async function manyRuns(
  servers: Servers,
  systems: readonly Entry[],
  options: { root: string; runs: number; repetitions: number; has(scenario: 'parked' | 'crash'): boolean },
): Promise<ManyRow[]> {
  const { root, repetitions } = options;
  const rows: ManyRow[] = [];
  for (const { name, title } of systems) {
    if (name !== 'reeve' && name !== 'reeve-postgres') continue;
    const kind = name === 'reeve' ? 'sqlite' : 'postgres';
    const runs = kind === 'sqlite' ? options.runs : Math.round(options.runs / 10);
    const store = (place: Place): string => join(place.dir, 'store');
    const wants = (scenario: 'parked' | 'crash'): boolean => {
      const isWanted = options.has(scenario);
      if (isWanted) process.stderr.write(`${scenario}: ${name}, ${runs} runs\n`);
      return isWanted;
    };
    rows.push({
      title,
      parked: wants('parked')
        ? await inPlace(servers, root, 'here', (place, database) => {
            mkdirSync(store(place), { mode: 0o700 });
            const bytes = kind === 'sqlite' ? async () => bytesBelow(store(place)) : () => database.bytes();
            return parked(place, kind, { runs, woken: Math.min(WOKEN, runs), bytes });
          })
        : undefined,
      crashed: wants('crash')
        ? await inPlace(servers, root, 'here', (place) => crashed(place, kind, { runs, kills: repetitions }))
        : undefined,
    });
  }
  return rows;
}
