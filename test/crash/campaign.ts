/**
 * npm run crash -- [--store sqlite|postgres] [--kills N] [--servers N] [--freezes N] [--restarts N] [--seed S]
 *                  [--minutes M] [--lease MS] [--plant FAULT] [--json]
 *
 * Real kills of real processes: 1,000 of workers and 200 of servers, half on each store, unless told otherwise. Ends with 1
 * when something was lost, doubled without a word, written under a lost lease, or never ended.
 */
import { parseArgs } from 'node:util';
import { whyNoPostgres } from '../support/postgres.ts';
import { campaign, type Report } from './fire/campaign.ts';
import type { StoreKind } from './fire/estate.ts';
import { plant } from './fire/planted.ts';
import { describeReports, faultsOf } from './fire/report.ts';

const { values } = parseArgs({
  options: {
    store: { type: 'string' },
    kills: { type: 'string' },
    servers: { type: 'string' },
    freezes: { type: 'string' },
    restarts: { type: 'string' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    lease: { type: 'string' },
    plant: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

/** @throws TypeError for an argument that is no whole number. */
function count(name: Exclude<keyof typeof values, 'json'>): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new TypeError(`--${name} must be a whole number, not ${text}`);
  return number;
}

function storesOf(store: string | undefined): readonly StoreKind[] {
  if (store === undefined) return ['sqlite', 'postgres'];
  if (store !== 'sqlite' && store !== 'postgres')
    throw new TypeError(`--store must be sqlite or postgres, not ${store}`);
  return [store];
}

const stores = storesOf(values.store);
if (stores.includes('postgres')) {
  const missing = await whyNoPostgres();
  if (missing !== undefined) throw new Error(`PostgreSQL cannot run here: ${missing}`);
}
/** What is not said is shared evenly among the stores. */
const each = (name: 'kills' | 'servers' | 'freezes', all: number): number =>
  Math.ceil((count(name) ?? all) / stores.length);
const minutes = count('minutes');
const lease = count('lease');
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort(name));
const planted = values.plant === undefined ? undefined : plant(values.plant);
const reports: [StoreKind, Report][] = [];
for (const store of stores) {
  const report = await campaign({
    store,
    seed: count('seed') ?? 1,
    kills: each('kills', 1000),
    servers: each('servers', 200),
    freezes: each('freezes', 40),
    restarts: count('restarts') ?? 15,
    ...(minutes === undefined ? {} : { limitMs: (minutes * 60_000) / stores.length }),
    ...(lease === undefined ? {} : { leaseMs: lease }),
    ...(planted === undefined ? {} : { program: planted.program }),
    signal: stop.signal,
    say: (line) => process.stderr.write(`${line}\n`),
  });
  reports.push([store, report]);
}
planted?.remove();
process.stdout.write(
  values.json ? `${JSON.stringify(Object.fromEntries(reports), undefined, 1)}\n` : describeReports(reports),
);
if (reports.some(([, report]) => faultsOf(report).length > 0)) process.exitCode = 1;
