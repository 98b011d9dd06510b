/** What every blob store promises. Run by each implementation, each test on a fresh store of its own. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import type { BlobStore } from '../../src/store/blob-store.ts';

export interface BlobStoreHarness {
  readonly blobs: BlobStore;
  /** Another handle of the same store, as another process would have it. */
  readonly another: () => Promise<BlobStore>;
  /** Replaces the bytes behind a name, as a failing disk would. */
  readonly damage: (sha256: string, bytes: Uint8Array) => Promise<void>;
  /** How many objects there are, whole or not. */
  readonly count: () => Promise<number>;
  readonly close: () => Promise<void>;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const nameOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export function blobStoreContract(name: string, open: () => Promise<BlobStoreHarness>): void {
  describe(`${name}: blob store contract`, () => {
    const opened: BlobStoreHarness[] = [];
    const harness = async (): Promise<BlobStoreHarness> => {
      const fresh = await open();
      opened.push(fresh);
      return fresh;
    };
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });

    test('bytes come back under the hash that names them', async () => {
      const { blobs, another } = await harness();
      const every = Uint8Array.from({ length: 256 }, (_, at) => at);
      for (const bytes of [new Uint8Array(), every, Buffer.alloc(3 * 1024 * 1024, 7)]) {
        const sha256 = await blobs.put(bytes);
        expect(sha256).toBe(nameOf(bytes));
        expect(Buffer.compare(await (await another()).get(sha256), bytes)).toBe(0);
        expect(await blobs.has(sha256)).toBe(true);
      }
    });

    test('storing the same bytes again changes nothing', async () => {
      const { blobs, count } = await harness();
      const sha256 = await blobs.put(bytesOf('once'));
      expect(await blobs.put(bytesOf('once'))).toBe(sha256);
      expect(await count()).toBe(1);
    });

    test('the same bytes from many writers at once are one object, and nothing else is left', async () => {
      const { blobs, another, count } = await harness();
      const writers = [blobs, await another(), await another()];
      const names = await Promise.all(
        writers.flatMap((writer) => [1, 2, 3, 4].map((n) => writer.put(bytesOf(`text ${n % 2}`)))),
      );
      expect(new Set(names).size).toBe(2);
      expect(await count()).toBe(2);
      for (const sha256 of new Set(names)) expect(nameOf(await blobs.get(sha256))).toBe(sha256);
    });

    test('what is not there, or not a name, is missing', async () => {
      const { blobs } = await harness();
      for (const absent of ['0'.repeat(64), '../../etc/passwd', '', 'A'.repeat(64)]) {
        expect(await blobs.has(absent)).toBe(false);
        await expect(blobs.get(absent)).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
        await blobs.delete(absent);
      }
    });

    test('damaged bytes are never given out, and storing them again mends a wrong length', async () => {
      const { blobs, damage } = await harness();
      const sha256 = await blobs.put(bytesOf('whole'));
      await damage(sha256, bytesOf('w'));
      await expect(blobs.get(sha256)).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
      await blobs.put(bytesOf('whole'));
      expect(Buffer.from(await blobs.get(sha256)).toString()).toBe('whole');
      await damage(sha256, bytesOf('whale'));
      await expect(blobs.get(sha256)).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
    });

    test('deleting may be repeated', async () => {
      const { blobs, count } = await harness();
      const sha256 = await blobs.put(bytesOf('gone'));
      await blobs.delete(sha256);
      await blobs.delete(sha256);
      expect(await blobs.has(sha256)).toBe(false);
      expect(await count()).toBe(0);
      expect(await blobs.put(bytesOf('gone'))).toBe(sha256);
    });
  });
}
