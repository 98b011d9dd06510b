/** Runs that an agent has begun: what came of them, read from their files, and what is left of them after a crash. */
import { createHash } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { RunMeta, RunSummary } from '../runner/artifacts.ts';
import { setAsideLeftover } from '../runner/leftover.ts';
import type { Outcome } from '../wire/tasks.ts';
import type { Begun, Delivery, Spool } from './spool.ts';

/** Lists all files but itself. */
const META_PATH = 'artifacts/meta.json';

/**
 * What is to be delivered of a run that has ended. It follows from the run's files alone, so that it is the same after a
 * crash, and the control plane knows it again.
 */
export async function deliveryOf(begun: Begun, isLate: boolean): Promise<Delivery> {
  const { leaseId, ...run } = begun;
  const metaBytes = await readFile(join(begun.directory, META_PATH));
  const meta = JSON.parse(metaBytes.toString()) as RunMeta;
  const summaryText = await readFile(join(begun.directory, 'artifacts', 'summary.json'), 'utf8');
  const summary = JSON.parse(summaryText) as RunSummary;
  const sha256 = createHash('sha256').update(metaBytes).digest('hex');
  return {
    ...run,
    result: {
      lease_id: leaseId,
      outcome: meta.outcome as Outcome,
      exit_code: summary.exit_code,
      ...(meta.reason === undefined ? {} : { reason: meta.reason }),
      summary: summary as unknown as Readonly<Record<string, unknown>>,
      started_at: meta.started_at,
      finished_at: meta.finished_at,
      artifacts: [...meta.files, { path: META_PATH, size: metaBytes.length, sha256 }],
    },
    spooledAtMs: Date.now(),
    ...(isLate ? { isLate } : {}),
  };
}

/** After a start: ends what is left of commands, and spools what ended without having been spooled. */
export async function recover(spool: Spool, agentId: string, note: (text: string) => void): Promise<void> {
  for (const begun of await spool.begun()) {
    const { taskId, attempt, directory } = begun;
    try {
      const left = await setAsideLeftover(dirname(directory), basename(directory), attempt);
      if (left === 'running') continue;
      if (left === 'set_aside')
        note(`task ${taskId}: attempt ${attempt} was cut off; what is left is set aside`);
      if (left === 'finished' && (await attemptIn(directory, agentId)) === attempt)
        await spool.put(await deliveryOf(begun, false));
      else await spool.forget(begun);
    } catch (error) {
      note(`task ${taskId}: attempt ${attempt} was cut off, and stays as it is: ${(error as Error).message}`);
    }
  }
}

/** What an earlier attempt left here goes out of the way of this one (contract §2.2). */
export async function freeRunId({ directory, attempt }: Begun, agentId: string): Promise<void> {
  const left = await setAsideLeftover(dirname(directory), basename(directory), Math.max(1, attempt - 1));
  if (left !== 'finished') return;
  const earlier = await attemptIn(directory, agentId);
  // Somebody else's run stays as it is, and this one is refused for it.
  if (earlier !== undefined && earlier < attempt) await rename(directory, `${directory}.attempt-${earlier}`);
}

/** Which attempt of this agent a run that has ended was; undefined: none. */
export async function attemptIn(directory: string, agentId: string): Promise<number | undefined> {
  try {
    const meta = JSON.parse(await readFile(join(directory, META_PATH), 'utf8')) as RunMeta;
    return meta.agent_id === agentId ? meta.attempt : undefined;
  } catch {
    return undefined;
  }
}
