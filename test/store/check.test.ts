/** What `check` finds in a damaged store, and what `repair` mends of it. Real runs, damaged behind the store's back. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { sha256, systemChance, systemClock } from '../../src/engine/system.ts';
import { isPlan } from '../../src/model/node.ts';
import { leaseOwner, type RunState } from '../../src/model/state.ts';
import { isTerminal } from '../../src/model/transitions.ts';
import { checkRun, checkStore, type CheckTools } from '../../src/store/check.ts';
import { openStore, type Store } from '../../src/store/open-store.ts';
import { repairRun } from '../../src/store/repair.ts';
import type { Finding } from '../../src/store/walk.ts';
import type { ExpectedWork } from '../../src/store/work-rows.ts';
import { specOf } from '../model/rig.ts';
import { StoreRig } from './rig.ts';

/** Rows of runs without decisions: enough for those here. */
function expectedWork(state: RunState): ExpectedWork[] {
  if (isTerminal(state.standing) && state.live.size === 0) return [];
  const { phase } = state.standing;
  return [...state.nodes.keys()].flatMap((id): ExpectedWork[] => {
    const { spec, lease, epoch, notBeforeMs } = state.nodes.get(id)!;
    if (leaseOwner(state, id) !== id || !(isPlan(spec) || state.ready.has(id) || lease !== undefined))
      return [];
    const { worker, leaseId } = lease ?? { worker: null, leaseId: null };
    const free = phase === 'held' ? 'parked' : 'offered';
    return [
      {
        node: id,
        state: lease === undefined ? free : 'leased',
        epoch,
        worker,
        leaseId,
        dueMs: notBeforeMs ?? state.lastAtMs,
      },
    ];
  });
}

const tools: CheckTools = { sha256, expectedWork };
const LEASE_MS = 60_000;

class Case {
  readonly rig: StoreRig;
  readonly store: Store;
  readonly #raw: Database.Database;

  static async open(): Promise<Case> {
    const rig = await StoreRig.open();
    const store = rig.keep(await openStore(rig.root));
    const engine = new Engine({
      store: store.runs,
      blobs: store.blobs,
      clock: systemClock,
      chance: systemChance,
    });
    const spec = specOf({
      root: { id: 'root', kind: 'composite', drive: 'plan' },
      nodes: [
        { id: 'a', kind: 'atomic' },
        { id: 'b', kind: 'atomic', needs: ['a'] },
      ],
    });
    await engine.execute('free', { type: 'create', spec });
    await engine.execute('r', { type: 'create', spec: { ...spec, addressable: true } });
    const claimant = { worker: 'w', leaseId: 'l', ttlMs: LEASE_MS };
    const { state } = await engine.execute('r', { type: 'claim', node: 'root', claimant });
    const { epoch } = state.nodes.get('root')!;
    await engine.execute('r', { type: 'start', node: 'a', epoch });
    // Big ones: their payload is kept outside, and there are enough of them for a snapshot.
    for (const n of [1, 2])
      await engine.execute('r', { type: 'record', name: `big${n}`, data: 'x'.repeat(20_000) });
    for (let n = 0; n < 8; n += 1) {
      await engine.execute('r', { type: 'record', name: `note${n}`, data: 'y'.repeat(12_000) });
    }
    await engine.execute('r', { type: 'record', name: 'last', data: null });
    const whole = await store.runs.load('r');
    if (whole?.snapshot === undefined || whole.tail.length === 0) throw new Error('no snapshot, or no tail');
    return new Case(rig, store);
  }

  private constructor(rig: StoreRig, store: Store) {
    this.rig = rig;
    this.store = store;
    this.#raw = new Database(join(rig.root, 'reeve.sqlite'));
    rig.keep({ close: () => Promise.resolve(void this.#raw.close()) });
  }

  damage(sql: string, ...values: unknown[]): void {
    if (this.#raw.prepare(sql).run(...values).changes === 0) throw new Error(`no damage done: ${sql}`);
  }
  blobFiles(): string[] {
    const blobs = join(this.rig.root, 'blobs');
    return readdirSync(blobs, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.length > 60)
      .map((name) => join(blobs, name));
  }
  async find(runId = 'r'): Promise<readonly Finding[]> {
    return (await checkRun(this.store.runs, this.store.blobs, runId, tools)).findings;
  }
  async kinds(): Promise<string[]> {
    return (await this.find()).map(({ kind, seq }) => (seq === undefined ? kind : `${kind}@${seq}`));
  }
  repair(runId = 'r'): ReturnType<typeof repairRun> {
    return repairRun(this.store.runs, this.store.blobs, runId, tools, Date.now() + LEASE_MS);
  }
}

const NO = "(select no from runs where id = 'r')";

describe('check and repair', () => {
  const cases: Case[] = [];
  const open = async (): Promise<Case> => {
    const one = await Case.open();
    cases.push(one);
    return one;
  };
  afterEach(async () => {
    for (const one of cases.splice(0)) await one.rig.close();
  });

  test('a sound store has nothing to find, and nothing is written', async () => {
    const one = await open();
    const { store } = one;
    const reports = [];
    for await (const report of checkStore(store.runs, store.blobs, tools)) reports.push(report);
    expect(reports.map(({ findings }) => findings)).toEqual([[], [], []]);
    expect(new Set(reports.map(({ runId }) => runId))).toEqual(new Set([undefined, 'free', 'r']));
    expect(reports.at(-1)?.events).toBeGreaterThan(0);
    expect(await one.repair()).toMatchObject({ mended: [], findings: [] });
    expect(await checkRun(store.runs, store.blobs, 'unknown', tools)).toMatchObject({
      events: 0,
      findings: [],
    });
  });

  const lost: [string, (one: Case) => void, string[]][] = [
    [
      'an event is missing',
      (one) => one.damage(`delete from events where run_no = ${NO} and seq = 5`),
      ['gap@5'],
    ],
    [
      'the last event is missing',
      (one) =>
        one.damage(
          `delete from events where run_no = ${NO} and seq = (select version from runs where id = 'r')`,
        ),
      ['gap@15'],
    ],
    ['all events are missing', (one) => one.damage(`delete from events where run_no = ${NO}`), ['gap@1']],
    [
      'the text of an event was changed',
      (one) =>
        one.damage(`update events set body = replace(body, 'yyyy', 'yyyz') where run_no = ${NO} and seq = 9`),
      ['chain@9'],
    ],
    [
      'the text of an event is no JSON',
      (one) => one.damage(`update events set body = 'x' where run_no = ${NO} and seq = 9`),
      ['chain@9', 'body@9'],
    ],
    [
      'the text of an event is written in another way',
      (one) => one.damage(`update events set body = body || ' ' where run_no = ${NO} and seq = 9`),
      ['chain@9', 'body@9'],
    ],
    [
      'a row says something else than its text',
      (one) => one.damage(`update events set at_ms = 1 where run_no = ${NO} and seq = 9`),
      ['body@9'],
    ],
    [
      'a hash was changed',
      (one) =>
        one.damage(
          `update events set hash = 'f' || substr(hash, 2, 62) || 'g' where run_no = ${NO} and seq = 9`,
        ),
      ['chain@9', 'chain@10'],
    ],
    ['a payload is missing', (one) => rmSync(one.blobFiles()[0]!), ['blob']],
    ['a payload is damaged', (one) => writeFileSync(one.blobFiles()[0]!, '{}'), ['blob']],
  ];
  test.each(lost)('found, and left as it is: %s', async (_, damage, kinds) => {
    const one = await open();
    damage(one);
    const found = await one.kinds();
    const shown = kinds[0] === 'blob' ? found.map((kind) => kind.replace(/@.*/, '')) : found;
    expect(shown).toEqual(kinds);
    const before = await one.store.runs.events('r', 0, 100);
    expect((await one.repair()).mended).toEqual([]);
    expect(await one.store.runs.events('r', 0, 100)).toEqual(before);
    expect(await one.find('free')).toEqual([]);
  });

  const mendable: [string, string, string[]][] = [
    ['the phase', "update runs set phase = 'succeeded' where id = 'r'", ['head']],
    ['the version', "update runs set version = 3 where id = 'r'", ['head']],
    ['the hash', `update runs set hash = '${'0'.repeat(64)}' where id = 'r'`, ['head']],
    [
      'all that lists show',
      "update runs set tenant = 'x', name = 'x', queue = 'x', created_ms = 1, updated_ms = 1, nodes = 9, nodes_settled = 9, hold = 'paused' where id = 'r'",
      ['head'],
    ],
    ['an unreadable snapshot', `update snapshots set body = '{' where run_no = ${NO}`, ['snapshot']],
    [
      'a snapshot that says otherwise',
      `update snapshots set body = replace(body, '"worker":"w"', '"worker":"v"') where run_no = ${NO}`,
      ['snapshot'],
    ],
    ['a snapshot that is ahead', `update snapshots set version = 99 where run_no = ${NO}`, ['snapshot']],
    ['no row', `delete from work where run_no = ${NO}`, ['work']],
    ['a free row instead of a held one', `update work set state = 0 where run_no = ${NO}`, ['work']],
    ['a row of another epoch', `update work set epoch = 7 where run_no = ${NO}`, ['work']],
    [
      'a row of a node that has none',
      `insert into work (run_no, node, queue, due_ms, state, epoch) select no, 'z', queue, 1, 2, 0 from runs where id = 'r'`,
      ['work'],
    ],
    ['a name by which it is not found', `delete from aliases where alias = 'b'`, ['alias']],
    [
      'a name by which it should not be found',
      `insert into aliases (alias, run_no) values ('z', ${NO})`,
      ['alias'],
    ],
    [
      'a name that another run has',
      `update aliases set run_no = (select no from runs where id = 'free') where alias = 'b'`,
      ['alias'],
    ],
  ];
  test.each(mendable)('found and mended: %s', async (_, sql, kinds) => {
    const one = await open();
    const events = await one.store.runs.events('r', 0, 100);
    const { head } = (await one.store.runs.load('r'))!;
    const [row] = await one.store.runs.work('r');
    one.damage(sql);
    expect((await one.find()).map(({ kind }) => kind)).toEqual(kinds);
    if (sql.startsWith('update aliases')) await one.repair('free');
    expect(await one.repair()).toMatchObject({ mended: kinds, findings: [] });
    expect(await one.find()).toEqual([]);
    expect(await one.store.runs.head('r')).toEqual(head);
    expect(await one.store.runs.events('r', 0, 100)).toEqual(events);
    const [mended] = await one.store.runs.work('r');
    expect(mended).toMatchObject({
      node: 'root',
      state: 'leased',
      worker: 'w',
      leaseId: 'l',
      epoch: row!.epoch,
    });
    expect(await one.store.runs.aliases('r')).toEqual(['a', 'b', 'root']);
    if (!kinds.includes('work')) expect(mended).toEqual(row); // a lease that is right is not touched
  });

  test('rows that belong to no run are the database’s own finding', async () => {
    const one = await open();
    one.damage("delete from runs where id = 'free'");
    const { value: first } = await checkStore(one.store.runs, one.store.blobs, tools).next();
    expect((first as { findings: Finding[] }).findings.map(({ message }) => message)).toEqual([
      '1 rows of events belong to no run',
      '1 rows of work belong to no run',
    ]);
  });

  test('a run that moves while it is looked at has nothing to find', async () => {
    const one = await open();
    const { runs, blobs } = one.store;
    const engine = new Engine({ store: runs, blobs, clock: systemClock, chance: systemChance });
    const stop = new AbortController();
    const moving = (async () => {
      for (let n = 0; !stop.signal.aborted; n += 1)
        await engine.execute('r', { type: 'record', name: `n${n}`, data: n });
    })();
    for (let times = 0; times < 10; times += 1) expect(await one.find()).toEqual([]);
    stop.abort();
    await moving;
  });
});
