/** Verifies or captures in a process of its own, and says how it ended and how much memory it ever had. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJobpack } from '../../src/evidence/jobpack.ts';
import { verifyJobpack } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';

const [action = '', path = ''] = process.argv.slice(2);

async function act(): Promise<void> {
  if (action === 'verify') {
    await verifyJobpack(path);
    return;
  }
  const { PackJob } = await import('./pack-job.ts');
  await writeJobpack(
    new PackJob().toEnd().source({ raw: { workspace: join(path, 'ws') } }),
    join(path, 'pack.zip'),
  );
}

const code = await act().then(
  () => 'ok',
  (error: unknown) => (error instanceof ReeveError ? error.code : String(error)),
);
// Of this program alone: what getrusage tells is inherited from the process that forked it.
const [, peakKiB] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
process.stdout.write(JSON.stringify({ code, peakMiB: Number(peakKiB) / 1024 }));
