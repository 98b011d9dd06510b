/** A process of its own on a store, for tests that stop or kill one. Says on stdout, line by line, what it has done. */
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SharedRunStore } from '../../src/store/sqlite/shared-run-store.ts';
import { SqliteRunStore } from '../../src/store/sqlite/sqlite-run-store.ts';
import { chainHash, genesisHash } from '../../src/model/chain.ts';
import type { Commit, RunStore } from '../../src/store/run-store.ts';

export interface Task {
  readonly root: string;
  readonly kind: 'append' | 'own-runs' | 'hold' | 'hold-transaction' | 'plain-batches';
  /** Tells the writers of one run apart. */
  readonly by: string;
  readonly count: number;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const say = (line: string): void => void writeSync(1, `${line}\n`);

/** The next event of a run, one line of its own kind per writer and number. */
async function nextCommit(store: RunStore, runId: string, text: string): Promise<Commit> {
  const head = await store.head(runId);
  const expectedVersion = head?.version ?? 0;
  const expectedHash = head?.hash ?? genesisHash(runId, sha256);
  const seq = expectedVersion + 1;
  const body = JSON.stringify({ text, pad: 'x'.repeat(200) });
  const hash = chainHash(expectedHash, body, sha256);
  return {
    runId,
    expectedVersion,
    expectedHash,
    events: [{ seq, atMs: 1, type: 'fact_recorded', body, hash }],
    head: {
      id: runId,
      tenant: 't',
      name: 'n',
      queue: 'q',
      phase: 'queued',
      hold: null,
      version: seq,
      hash,
      createdAtMs: 1,
      updatedAtMs: 1,
      nodes: 1,
      nodesSettled: 0,
    },
    work: [],
  };
}

async function append(store: RunStore, runId: string, text: string): Promise<void> {
  for (;;) {
    const [result] = await store.commit([await nextCommit(store, runId, text)]);
    if (result === 'ok') break;
  }
  say(`wrote ${text}`);
}

async function carryOut({ root, kind, by, count }: Task): Promise<void> {
  if (kind === 'hold-transaction') {
    const raw = new Database(join(root, 'reeve.sqlite'));
    raw.exec('begin immediate');
    say('holding');
    await new Promise(() => setInterval(() => {}, 1000));
  }
  if (kind === 'plain-batches') {
    const store = new SqliteRunStore(join(root, 'reeve.sqlite'));
    for (let n = 0; n < count; n += 1) {
      const runs = [0, 1, 2, 3].map((at) => `${by}.${n}.${at}`);
      await store.commit(await Promise.all(runs.map((run) => nextCommit(store, run, run))));
      say(`wrote ${by}.${n}`);
    }
    return store.close();
  }
  const store = new SharedRunStore(root);
  if (kind === 'hold') {
    await store.renew('nobody', 'nothing', 1, 1);
    say(`holding as ${store.role}`);
    await new Promise(() => setInterval(() => {}, 1000));
  }
  for (let n = 0; n < count; n += 1) {
    await append(store, kind === 'append' ? 'run' : `run-${by}`, `${by}.${n}`);
  }
  await store.close();
}

await carryOut(JSON.parse(process.argv[2] ?? '{}') as Task);
