/** Ours and the others in one table. */
import type { Results, Where } from '../results.ts';
import type { Measured } from '../subject.ts';
import type { Entry } from '../systems/catalog.ts';
import { show, table, times } from './table.ts';

const nameOf = ({ title, kind }: Entry): string => (kind === 'ours' ? `**${title}**` : title);
const isLoop = ({ alone }: Entry): boolean => alone === true;

export function latencyTable(results: Results): string {
  const rows = results
    .systems('here')
    .map((entry) => [
      nameOf(entry),
      show(results.steps(entry, 'here', 1, ({ p50 }) => p50)),
      show(results.steps(entry, 'here', 1, ({ p99 }) => p99)),
    ]);
  return table(['one client', 'p50, ms', 'p99, ms'], rows);
}

export function throughputTable(results: Results, where: Where, clients: readonly number[]): string {
  const rows = results
    .systems(where)
    .map((entry) => [
      nameOf(entry),
      ...clients.map((count) =>
        isLoop(entry) && count > 1
          ? '–'
          : show(results.steps(entry, where, count, ({ perSecond }) => perSecond)),
      ),
    ]);
  const head = clients.map((count) => `${count} client${count === 1 ? '' : 's'}`);
  return table(['steps per second', ...head], rows);
}

export function dispatchTable(results: Results): string {
  const rows = (['here', 'elsewhere'] as const).flatMap((where) =>
    results
      .systems(where)
      .filter((entry) => results.of(entry, where, ({ begun }) => begun) !== undefined)
      .map((entry) => [
        nameOf(entry),
        where === 'here' ? 'the same' : 'another',
        show(results.of(entry, where, ({ accepted }) => accepted)),
        show(results.of(entry, where, ({ begun }) => begun)),
        show(results.of(entry, where, ({ begunP99 }) => begunP99)),
      ]),
  );
  return table(['', 'process', 'accepted, ms', 'begun, ms', 'begun p99, ms'], rows);
}

export function fanOutTable(results: Results, children: number): string {
  const pick = ({ fanOut }: Measured): number | undefined => fanOut;
  const rows = results
    .systems('here')
    .filter((entry) => results.of(entry, 'here', pick) !== undefined)
    .map((entry) => [
      nameOf(entry),
      show(results.of(entry, 'here', pick)),
      show(results.of(entry, 'elsewhere', pick)),
    ]);
  return table(
    [`${children.toLocaleString('en')} children, seconds`, 'same process', 'another process'],
    rows,
  );
}

/** What was aimed at and what came out, from the medians; a line is left out where a side was not measured. */
export function aims(results: Results): string {
  const median = (
    entry: Entry,
    where: Where,
    clients: number,
    kind: 'p50' | 'perSecond',
  ): number | undefined => results.steps(entry, where, clients, (steps) => steps[kind])?.median;
  const best = (where: Where, clients: number, kind: 'p50' | 'perSecond') =>
    results
      .systems(where)
      .filter((entry) => entry.kind === 'peer')
      .map((entry) => ({ entry, value: median(entry, where, clients, kind) }))
      .filter((one): one is { entry: Entry; value: number } => one.value !== undefined)
      .toSorted((a, b) => (kind === 'p50' ? a.value - b.value : b.value - a.value))
      .at(0);
  const lines: string[] = [];
  const line = (
    what: string,
    aim: number,
    name: string,
    where: Where,
    clients: number,
    kind: 'p50' | 'perSecond',
    peer = best(where, clients, kind),
  ): void => {
    const own = results.systems(where).find((entry) => entry.name === name);
    const value = own === undefined ? undefined : median(own, where, clients, kind);
    if (value === undefined || peer === undefined) return;
    const ratio = kind === 'p50' ? peer.value / value : value / peer.value;
    const verdict = ratio >= aim ? 'reached' : '**missed**';
    lines.push(`- ${what}: ${times(ratio)} against ${peer.entry.title} (aim: ${aim} ×; ${verdict}).`);
  };
  const dbos = (where: Where, clients: number, kind: 'p50' | 'perSecond') => {
    const entry = results.systems(where).find(({ name }) => name === 'dbos');
    const value = entry === undefined ? undefined : median(entry, where, clients, kind);
    return entry === undefined || value === undefined ? undefined : { entry, value };
  };
  line('A step of one client, p50', 2, 'reeve', 'here', 1, 'p50');
  line('Steps per second of 32 clients, in process', 5, 'reeve', 'here', 32, 'perSecond');
  line(
    'Steps per second of 32 clients, workers in another process',
    2,
    'reeve',
    'elsewhere',
    32,
    'perSecond',
  );
  for (const [where, words] of [
    ['here', 'in process'],
    ['elsewhere', 'workers in another process'],
  ] as const) {
    const peer = dbos(where, 32, 'perSecond');
    if (peer !== undefined)
      line(`The same on PostgreSQL, ${words}`, 1, 'reeve-postgres', where, 32, 'perSecond', peer);
  }
  const peer = dbos('here', 1, 'p50');
  if (peer !== undefined)
    line('A step of one client on PostgreSQL, p50', 1, 'reeve-postgres', 'here', 1, 'p50', peer);
  return lines.join('\n');
}
