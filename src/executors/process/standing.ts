/** Where an attempt stands, told from its record alone, as after a crash of the engine. */
import { resolve } from 'node:path';
import type { RuntimeStatus } from '../../engine/executor.ts';
import type { JsonObject } from '../../model/json.ts';
import type { Usage } from '../../model/usage.ts';
import { tailText } from './output.ts';
import { isAlive, killRest, markOf } from './processes.ts';
import type { Claim, Exit, Started } from './record.ts';
import {
  isErrno,
  makeRecord,
  makeRecordsDir,
  RECORD_FILES,
  readRecordBytes,
  readRecordFile,
  takeClaim,
} from './record.ts';

/** Reads only; undefined while nobody has claimed the key. */
export async function findStanding(record: string): Promise<RuntimeStatus | undefined> {
  try {
    const finished = await readFinished(record);
    if (finished !== undefined) return finished;
    const claim = await readRecordFile<Claim>(record, RECORD_FILES.claim);
    if (claim === undefined) return undefined;
    if (claim.by === 'recovery') return { phase: 'not_started' };

    const started = await readRecordFile<Started>(record, RECORD_FILES.started);
    if (isAlive(claim.supervisor)) {
      const usage = (await readRecordFile<Partial<Usage>>(record, RECORD_FILES.usage)) ?? {};
      return { phase: 'running', startedAtMs: started?.startedAtMs ?? claim.atMs, usage };
    }
    // It may have finished between the first look and its end.
    return (await readFinished(record)) ?? (await lost(record, started));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { phase: 'unknown', reason: `the record ${record} is damaged: ${error.message}` };
  }
}

/** Like `findStanding`, and takes an unclaimed key, so that its work is not started now or ever (I5). */
export async function settleStanding(record: string, nowMs: number): Promise<RuntimeStatus> {
  for (;;) {
    const standing = await findStanding(record);
    if (standing !== undefined) return standing;
    await makeRecordsDir(resolve(record, '..'));
    await makeRecord(record);
    try {
      if (await takeClaim(record, { by: 'recovery', atMs: nowMs })) return { phase: 'not_started' };
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error; // forgotten by somebody meanwhile: begin again
    }
  }
}

async function lost(record: string, started: Started | undefined): Promise<RuntimeStatus> {
  const leader = started === undefined ? {} : { leader: started.leader };
  await killRest({ mark: markOf(record), ...leader, askedBy: 'stranger' });
  const fault = (await readRecordBytes(record, RECORD_FILES.fault))?.toString().slice(0, 1_000);
  const reason = 'its supervisor ended without recording an outcome; what was left of the command was killed';
  return { phase: 'unknown', reason: fault === undefined ? reason : `${reason} (${fault})` };
}

async function readFinished(record: string): Promise<RuntimeStatus | undefined> {
  const exit = await readRecordFile<Exit>(record, RECORD_FILES.exit);
  if (exit === undefined) return undefined;
  const { outcome, exitCode, signal, error, startedAtMs, finishedAtMs, usage } = exit;
  return {
    phase: 'finished',
    outcome,
    startedAtMs,
    finishedAtMs,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
    ...(error === undefined ? {} : { error }),
    outputs: await outputsOf(record, exit),
    usage,
  };
}

async function outputsOf(record: string, exit: Exit): Promise<JsonObject> {
  const empty = Buffer.alloc(0);
  return {
    exit_code: exit.exitCode ?? null,
    stdout_tail: tailText((await readRecordBytes(record, RECORD_FILES.stdout)) ?? empty),
    stderr_tail: tailText((await readRecordBytes(record, RECORD_FILES.stderr)) ?? empty),
    stdout_bytes: exit.stdoutBytes,
    stderr_bytes: exit.stderrBytes,
    truncated: exit.truncated,
    ...(exit.skippedLines === 0 ? {} : { skipped_lines: exit.skippedLines }),
    ...(exit.model === undefined ? {} : { model: exit.model }),
    ...(exit.sessionId === undefined ? {} : { session_id: exit.sessionId }),
    ...(exit.captureError === undefined ? {} : { capture_error: exit.captureError }),
  };
}
