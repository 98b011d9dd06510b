// Files of a gigabyte through a process of its own: what it takes in memory (contract agents §2.2).
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { test } from './fixtures.ts';

const PROCESS = fileURLToPath(new URL('process.ts', import.meta.url));
const MIB = 1024 * 1024;
const SIZE = 1024 * MIB;
/** How much more than at rest the process may ever have had. */
const GROWTH_MAX = 256 * MIB;

/** A block that is like no other. */
function block(index: number): Buffer {
  const bytes = Buffer.alloc(MIB, `block ${index} of a large file that holds no secret\n`);
  bytes[0] = 0;
  return bytes;
}

async function* blocks(from: number, to: number): AsyncGenerator<Buffer> {
  for (let at = from; at < to; at += MIB) yield block(at / MIB);
}

test('1 GiB in one request, and in chunks, comes back as it was, in bounded memory', async ({ dir }) => {
  const child = spawn(process.execPath, [PROCESS, dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const [address] = (await once(createInterface(child.stdout), 'line')) as [string];
    const peak = (): number =>
      Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024;
    const atRest = peak();
    const hash = createHash('sha256');
    for await (const bytes of blocks(0, SIZE)) hash.update(bytes);
    const digest = hash.digest('hex');
    const put = async (path: string, from: number, to: number): Promise<number> => {
      const answer = await fetch(`http://${address}/runs/r1/files/${path}`, {
        method: 'PUT',
        headers: {
          authorization: 'Bearer agent:default:a1',
          'x-lease-id': 'l1',
          digest: `sha-256=${digest}`,
          ...(to - from === SIZE ? {} : { 'content-range': `bytes ${from}-${to - 1}/${SIZE}` }),
        },
        body: ReadableStream.from(blocks(from, to)),
        duplex: 'half',
      });
      return answer.status;
    };
    expect(await put('artifacts/whole.bin', 0, SIZE)).toBe(201);
    for (let from = 0; from < SIZE; from += 128 * MIB)
      expect(await put('artifacts/output.raw', from, from + 128 * MIB)).toBe(
        from + 128 * MIB === SIZE ? 201 : 204,
      );
    for (const path of ['artifacts/whole.bin', 'artifacts/output.raw']) {
      const got = await fetch(`http://${address}/runs/r1/files/${path}`, {
        headers: { authorization: 'Bearer operator:default:o' },
      });
      const found = createHash('sha256');
      for await (const piece of got.body ?? []) found.update(piece);
      expect(found.digest('hex')).toBe(digest);
    }
    expect(peak() - atRest).toBeLessThan(GROWTH_MAX);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
