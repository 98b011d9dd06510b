/** A store directory: who may read it, and what becomes of one that is not (yet) a store. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, test } from 'vitest';
import { openStore, type Store } from '../../src/store/open-store.ts';
import { SqliteRunStore } from '../../src/store/sqlite/sqlite-run-store.ts';
import { commitOf, put } from '../contracts/run-store.ts';
import { mountMemory, remount, unmount } from './mounts.ts';
import { StoreRig } from './rig.ts';

const rigs: StoreRig[] = [];
const openRig = async (): Promise<StoreRig> => {
  const rig = await StoreRig.open();
  rigs.push(rig);
  return rig;
};
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close();
});

async function withStore<T>(root: string, work: (store: Store) => Promise<T>, create = true): Promise<T> {
  const store = await openStore(root, { create });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

describe('a new store', () => {
  test.each([0o000, 0o022, 0o077])('is its user’s only, whatever the umask (%i)', async (umask) => {
    const rig = await openRig();
    const root = join(rig.root, 'deep', 'store');
    const before = process.umask(umask);
    try {
      await withStore(root, async ({ runs, blobs }) => {
        await put(runs, 'r');
        await blobs.put(new Uint8Array(20));
        const modes = readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
          const { mode } = statSync(join(entry.parentPath, entry.name));
          return `${entry.isDirectory() ? 'd' : 'f'}${(mode & 0o777).toString(8)}`;
        });
        expect(new Set(modes)).toEqual(new Set(['d700', 'f600']));
        expect(statSync(root).mode & 0o777).toBe(0o700);
      });
    } finally {
      process.umask(before);
    }
    expect(readdirSync(root).toSorted()).toEqual(['blobs', 'reeve.sqlite', 'writer.lock']);
  });

  test('many that make it at once make one', async () => {
    const rig = await openRig();
    const root = join(rig.root, 'store');
    const stores = await Promise.all(Array.from({ length: 20 }, () => openStore(root)));
    await Promise.all(stores.map((store, at) => put(store.runs, `r${at}`)));
    await Promise.all(stores.map((store) => store.close()));
    expect(readdirSync(root).toSorted()).toEqual(['reeve.sqlite', 'writer.lock']);
    await withStore(root, async ({ runs }) => {
      expect((await runs.list({ limit: 100 })).runs).toHaveLength(20);
    });
  });

  test('is not made where it is only looked for', async () => {
    const rig = await openRig();
    const root = join(rig.root, 'store');
    await expect(openStore(root, { create: false })).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
    expect(existsSync(root)).toBe(false);
  });
});

describe('what is not a store', () => {
  test('a file where the directory should be', async () => {
    const rig = await openRig();
    writeFileSync(join(rig.root, 'file'), 'text');
    for (const root of [join(rig.root, 'file'), join(rig.root, 'file', 'below')]) {
      for (const create of [true, false]) {
        await expect(openStore(root, { create })).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
      }
    }
    expect(readFileSync(join(rig.root, 'file'), 'utf8')).toBe('text');
  });

  test('a database that is none, and stays as it is', async () => {
    const rig = await openRig();
    const file = join(rig.root, 'reeve.sqlite');
    for (const bytes of [
      Buffer.from('no database at all, but long enough '.repeat(300)),
      Buffer.alloc(9000, 1),
    ]) {
      writeFileSync(file, bytes);
      await expect(openStore(rig.root)).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
      expect(Buffer.compare(readFileSync(file), bytes)).toBe(0);
    }
  });

  test('a directory where the database should be', async () => {
    const rig = await openRig();
    mkdirSync(join(rig.root, 'reeve.sqlite'));
    await expect(openStore(rig.root)).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
  });

  test('a damaged database says so when the damage is met', async () => {
    const rig = await openRig();
    await withStore(rig.root, async ({ runs }) => {
      await runs.commit(Array.from({ length: 200 }, (_, at) => commitOf(`r${at}`)));
    });
    const file = join(rig.root, 'reeve.sqlite');
    const bytes = readFileSync(file);
    bytes.fill(0xff, 4096, bytes.length);
    writeFileSync(file, bytes);
    await withStore(rig.root, async ({ runs }) => {
      await expect(runs.list({ limit: 500 })).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
      await expect(runs.commit([commitOf('new')])).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
    });
  });
});

describe('a store of a newer program', () => {
  test('is refused and not a byte of it is changed, also not what a crash left unfinished', async () => {
    const rig = await openRig();
    const file = join(rig.root, 'reeve.sqlite');
    await withStore(rig.root, ({ runs }) => put(runs, 'r'));
    // The newer program was killed: its last commits are only in the log beside the file.
    const newer = spawnSync(process.execPath, [
      '--input-type=module',
      '-e',
      `import Database from 'better-sqlite3';
       const db = new Database(${JSON.stringify(file)});
       db.pragma('user_version = 999999');
       db.exec("create table novelty (a); insert into novelty values (1)");
       process.kill(process.pid, 'SIGKILL');`,
    ]);
    expect(newer.signal).toBe('SIGKILL');
    const files = ['reeve.sqlite', 'reeve.sqlite-wal'].map((name) => join(rig.root, name));
    const before = files.map((name) => readFileSync(name));
    expect(before[1]!.length).toBeGreaterThan(0);
    for (const create of [true, false]) {
      await expect(openStore(rig.root, { create })).rejects.toMatchObject({
        code: 'E_STORE_NEWER',
        details: { needs: 999 },
      });
    }
    expect(files.map((name, at) => Buffer.compare(readFileSync(name), before[at]!))).toEqual([0, 0]);
  });

  test('is used when its newer parts do not matter to this one', async () => {
    const rig = await openRig();
    await withStore(rig.root, ({ runs }) => put(runs, 'r'));
    const raw = new Database(join(rig.root, 'reeve.sqlite'));
    raw.pragma('user_version = 1500'); // needs 1, has migrations up to 500
    raw.close();
    await withStore(rig.root, async ({ runs }) => {
      expect(await runs.head('r')).toBeDefined();
      await put(runs, 'r2');
    });
  });
});

describe('a store that an older program made', () => {
  /** As schema 1 left it: without the table of aliases, and the index of leases. */
  async function olderStore(): Promise<{ root: string; file: string }> {
    const rig = await openRig();
    const file = join(rig.root, 'reeve.sqlite');
    await withStore(rig.root, ({ runs }) => put(runs, 'r'));
    const raw = new Database(file);
    raw.exec('drop table aliases; drop index work_held');
    raw.pragma('user_version = 1001');
    raw.close();
    return { root: rig.root, file };
  }

  test('is brought up to date when it is opened, and older programs may go on with it', async () => {
    const { root, file } = await olderStore();
    await withStore(root, async ({ runs }) => {
      expect(await runs.head('r')).toBeDefined();
      await put(runs, 's', { aliases: ['name'] });
      expect(await runs.runOf('name')).toBe('s');
    });
    const older = new Database(file);
    expect(older.pragma('user_version', { simple: true })).toBe(1003); // needs 1: it knows that much
    // As they remove a run: that says nothing about aliases.
    older.exec("delete from events where run_no = (select no from runs where id = 's')");
    older.exec("delete from runs where id = 's'");
    older.close();
    await withStore(root, async ({ runs }) => {
      expect(await runs.runOf('name')).toBeUndefined();
      await put(runs, 't', { aliases: ['name'] });
    });
  });

  test('and that may only be read, has no aliases', async () => {
    const { file } = await olderStore();
    const runs = new SqliteRunStore(file, { access: 'read' });
    expect(await runs.runOf('name')).toBeUndefined();
    expect(await runs.aliases('r')).toEqual([]);
    await runs.close();
  });
});

describe('a store that cannot be written', () => {
  // The administrator may write everywhere: then only a file system that is mounted so keeps him from it.
  const isRoot = process.getuid?.() === 0;

  async function expectReadable(root: string): Promise<void> {
    await withStore(
      root,
      async ({ runs }) => {
        expect(await runs.head('r')).toBeDefined();
        expect((await runs.list({ limit: 5 })).runs).toHaveLength(1);
        expect(await runs.events('r', 0, 5)).toHaveLength(1);
        const stop = runs.subscribe(() => {});
        stop();
        await expect(runs.commit([commitOf('new')])).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
        await expect(runs.renew('r', 'n', 1, 1)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
        await expect(runs.remove('r')).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
        expect(await runs.head('r')).toBeDefined();
      },
      false,
    );
  }

  test.skipIf(isRoot)('can be read, and says that it cannot be written', async () => {
    const rig = await openRig();
    await withStore(rig.root, ({ runs }) => put(runs, 'r'));
    const before = readdirSync(rig.root).toSorted();
    chmodSync(join(rig.root, 'reeve.sqlite'), 0o400);
    chmodSync(rig.root, 0o500);
    try {
      await expectReadable(rig.root);
      expect(readdirSync(rig.root).toSorted()).toEqual(before);
    } finally {
      chmodSync(rig.root, 0o700);
    }
  });

  test.skipIf(!isRoot)('on a file system mounted read-only: the same', async (context) => {
    const rig = await openRig();
    const root = join(rig.root, 'mount');
    mkdirSync(root);
    if (!mountMemory(root, 8)) {
      context.skip('no file system can be mounted here');
      return;
    }
    try {
      await withStore(root, ({ runs }) => put(runs, 'r'));
      remount(root, 'ro');
      await expectReadable(root);
    } finally {
      unmount(root);
    }
  });

  test.skipIf(isRoot)('one that may not be read says so', async () => {
    const rig = await openRig();
    await withStore(rig.root, ({ runs }) => put(runs, 'r'));
    chmodSync(join(rig.root, 'reeve.sqlite'), 0o000);
    await expect(openStore(rig.root)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
  });
});
