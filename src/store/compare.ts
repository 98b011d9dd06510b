/** What is stored beside the events, compared with what the events make of it. */
import { canonicalJson } from '../model/canonical.ts';
import { decodeSnapshot } from '../model/snapshot.ts';
import type { LoadedRun, RunHead, WorkRow } from './run-store.ts';
import type { Findings, Walk } from './walk.ts';
import { agrees, byNode, type ExpectedWork } from './work-rows.ts';

export function compareHead(head: RunHead, wanted: RunHead | undefined, walk: Walk, found: Findings): void {
  const { seq, hash } = walk.last;
  if (seq < head.version) {
    found.add('gap', `the head counts ${head.version} events, and there are ${seq}`, seq + 1);
    return;
  }
  const known: Partial<RunHead> = wanted ?? { version: seq, hash };
  const wrong = Object.entries(known).filter(([key, value]) => head[key as keyof RunHead] !== value);
  if (wrong.length === 0) return;
  const said = wrong.map(([key, value]) => `${key} is ${head[key as keyof RunHead]} and should be ${value}`);
  found.add('head', said.join(', '));
}

export function compareSnapshot({ head, snapshot }: LoadedRun, walk: Walk, found: Findings): void {
  if (snapshot === undefined) return;
  const { version, body } = snapshot;
  if (version > Math.max(head.version, walk.last.seq)) {
    found.add('snapshot', `it is of version ${version}, which the run has not reached`);
    return;
  }
  try {
    // Of an older format: it is not used, and the next one replaces it.
    if (decodeSnapshot(body) === undefined && isSnapshotText(body)) return;
    const made = walk.snapshot === undefined ? undefined : comparable(walk.snapshot);
    if (comparable(body) !== made) found.add('snapshot', 'it differs from what the events make', version);
  } catch {
    found.add('snapshot', 'it cannot be read', version);
  }
}

function isSnapshotText(body: string): boolean {
  return typeof (JSON.parse(body) as { format?: unknown }).format === 'number';
}

/** A snapshot's lists are sets: the same state may have come to them in another order. */
function comparable(body: string): string {
  const parsed = JSON.parse(body) as Record<string, unknown>;
  const sorted = (list: unknown): unknown =>
    Array.isArray(list) ? list.map((item) => canonicalJson(item)).toSorted() : list;
  const inFours = (list: unknown): unknown =>
    Array.isArray(list)
      ? sorted(Array.from({ length: list.length / 4 }, (_, at) => list.slice(at * 4, at * 4 + 4)))
      : list;
  return canonicalJson({
    ...parsed,
    nodes: sorted(parsed['nodes']),
    settled: inFours(parsed['settled']),
    ready: sorted(parsed['ready']),
    live: sorted(parsed['live']),
    open: sorted(parsed['open']),
    dependents: sorted(parsed['dependents']),
    decisions: sorted(parsed['decisions']),
  });
}

export function compareWork(
  rows: readonly WorkRow[],
  expected: readonly ExpectedWork[],
  found: Findings,
): void {
  const there = byNode(rows);
  for (const want of expected) {
    const row = there.get(want.node);
    if (row === undefined) found.add('work', `node ${want.node} should be ${want.state} and has no row`);
    else if (!agrees(row, want)) {
      found.add('work', `node ${want.node} is ${saysOf(row)} and should be ${saysOf(want)}`);
    }
  }
  const wanted = byNode(expected);
  for (const row of rows) {
    if (!wanted.has(row.node)) found.add('work', `node ${row.node} is ${saysOf(row)} and should have no row`);
  }
}

export function compareAliases(
  aliases: readonly string[],
  expected: readonly string[],
  found: Findings,
): void {
  const [held, wanted] = [new Set(aliases), new Set(expected)];
  for (const alias of wanted) {
    if (!held.has(alias)) found.add('alias', `it should be found as '${alias}' and is not`);
  }
  for (const alias of held) {
    if (!wanted.has(alias)) found.add('alias', `it is found as '${alias}' and should not be`);
  }
}

function saysOf({ state, epoch, worker }: Pick<WorkRow, 'state' | 'epoch' | 'worker'>): string {
  return state === 'leased' ? `leased to ${worker} under epoch ${epoch}` : state;
}
