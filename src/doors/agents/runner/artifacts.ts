/** The documents of a run, byte for byte (contract agents §3.1). */
import type { FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { sha256 } from '../../../evidence/hash.ts';
import { timestamp } from '../ids.ts';
import type { CapturedSummary } from './captured-output.ts';
import type { End } from './end.ts';
import type { Protection } from './sandbox.ts';

/** Exactly these five keys. */
export interface RunSummary {
  readonly run_id: string;
  readonly action: string;
  /** End of the run. */
  readonly timestamp: string;
  readonly exit_code: number;
  readonly status: 'SUCCESS' | 'FAILED';
}

export interface RunFileEntry {
  /** Below the run's directory. */
  readonly path: string;
  readonly size: number;
  /** 64 hex digits. */
  readonly sha256: string;
}

export interface RunMeta {
  readonly started_at: string;
  readonly finished_at: string;
  readonly duration_ms: number;
  /** `sha256:…` of the command's text, of its argument list as canonical JSON, or of the skill's package. */
  readonly command_digest: string;
  /** Program and arguments, redacted; absent for a run that was refused before it had any. */
  readonly argv?: readonly string[];
  readonly skill?: { readonly name: string; readonly version: string; readonly digest: string };
  readonly host: string;
  /** Null where the system has no such ids. */
  readonly uid: number | null;
  readonly output_bytes: number;
  readonly output_sha256: string;
  readonly truncated: boolean;
  readonly binary: boolean;
  /** How many of each type were masked. */
  readonly redactions: Readonly<Record<string, number>>;
  readonly outcome: string;
  readonly reason?: string;
  readonly attempt: number;
  readonly agent_id?: string;
  /** Present for runs that asked for a sandbox. */
  readonly protection?: Protection;
  /** All but this document. */
  readonly files: readonly RunFileEntry[];
  /** What the command left and nobody keeps, with the reason. */
  readonly skipped?: readonly { readonly path: string; readonly reason: string }[];
}

/** What the runner itself shows before the command begins, and what a log begins with. */
export function headLines(runId: string, action: string, startedAt: string): readonly string[] {
  return ['PHASE: STARTING_EXECUTION', `Run ID: ${runId}`, `Action: ${action}`, `Timestamp: ${startedAt}`];
}

export const COMPLETED = 'PHASE: COMPLETED';

export interface LogParts {
  readonly head: readonly string[];
  readonly output: CapturedSummary;
  readonly end: End;
}

/** The log, with the output read from its file. Every marker begins a line. */
export async function writeLog(
  write: (bytes: Uint8Array) => Promise<void>,
  parts: LogParts,
  outputFile: FileHandle,
): Promise<void> {
  const { output, end } = parts;
  await write(textOf([...parts.head, '--- COMMAND OUTPUT BEGIN ---']));
  if (end.outcome === 'refused') await write(textOf([`PHASE: REFUSED ${end.reason ?? ''}`]));
  else if (output.writeError !== undefined)
    await write(textOf([`[incomplete output: ${output.bytes} bytes, sha256 ${output.sha256}]`]));
  else if (output.isBinary)
    await write(textOf([`[binary output: ${output.bytes} bytes, sha256 ${output.sha256}]`]));
  else await copyText(write, outputFile);
  await write(
    textOf([
      '--- COMMAND OUTPUT END ---',
      ...(end.outcome === 'timed_out' ? ['PHASE: TIMEOUT'] : []),
      ...(end.outcome === 'cancelled' ? ['PHASE: CANCELLED'] : []),
      ...(output.dropped > 0 ? [`PHASE: TRUNCATED ${output.dropped}`] : []),
      COMPLETED,
      `EXIT:${end.exitCode}`,
    ]),
  );
}

async function copyText(write: (bytes: Uint8Array) => Promise<void>, file: FileHandle): Promise<void> {
  const buffer = Buffer.alloc(64 * 1024);
  let last = 10;
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) break;
    await write(buffer.subarray(0, bytesRead));
    last = buffer[bytesRead - 1] ?? 10;
    at += bytesRead;
  }
  if (last !== 10) await write(textOf(['']));
}

function textOf(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\n`).join(''));
}

/** Who a run is of, for its documents. */
interface RunNames {
  readonly runId: string;
  readonly action: string;
  readonly skill?: { readonly name: string; readonly version: string; readonly digest: string };
  readonly attempt?: number;
  readonly agentId?: string;
}

export function summaryOf(run: RunNames, exitCode: number, finishedAtMs: number): RunSummary {
  return {
    run_id: run.runId,
    action: run.action,
    timestamp: timestamp(finishedAtMs),
    exit_code: exitCode,
    status: exitCode === 0 ? 'SUCCESS' : 'FAILED',
  };
}

export interface MetaParts {
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly durationMs: number;
  readonly digest: string;
  readonly argv?: readonly string[];
  readonly output: CapturedSummary;
  readonly end: End;
  readonly redactions: Readonly<Record<string, number>>;
  readonly protection?: Protection;
  /** Without the output. */
  readonly files: readonly RunFileEntry[];
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

export function metaOf(run: RunNames, parts: MetaParts): RunMeta {
  const { output, end, argv, protection, skipped } = parts;
  const { skill, attempt = 1, agentId } = run;
  return {
    started_at: timestamp(parts.startedAtMs),
    finished_at: timestamp(parts.finishedAtMs),
    duration_ms: parts.durationMs,
    command_digest: parts.digest,
    ...(argv === undefined ? {} : { argv }),
    ...(skill === undefined
      ? {}
      : { skill: { name: skill.name, version: skill.version, digest: skill.digest } }),
    host: hostname(),
    uid: process.getuid?.() ?? null,
    output_bytes: output.bytes,
    output_sha256: output.sha256,
    truncated: output.dropped > 0,
    binary: output.isBinary,
    redactions: parts.redactions,
    outcome: end.outcome,
    ...(end.reason === undefined ? {} : { reason: end.reason }),
    attempt,
    ...(agentId === undefined ? {} : { agent_id: agentId }),
    ...(protection === undefined ? {} : { protection }),
    files: [{ path: 'artifacts/output.raw', size: output.bytes, sha256: output.sha256 }, ...parts.files],
    ...(skipped.length === 0 ? {} : { skipped }),
  };
}

export function entryOf(path: string, text: string): RunFileEntry {
  return { path, size: Buffer.byteLength(text), sha256: sha256(text) };
}
