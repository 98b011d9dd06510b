import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { S3mini } from 's3mini';
import { ReeveError } from '../../model/errors.ts';
import {
  isBlobName,
  type BlobStreams,
  type ByteRange,
  type Received,
  type StoredBlob,
} from '../blob-streams.ts';
import { checkedPieces, missingBlob } from './checked-pieces.ts';
import type { S3Address, S3Credentials } from './s3-address.ts';
import { patientFetch, s3Error, statusOf, type S3Timing } from './s3-exchange.ts';

/** Of a multipart upload, and of what is sent in one request, bytes. Held in memory once per upload. */
const PART_BYTES = 8 * 1024 * 1024;
/** The most that S3 copies in one request. */
const BYTES_MAX = 5 * 1024 * 1024 * 1024;
const PAGE = 1000;
const TYPE = 'application/octet-stream';

/**
 * Blobs as objects `<prefix><first two digits>/<sha256>` of one bucket, written once: `If-None-Match: *`. What fits into
 * one request is sent when it is kept. More is uploaded in parts to `<prefix>aside/…` as it arrives, and copied by the
 * server once its hash is known.
 */
export class S3Blobs implements BlobStreams {
  readonly #s3: S3mini;
  readonly #prefix: string;

  /** The client is loaded with the first store on S3. @throws TypeError never, for what `parseS3Url` gave. */
  static async open(address: S3Address, credentials: S3Credentials, timing?: S3Timing): Promise<S3Blobs> {
    const { S3mini: Client } = await import('s3mini');
    const { endpoint, bucket, region, prefix } = address;
    const fetch = patientFetch(timing);
    return new S3Blobs(
      new Client({ ...credentials, endpoint: `${endpoint}/${bucket}`, region, fetch }),
      prefix,
    );
  }

  private constructor(s3: S3mini, prefix: string) {
    this.#s3 = s3;
    this.#prefix = prefix;
  }

  async receive(bytes: AsyncIterable<Uint8Array>): Promise<Received> {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    let upload: Multipart | undefined;
    try {
      const parts = inParts(bytes);
      let part = (await parts.next()).value ?? Buffer.alloc(0);
      for (;;) {
        hash.update(part);
        sizeBytes += part.length;
        if (sizeBytes > BYTES_MAX) throw tooLarge();
        const next = await parts.next();
        if (upload === undefined && next.done === true) break; // it fits into one request
        upload ??= await this.#begin();
        await upload.add(part);
        if (next.done === true) break;
        part = next.value;
      }
      await upload?.complete(sizeBytes);
      const sha256 = hash.digest('hex');
      const aside = upload?.key;
      return {
        sha256,
        sizeBytes,
        keep: () =>
          aside === undefined ? this.#putWhole(sha256, part) : this.#copyKept(aside, sha256, sizeBytes),
        discard: () => (aside === undefined ? Promise.resolve() : this.#forget(aside)),
      };
    } catch (error) {
      await upload?.abort();
      throw s3Error(error);
    }
  }

  async sizeOf(sha256: string): Promise<number | undefined> {
    return isBlobName(sha256) ? this.#size(this.#key(sha256)) : undefined;
  }

  async *read(sha256: string, range?: ByteRange): AsyncGenerator<Uint8Array> {
    if (!isBlobName(sha256)) throw missingBlob(sha256);
    const key = this.#key(sha256);
    try {
      const answer = await (range === undefined
        ? this.#s3.getObjectRaw(key)
        : this.#s3.getObjectRaw(key, false, range.from, range.to + 1));
      yield* checkedPieces((answer.body ?? Readable.from([])) as AsyncIterable<Uint8Array>, sha256, range);
    } catch (error) {
      if (statusOf(error) === 404) throw missingBlob(sha256);
      throw s3Error(error);
    }
  }

  async delete(sha256: string): Promise<void> {
    if (isBlobName(sha256)) await this.#remove(this.#key(sha256));
  }

  async *list(): AsyncGenerator<StoredBlob> {
    for await (const { Key: key, LastModified: modified } of this.#objects(this.#prefix)) {
      const name = key.slice(this.#prefix.length);
      const sha256 = name.slice(3);
      if (isBlobName(sha256) && name === keyOf(sha256))
        yield { sha256, modifiedMs: new Date(modified).getTime() };
    }
  }

  async removeLeftovers(beforeMs: number): Promise<number> {
    let removed = 0;
    for await (const { Key: key, LastModified: modified } of this.#objects(this.#aside())) {
      if (new Date(modified).getTime() >= beforeMs) continue;
      await this.#remove(key);
      removed += 1;
    }
    for (const { key, uploadId, begunMs } of await this.#unfinished()) {
      if (begunMs >= beforeMs) continue;
      await this.#s3.abortMultipartUpload(key, uploadId).catch((error: unknown) => {
        if (statusOf(error) !== 404) throw s3Error(error);
      });
      removed += 1;
    }
    return removed;
  }

  async #begin(): Promise<Multipart> {
    const key = this.#aside(randomUUID());
    const s3 = this.#s3;
    const uploadId = await s3.getMultipartUploadId(key, TYPE);
    const parts: { partNumber: number; etag: string }[] = [];
    let isComplete = false;
    return {
      key,
      add: async (bytes) => {
        parts.push(await s3.uploadPart(key, uploadId, bytes, parts.length + 1));
      },
      complete: async (sizeBytes) => {
        await s3.completeMultipartUpload(key, uploadId, parts).catch(async (error: unknown) => {
          // Told twice, because the first answer was lost.
          if (statusOf(error) !== 404 || (await this.#size(key)) !== sizeBytes) throw error;
        });
        isComplete = true;
      },
      abort: async () => {
        if (isComplete) await this.#forget(key);
        else await s3.abortMultipartUpload(key, uploadId).catch(() => undefined);
      },
    };
  }

  async #putWhole(sha256: string, bytes: Buffer): Promise<void> {
    const key = this.#key(sha256);
    const once = { 'if-none-match': '*' } as Record<string, string>;
    try {
      await this.#s3.putObject(key, bytes, TYPE, undefined, once, bytes.length);
    } catch (error) {
      if (statusOf(error) !== 412) throw s3Error(error);
      // An object of another length was damaged from outside: written again.
      if ((await this.#size(key)) === bytes.length) return;
      await this.#s3.putObject(key, bytes, TYPE, undefined, undefined, bytes.length).catch(rethrow);
    }
  }

  async #copyKept(aside: string, sha256: string, sizeBytes: number): Promise<void> {
    const key = this.#key(sha256);
    if ((await this.#size(key)) !== sizeBytes) await this.#s3.copyObject(aside, key).catch(rethrow);
    await this.#forget(aside);
  }

  async #size(key: string): Promise<number | undefined> {
    try {
      return await this.#s3.getContentLength(key);
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw s3Error(error);
    }
  }

  async #remove(key: string): Promise<void> {
    await this.#s3.deleteObject(key).catch((error: unknown) => {
      if (statusOf(error) !== 404) throw s3Error(error);
    });
  }

  async #forget(aside: string): Promise<void> {
    await this.#remove(aside).catch(() => undefined); // a leftover, then
  }

  async *#objects(prefix: string): AsyncGenerator<{ readonly Key: string; readonly LastModified: Date }> {
    let token: string | undefined;
    do {
      const page = await this.#s3.listObjectsPaged('/', prefix, PAGE, token).catch(rethrow);
      if (page === null || page === undefined)
        throw new ReeveError('E_STORE_UNAVAILABLE', 'there is no such bucket', {
          bucket: this.#s3.bucketName,
        });
      yield* page.objects ?? [];
      token = page.nextContinuationToken;
    } while (token !== undefined && token !== '');
  }

  async #unfinished(): Promise<readonly Unfinished[]> {
    const found: unknown = await this.#s3
      .listMultipartUploads('/', this.#aside(), 'GET', { prefix: this.#aside() })
      .catch(rethrow);
    type Upload = Readonly<Record<string, unknown>>;
    const { ListMultipartUploadsResult: result } = found as {
      ListMultipartUploadsResult?: { Upload?: Upload | readonly Upload[] };
    };
    return [result?.Upload ?? []]
      .flat()
      .map(({ Key: key, UploadId: id, Initiated: at }) => ({
        key: String(key),
        uploadId: String(id),
        begunMs: Date.parse(String(at)),
      }))
      .filter(({ key, begunMs }) => key.startsWith(this.#aside()) && Number.isFinite(begunMs));
  }

  #key(sha256: string): string {
    return this.#prefix + keyOf(sha256);
  }
  #aside(id = ''): string {
    return `${this.#prefix}aside/${id}`;
  }
}

interface Multipart {
  readonly key: string;
  add(bytes: Buffer): Promise<void>;
  complete(sizeBytes: number): Promise<void>;
  abort(): Promise<void>;
}

interface Unfinished {
  readonly key: string;
  readonly uploadId: string;
  readonly begunMs: number;
}

function keyOf(sha256: string): string {
  return `${sha256.slice(0, 2)}/${sha256}`;
}

/** Pieces of exactly the size of a part, but for the last one. */
async function* inParts(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  for await (let piece of bytes) {
    while (held + piece.length >= PART_BYTES) {
      const rest = PART_BYTES - held;
      yield Buffer.concat([...pieces, piece.subarray(0, rest)], PART_BYTES);
      pieces = [];
      held = 0;
      piece = piece.subarray(rest);
    }
    if (piece.length === 0) continue;
    pieces.push(piece);
    held += piece.length;
  }
  if (held > 0) yield Buffer.concat(pieces, held);
}

function rethrow(error: unknown): never {
  throw s3Error(error);
}

function tooLarge(): ReeveError {
  return new ReeveError('E_UNSAFE_OPERATION', `a blob may have ${BYTES_MAX} bytes`, { limit: BYTES_MAX });
}
