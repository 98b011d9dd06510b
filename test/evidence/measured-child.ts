/** Verifies, with either verifier or both, or captures, in a process of its own, and says how it ended and how much memory it ever had. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJobpack } from '../../src/evidence/jobpack.ts';
import { verifyJobpack } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { Refusal, verify } from '../../verify.mjs';

const [action = '', path = ''] = process.argv.slice(2);

async function act(): Promise<void> {
  if (action === 'verify') {
    await verifyJobpack(path);
    return;
  }
  if (action === 'verify.mjs') {
    await verify(path);
    return;
  }
  if (action === 'verify-all') {
    await verifyAll(path);
    return;
  }
  const { PackJob } = await import('./pack-job.ts');
  await writeJobpack(
    new PackJob().toEnd().source({ raw: { workspace: join(path, 'ws') } }),
    join(path, 'pack.zip'),
  );
}

/** Both verifiers, on every file of a folder, whatever they say. */
async function verifyAll(folder: string): Promise<void> {
  for (const name of readdirSync(folder)) {
    for (const check of [verifyJobpack, verify]) {
      await check(join(folder, name)).catch((error: unknown) => {
        if (!(error instanceof ReeveError || error instanceof Refusal)) throw error;
      });
    }
  }
}

const code = await act().then(
  () => 'ok',
  (error: unknown) => (error instanceof ReeveError || error instanceof Refusal ? error.code : String(error)),
);
// Of this program alone: what getrusage tells is inherited from the process that forked it.
const [, peakKiB] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
process.stdout.write(JSON.stringify({ code, peakMiB: Number(peakKiB) / 1024 }));
