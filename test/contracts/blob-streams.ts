/** What every store of blob streams promises. Run on each implementation, each test on a fresh place of its own. */
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import type { BlobStreams, ByteRange } from '../../src/store/blob-streams.ts';

export interface BlobStreamsHarness {
  readonly blobs: BlobStreams;
  /** Another handle of the same place, as the process after a restart would have it. */
  readonly another: () => Promise<BlobStreams>;
  /** Replaces the bytes behind a name, as a failing disk would. */
  readonly damage: (sha256: string, bytes: Uint8Array) => Promise<void>;
  /** How many objects there are, whole or not. */
  readonly count: () => Promise<number>;
  readonly close: () => Promise<void>;
}

const MIB = 1024 * 1024;
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of stream) all.push(piece);
  return Buffer.concat(all);
}

async function kept(blobs: BlobStreams, bytes: Uint8Array, size = 70_000): Promise<string> {
  const received = await blobs.receive(pieces(bytes, size));
  await received.keep();
  return received.sha256;
}

/** Bytes that repeat at no boundary. */
function sample(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0, x = seed; at < size; at += 1) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff;
    bytes[at] = x >> 16;
  }
  return bytes;
}

export function blobStreamsContract(name: string, open: () => Promise<BlobStreamsHarness>): void {
  describe(`${name}: blob streams contract`, () => {
    const opened: BlobStreamsHarness[] = [];
    const harness = async (): Promise<BlobStreamsHarness> => {
      const fresh = await open();
      opened.push(fresh);
      return fresh;
    };
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });

    test('a stream of unknown size comes back under its hash, whatever its pieces were', async () => {
      const { blobs, another } = await harness();
      for (const [size, piece] of [
        [0, 1],
        [1, 1],
        [300_000, 997],
        [8 * MIB, MIB],
        [20 * MIB + 3, 900_001],
      ] as const) {
        const bytes = sample(size);
        const received = await blobs.receive(pieces(bytes, piece));
        expect([received.sha256, received.sizeBytes]).toEqual([hashOf(bytes), size]);
        expect(await blobs.sizeOf(received.sha256)).toBeUndefined();
        await received.keep();
        await received.discard();
        expect(await blobs.sizeOf(received.sha256)).toBe(size);
        expect(Buffer.compare(await bytesOf((await another()).read(received.sha256)), bytes)).toBe(0);
      }
    });

    test('ranges give exactly the bytes between their ends', async () => {
      const { blobs } = await harness();
      const bytes = sample(9 * MIB);
      const sha256 = await kept(blobs, bytes);
      const last = bytes.length - 1;
      const ranges: readonly ByteRange[] = [
        { from: 0, to: 0 },
        { from: last, to: last },
        { from: 0, to: last },
        { from: 5, to: 70_000 },
        { from: 8 * MIB - 1, to: 8 * MIB },
      ];
      for (const range of ranges) {
        const part = await bytesOf(blobs.read(sha256, range));
        expect(Buffer.compare(part, bytes.subarray(range.from, range.to + 1))).toBe(0);
      }
    });

    test('what breaks off or is discarded leaves nothing', async () => {
      const { blobs, count } = await harness();
      const broken = async function* (size: number): AsyncGenerator<Uint8Array> {
        yield sample(size);
        throw new Error('the client is gone');
      };
      for (const size of [10, 17 * MIB]) {
        await expect(blobs.receive(broken(size))).rejects.toThrow('the client is gone');
        const received = await blobs.receive(pieces(sample(size), MIB));
        await received.discard();
        expect(await blobs.sizeOf(received.sha256)).toBeUndefined();
      }
      expect(await count()).toBe(0);
    });

    test('the same bytes again, and from many at once, are one object', async () => {
      const { blobs, another, count } = await harness();
      for (const size of [10, 9 * MIB]) {
        const bytes = sample(size, size);
        const stores = [blobs, await another(), blobs, await another()];
        const names = await Promise.all(stores.map((store) => kept(store, bytes, MIB)));
        expect(new Set(names)).toEqual(new Set([hashOf(bytes)]));
        expect(Buffer.compare(await bytesOf(blobs.read(hashOf(bytes))), bytes)).toBe(0);
      }
      expect(await count()).toBe(2);
    });

    test('what is not there, or not a name, is missing', async () => {
      const { blobs } = await harness();
      for (const absent of ['0'.repeat(64), '../../etc/passwd', '', 'A'.repeat(64)]) {
        expect(await blobs.sizeOf(absent)).toBeUndefined();
        await expect(bytesOf(blobs.read(absent))).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
        await expect(bytesOf(blobs.read(absent, { from: 0, to: 3 }))).rejects.toMatchObject({
          code: 'E_STORE_CORRUPT',
        });
        await blobs.delete(absent);
      }
    });

    test('damaged bytes are told, and keeping them again mends a wrong length', async () => {
      const { blobs, damage } = await harness();
      const whole = Buffer.from('whole');
      const sha256 = await kept(blobs, whole);
      await damage(sha256, Buffer.from('whale'));
      await expect(text(blobs.read(sha256))).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
      await damage(sha256, Buffer.from('wh'));
      await expect(text(blobs.read(sha256))).rejects.toMatchObject({ code: 'E_STORE_CORRUPT' });
      await expect(text(blobs.read(sha256, { from: 0, to: 4 }))).rejects.toMatchObject({
        code: 'E_STORE_CORRUPT',
      });
      await kept(blobs, whole);
      expect(await text(blobs.read(sha256))).toBe('whole');
    });

    test('deleting may be repeated, and the bytes may come back', async () => {
      const { blobs, count } = await harness();
      const sha256 = await kept(blobs, Buffer.from('gone'));
      await blobs.delete(sha256);
      await blobs.delete(sha256);
      expect([await blobs.sizeOf(sha256), await count()]).toEqual([undefined, 0]);
      expect(await kept(blobs, Buffer.from('gone'))).toBe(sha256);
      expect(await text(blobs.read(sha256))).toBe('gone');
    });

    test('the list has every name once, and no leftover', async () => {
      const { blobs } = await harness();
      const beforeMs = Date.now() - 60_000;
      const names = await Promise.all(['a', 'b', 'c'].map((word) => kept(blobs, Buffer.from(word))));
      const large = await kept(blobs, sample(9 * MIB));
      await blobs.receive(pieces(sample(9 * MIB, 5), MIB));
      const found: string[] = [];
      for await (const { sha256, modifiedMs } of blobs.list()) {
        found.push(sha256);
        expect(modifiedMs).toBeGreaterThan(beforeMs);
        expect(modifiedMs).toBeLessThan(Date.now() + 60_000);
      }
      expect(found.toSorted()).toEqual([...names, large].toSorted());
    });

    test('leftovers go once they are old enough, and named bytes stay', async () => {
      const { blobs, another, count } = await harness();
      const sha256 = await kept(blobs, Buffer.from('stays'));
      await blobs.receive(pieces(sample(9 * MIB, 7), MIB));
      const next = await another();
      expect(await next.removeLeftovers(Date.now() - 60_000)).toBe(0);
      expect(await count()).toBe(2);
      expect(await next.removeLeftovers(Date.now() + 60_000)).toBe(1);
      expect(await count()).toBe(1);
      expect(await text(next.read(sha256))).toBe('stays');
    });
  });
}
