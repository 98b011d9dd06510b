/** The engine: commands in, durable events out, however many processes write and whatever fails. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Command } from '../../src/model/commands.ts';
import { ReeveError, type ErrorCode } from '../../src/model/errors.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { encodeSnapshot } from '../../src/model/snapshot.ts';
import type { RunState } from '../../src/model/state.ts';
import type { BlobStore } from '../../src/store/blob-store.ts';
import type { Commit, CommitResult, RunStore } from '../../src/store/run-store.ts';
import { claimant, step } from '../model/rig.ts';
import { turns } from '../support/manual-clock.ts';
import { Lab, planOf, quick, typesOf, verifyChain } from './lab.ts';

let lab: Lab;
beforeEach(() => {
  lab = new Lab();
});
afterEach(() => lab.close());

const create = (spec = planOf(quick('a', 'b'))): Command => ({ type: 'create', spec });
const note = (name: string, data: string | number = 0): Command => ({ type: 'record', name, data });
const claim = (worker = 'w1'): Command => ({ type: 'claim', node: 'root', claimant: claimant(worker) });

/** A state as text; what came from the store has its keys in another order. */
function plain(state: RunState | undefined): string {
  return state === undefined ? '' : canonicalJson(JSON.parse(encodeSnapshot(state)));
}

async function codeOf(work: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof ReeveError) return error.code;
    throw error;
  }
}

describe('several writers', () => {
  test('from two engines on one file lose nothing: conflicts are decided again', async () => {
    const engines = [lab.engine(), lab.engine()] as const;
    await engines[0].execute('r', create());
    const names = Array.from({ length: 60 }, (_, at) => `n${at}`);
    await Promise.all(names.map((name, at) => (engines[at % 2] as Engine).execute('r', note(name))));
    const recorded = await engines[0].events('r', 0, 1000, ['fact_recorded']);
    expect(
      recorded.map(({ event }) => (event.type === 'fact_recorded' ? event.name : '')).toSorted(),
    ).toEqual(names.toSorted());
    expect(await verifyChain(engines[1].store, 'r')).toBe(61);
    const [one, two] = await Promise.all(engines.map((engine) => engine.state('r')));
    expect(plain(one)).toBe(plain(two));
  });

  test('of one process are carried out in the order in which they came', async () => {
    const engine = lab.engine();
    await engine.execute('r', create());
    await Promise.all(Array.from({ length: 100 }, (_, at) => engine.execute('r', note('n', at))));
    const recorded = await engine.events('r', 1);
    expect(recorded.map(({ event }) => (event.type === 'fact_recorded' ? event.data : -1))).toEqual(
      Array.from({ length: 100 }, (_, at) => at),
    );
  });

  test('W14: two claims at once, in one process and in two: one holds the run, one is told who', async () => {
    const here = lab.engine();
    const there = lab.engine();
    for (const [id, pair] of [
      ['r1', [here, here]],
      ['r2', [here, there]],
    ] as const) {
      await here.execute(id, create());
      await there.state(id);
      const codes = await Promise.all(pair.map((engine, at) => codeOf(engine.execute(id, claim(`w${at}`)))));
      expect(codes.filter((code) => code !== undefined)).toEqual(['E_LEASE_CONFLICT']);
    }
  });

  test('W14: two takeovers of a lease that has run out: one wins', async () => {
    const here = lab.engine();
    const there = lab.engine();
    for (const [id, pair] of [
      ['r1', [here, here]],
      ['r2', [here, there]],
    ] as const) {
      await here.execute(id, create());
      await here.execute(id, claim('dead'));
      await there.state(id);
      await lab.clock.advance(30_001);
      const codes = await Promise.all(pair.map((engine, at) => codeOf(engine.execute(id, claim(`w${at}`)))));
      expect(codes.filter((code) => code !== undefined)).toEqual(['E_LEASE_CONFLICT']);
    }
  });

  test('creating one run twice: one is told that it exists', async () => {
    const codes = await Promise.all(
      [lab.engine(), lab.engine()].map((engine) => codeOf(engine.execute('r', create()))),
    );
    expect(codes.filter((code) => code !== undefined)).toEqual(['E_INVALID_INPUT_SCHEMA']);
  });

  test('a command refused on a state that others have changed is decided again', async () => {
    const [stale, other] = [lab.engine(), lab.engine()];
    await stale.execute('r', create());
    await stale.execute('r', { type: 'pause', by: 'ann' }).catch(() => undefined);
    await other.execute('r', claim());
    // As far as the first engine knows the run is queued, and cannot be paused.
    await stale.execute('r', { type: 'pause', by: 'ann' });
    expect((await other.state('r')).standing).toEqual({ phase: 'held', hold: 'paused' });
  });

  test('a command that would do nothing on a stale state is decided again', async () => {
    const [stale, other] = [lab.engine(), lab.engine()];
    await stale.execute('r', create());
    await other.execute('r', claim());
    const { events } = await stale.execute('r', {
      type: 'release',
      node: 'root',
      epoch: 1,
      cause: 'expired',
      seenMs: 0,
    });
    expect(events.map(({ event }) => event.type)).toEqual(['node_released']);
  });

  test('a run deleted and made again is not mixed with what was known of it', async () => {
    const [stale, other] = [lab.engine(), lab.engine()];
    await stale.execute('r', create());
    await stale.execute('r', note('old'));
    await other.store.remove('r');
    await other.execute('r', create(planOf(quick('z'))));
    await other.execute('r', note('new'));
    await stale.execute('r', note('more'));
    expect((await stale.state('r')).ready.has('z')).toBe(true);
    expect(await verifyChain(stale.store, 'r')).toBe(3);
  });
});

/** A store whose commits fail, or wait, as the test says. */
class Faulty {
  fail: ReeveError | undefined;
  gate: Promise<void> | undefined;
  readonly batches: (readonly Commit[])[] = [];

  wrap = (store: RunStore): RunStore =>
    new Proxy(store, {
      get: (target, key) => {
        if (key === 'commit') return (commits: readonly Commit[]) => this.#commit(target, commits);
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });

  async #commit(store: RunStore, commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    this.batches.push(commits);
    await this.gate;
    if (this.fail !== undefined) throw this.fail;
    return store.commit(commits);
  }
}

describe('a look at the store', () => {
  test('that was overtaken by a commit of our own does not have the run read anew', async () => {
    const gate = Promise.withResolvers<void>();
    let loads = 0;
    const engine = lab.engine(
      (store) =>
        new Proxy(store, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (typeof value !== 'function') return value;
            if (key === 'load') loads += 1;
            if (key !== 'head') return value.bind(target);
            return async (runId: string) => {
              const head = await target.head(runId);
              await gate.promise; // as a database server does that answers others first
              return head;
            };
          },
        }),
    );
    await engine.execute('r', create());
    const looked = engine.state('r');
    await turns();
    await engine.execute('r', note('meanwhile'));
    const loadsBefore = loads;
    gate.resolve();
    expect((await looked).version).toBe(2);
    await engine.execute('r', note('after'));
    expect(loads).toBe(loadsBefore);
  });

  test('that finds more there than our commits on their way have made refuses nothing because of them', async () => {
    const faulty = new Faulty();
    const [engine, other] = [lab.engine(faulty.wrap), lab.engine()];
    await engine.execute('r', create());
    const { promise, resolve } = Promise.withResolvers<void>();
    faulty.gate = promise;
    const first = engine.execute('r', note('first'));
    await turns(3);
    await other.execute('r', claim());
    await other.execute('r', note('meanwhile'));
    // Here the run is still queued, and could not be paused.
    const pausing = codeOf(engine.execute('r', { type: 'pause', by: 'ann' }));
    await turns(20);
    faulty.gate = undefined;
    resolve();
    expect(await pausing).toBeUndefined();
    await first;
    expect((await other.state('r')).standing).toEqual({ phase: 'held', hold: 'paused' });
  });
});

describe('a store that fails', () => {
  test('is what the caller hears; nothing was recorded, and later commands work', async () => {
    const faulty = new Faulty();
    const engine = lab.engine(faulty.wrap);
    await engine.execute('r', create());
    faulty.fail = new ReeveError('E_STORE_FULL', 'the disk is full');
    const codes = await Promise.all(['a', 'b', 'c'].map((name) => codeOf(engine.execute('r', note(name)))));
    expect(codes).toEqual(['E_STORE_FULL', 'E_STORE_FULL', 'E_STORE_FULL']);
    expect((await engine.state('r')).version).toBe(1);
    faulty.fail = undefined;
    await engine.execute('r', note('d'));
    expect(await typesOf(engine, 'r')).toEqual(['run_created', 'fact_recorded']);
    expect(await verifyChain(engine.store, 'r')).toBe(2);
  });

  test('takes with it only what was built on it: what comes in the next batch is decided again', async () => {
    const faulty = new Faulty();
    const engine = lab.engine(faulty.wrap);
    await engine.execute('r', create());
    const { promise, resolve } = Promise.withResolvers<void>();
    faulty.gate = promise;
    const first = codeOf(engine.execute('r', note('lost')));
    await turns(3);
    const second = engine.execute('r', note('kept')); // decided on the first one's state
    faulty.fail = new ReeveError('E_STORE_BUSY', 'busy');
    faulty.gate = undefined;
    resolve();
    expect(await first).toBe('E_STORE_BUSY');
    faulty.fail = undefined;
    await second;
    expect((await engine.events('r', 1)).map(({ event }) => event)).toMatchObject([{ name: 'kept' }]);
    expect(await verifyChain(engine.store, 'r')).toBe(2);
  });

  test('of several runs in one transaction each is told what became of its own', async () => {
    const [stale, other] = [lab.engine(), lab.engine()];
    const runs = ['r', 's'];
    for (const id of runs) await stale.execute(id, create());
    for (const [round, id] of runs.toReversed().entries()) {
      await other.execute(id, note('theirs'));
      await Promise.all(runs.map((run) => stale.execute(run, note(`ours ${round}`))));
    }
    for (const id of runs) {
      const names = (await other.events(id)).flatMap(({ event }) => ('name' in event ? [event.name] : []));
      expect(names.filter((name) => name.startsWith('ours'))).toEqual(['ours 0', 'ours 1']);
    }
  });

  test("commands that wait at once share one transaction, and one run's become one commit", async () => {
    const faulty = new Faulty();
    const engine = lab.engine(faulty.wrap);
    await Promise.all(['r1', 'r2'].map((id) => engine.execute(id, create())));
    faulty.batches.length = 0;
    await Promise.all(['r1', 'r2', 'r1', 'r1'].map((id, at) => engine.execute(id, note(`${at}`))));
    expect(faulty.batches.map((batch) => batch.map(({ runId, events }) => [runId, events.length]))).toEqual([
      [
        ['r1', 3],
        ['r2', 1],
      ],
    ]);
  });

  test('what is no JSON value is refused to its caller and leaves the run as it was', async () => {
    const engine = lab.engine();
    await engine.execute('r', create());
    await expect(engine.execute('r', note('bad', Number.NaN))).rejects.toThrow();
    await engine.execute('r', note('good'));
    expect(await verifyChain(engine.store, 'r')).toBe(2);
    expect((await engine.state('r')).version).toBe(2);
  });
});

describe('what is kept in memory', () => {
  test('runs beyond its bound are read again when they are used again', async () => {
    const engine = lab.engine();
    await engine.execute('first', create());
    await Promise.all(Array.from({ length: 2100 }, (_, at) => engine.execute(`r${at}`, create())));
    expect(engine.peek('first')).toBeUndefined();
    expect(engine.peek('r2099')).toBeDefined();
    await engine.execute('first', note('still there'));
    expect(await verifyChain(engine.store, 'first')).toBe(2);
  });

  test('forgotten is read again', async () => {
    const engine = lab.engine();
    await engine.execute('r', create());
    const before = plain(await engine.state('r'));
    engine.forget('r');
    expect(plain(await engine.state('r'))).toBe(before);
  });

  test('an unknown run is unknown, however often it was asked for', async () => {
    const engine = lab.engine();
    for (const ask of [
      engine.state('r'),
      engine.execute('r', note('x')),
      engine.state('r'),
      engine.state('r'),
    ]) {
      expect(await codeOf(ask)).toBe('E_INVALID_INPUT_SCHEMA');
    }
  });
});

describe('snapshots', () => {
  const big = 'x'.repeat(10_000);

  test('are written once the events outweigh the last one, and never ahead of the events', async () => {
    const faulty = new Faulty();
    const engine = lab.engine(faulty.wrap);
    await engine.execute('r', create());
    for (let at = 0; at < 30; at += 1) await engine.execute('r', note('n', big));
    const snapshots = faulty.batches.flat().filter(({ snapshot }) => snapshot !== undefined);
    expect(snapshots.length).toBeGreaterThan(1);
    expect(snapshots.length).toBeLessThan(6);
    for (const { snapshot, head } of snapshots) expect(snapshot?.version).toBe(head.version);
  });

  test('with the events after them give the same run', async () => {
    const engine = lab.engine();
    await engine.execute('r', create());
    for (let at = 0; at < 12; at += 1) await engine.execute('r', note('n', big));
    await engine.execute('r', claim());
    const other = lab.engine();
    const loaded = await other.store.load('r');
    expect(loaded?.snapshot?.version).toBeGreaterThan(1);
    expect(plain(await other.state('r'))).toBe(plain(await engine.state('r')));
    await other.execute('r', { type: 'start', node: 'a', epoch: 1 });
    expect(await verifyChain(other.store, 'r')).toBe(16);
  });

  test('that cannot be used are ignored: the events rebuild the run (I3)', async () => {
    const early = lab.engine();
    await early.execute('early', create());
    // As the store in PostgreSQL once wrote them: of an earlier version than the row says.
    const stale = encodeSnapshot(await early.state('early'));
    for (const body of ['no json', '{"format":0}', stale]) {
      const wrap = (store: RunStore): RunStore =>
        new Proxy(store, {
          get: (target, key) => {
            if (key === 'load') {
              return async (runId: string) => {
                const loaded = await target.load(runId);
                return loaded === undefined
                  ? undefined
                  : { ...loaded, snapshot: { version: 2, body }, tail: loaded.tail.slice(2) };
              };
            }
            const value: unknown = Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      const engine = lab.engine();
      const id = `r${body.length}`;
      await engine.execute(id, create());
      await engine.execute(id, note('x'));
      await engine.execute(id, claim());
      expect(plain(await lab.engine(wrap).state(id))).toBe(plain(await engine.state(id)));
    }
  });
});

describe('payloads over 16 KiB', () => {
  const huge = 'y'.repeat(20_000);

  test('are kept beside the events, read back with them, and covered by the chain', async () => {
    const engine = lab.engine();
    await engine.execute('r', create());
    await engine.execute('r', note('big', huge));
    const [, stored] = await engine.store.events('r', 0, 10);
    expect(stored?.body.length).toBeLessThan(300);
    expect((await lab.engine().events('r', 1))[0]?.event).toEqual({
      type: 'fact_recorded',
      name: 'big',
      data: huge,
    });
    expect(await verifyChain(engine.store, 'r')).toBe(2);
  });

  test('rebuild the run elsewhere', async () => {
    const engine = lab.engine();
    await engine.execute('r', create(planOf([step('a', { input: { huge } })])));
    expect((await lab.engine().state('r')).nodes.get('a')?.spec.input).toEqual({ huge });
  });

  test('keep the order of the commands: a small event does not overtake a big one', async () => {
    const faulty = new Faulty();
    const engine = lab.engine(faulty.wrap);
    await engine.execute('r', create());
    faulty.batches.length = 0;
    await Promise.all([
      engine.execute('r', note('1', huge)),
      engine.execute('r', note('2')),
      engine.execute('r', note('3', `${huge}!`)),
      engine.execute('r', note('4')),
    ]);
    const names = (await engine.events('r', 1)).map(({ event }) =>
      event.type === 'fact_recorded' ? event.name : '',
    );
    expect(names).toEqual(['1', '2', '3', '4']);
    const written = faulty.batches.flat().reduce((sum, { events }) => sum + events.length, 0);
    expect(written, 'nothing was refused and written again').toBe(4);
  });

  test('that cannot be stored are an error of their command, and of what was built on it', async () => {
    const engine = lab.engine();
    await engine.execute('r', create());
    const put = lab.blobs.put.bind(lab.blobs);
    const failing: BlobStore['put'] = () => Promise.reject(new ReeveError('E_STORE_FULL', 'full'));
    lab.blobs.put = failing;
    const codes = await Promise.all([
      codeOf(engine.execute('r', note('1', huge))),
      codeOf(engine.execute('r', note('2'))),
    ]);
    expect(codes).toEqual(['E_STORE_FULL', 'E_STORE_FULL']);
    lab.blobs.put = put;
    await engine.execute('r', note('3', huge));
    expect(await verifyChain(engine.store, 'r')).toBe(2);
  });
});
