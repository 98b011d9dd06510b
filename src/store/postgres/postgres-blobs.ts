/**
 * Blobs as rows, so that every process of the store finds them. Big ones are cut into parts, which keeps single
 * statements small on both sides; all parts of a blob are written in one transaction.
 */
import { createHash } from 'node:crypto';
import { ReeveError } from '../../model/errors.ts';
import type { BlobStore } from '../blob-store.ts';
import type { Connections, Session } from './connections.ts';

const PART_BYTES = 4 * 1024 * 1024;

export class PostgresBlobs implements BlobStore {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await this.#connections.use(async (session) => {
      if ((await sizeOf(session, sha256)) === bytes.length) return;
      const parts = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
      if (parts === 1) return putPart(session, sha256, 0, bytes);
      await session.transaction(async () => {
        for (let part = 0; part < parts; part += 1)
          await putPart(session, sha256, part, bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES));
      });
    });
    return sha256;
  }

  async get(sha256: string): Promise<Uint8Array> {
    const parts = await this.#connections.use(async (session) => {
      const found: Uint8Array[] = [];
      for (;;) {
        const [row] = await session.prepared<{ bytes: Uint8Array }>(
          'blob_part',
          'select bytes from blobs where sha256 = $1 and part = $2',
          [nameOrNone(sha256), found.length],
        );
        if (row === undefined) return found;
        found.push(row.bytes);
        if (row.bytes.length < PART_BYTES) return found;
      }
    });
    const refuse = (what: string): never => {
      throw new ReeveError('E_STORE_CORRUPT', `blob ${sha256} ${what}`, { blob: sha256 });
    };
    const [only, ...more] = parts;
    if (only === undefined) return refuse('cannot be read');
    const bytes = more.length === 0 ? only : Buffer.concat(parts);
    if (createHash('sha256').update(bytes).digest('hex') !== sha256)
      return refuse('does not have the bytes its name says');
    return bytes;
  }

  async has(sha256: string): Promise<boolean> {
    const name = nameOrNone(sha256);
    return (await this.#connections.use((session) => sizeOf(session, name))) !== undefined;
  }

  async delete(sha256: string): Promise<void> {
    await this.#connections.use((session) =>
      session.prepared('blob_delete', 'delete from blobs where sha256 = $1', [nameOrNone(sha256)]),
    );
  }
}

/** A name may come from a damaged event and hold what no text of the database can. */
function nameOrNone(sha256: string): string {
  return /^[0-9a-f]{64}$/.test(sha256) ? sha256 : '';
}

async function sizeOf(session: Session, sha256: string): Promise<number | undefined> {
  const [row] = await session.prepared<{ size: number | null }>(
    'blob_size',
    'select cast(sum(octet_length(bytes)) as bigint) as size from blobs where sha256 = $1',
    [sha256],
  );
  return row?.size ?? undefined;
}

/** What another one wrote stays; a part of another length was damaged from outside and is written again. */
async function putPart(session: Session, sha256: string, part: number, bytes: Uint8Array): Promise<void> {
  await session.prepared(
    'blob_put',
    `insert into blobs (sha256, part, bytes) values ($1, $2, $3) on conflict (sha256, part)
      do update set bytes = excluded.bytes where octet_length(blobs.bytes) <> octet_length(excluded.bytes)`,
    // A view of the same memory: the driver sends a Buffer as bytes, and anything else as text.
    [sha256, part, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)],
  );
}
