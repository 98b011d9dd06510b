/** What became of an agent's task, as criteria ask: from its result, and from the report and meta file that it left. */
import { buffer } from 'node:stream/consumers';
import type { RunFiles } from '../ports.ts';
import type { TaskView } from '../../wire/tasks.ts';
import type { Sample } from './criteria.ts';

/** Larger reports are not read, bytes. */
const FILE_BYTES_MAX = 8 * 1_048_576;

export async function sampleOf(
  agentId: string,
  task: TaskView | undefined,
  files: Pick<RunFiles, 'open'>,
): Promise<Sample> {
  if (task?.finished_at === undefined) return { agentId, outcome: 'unfinished' };
  const { tenant, run_id: runId, status } = task;
  const report = await readJson(files, tenant, runId, 'artifacts/report.json');
  const meta = await readJson(files, tenant, runId, 'artifacts/meta.json');
  const durationMs = typeof meta?.['duration_ms'] === 'number' ? meta['duration_ms'] : timed(task);
  const isSkipped = status === 'succeeded' && report?.['outcome'] === 'skipped';
  return {
    agentId,
    outcome: isSkipped ? 'skipped' : (status as Sample['outcome']),
    ...(durationMs === undefined ? {} : { durationMs }),
    findings: countFindings(report?.['findings']),
  };
}

function timed({ result }: TaskView): number | undefined {
  const ms = Date.parse(result?.finished_at ?? '') - Date.parse(result?.started_at ?? '');
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

function countFindings(findings: unknown): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const finding of Array.isArray(findings) ? (findings as readonly unknown[]) : []) {
    const severity = (finding as { readonly severity?: unknown } | null)?.severity;
    if (typeof severity === 'string') counts.set(severity, (counts.get(severity) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}

/** Undefined for what is absent, too big, or no object: an agent may have sent anything. */
async function readJson(
  files: Pick<RunFiles, 'open'>,
  tenant: string,
  runId: string,
  path: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const found = await files.open(tenant, runId, path);
  if (found === undefined || found.file.size > FILE_BYTES_MAX) return undefined;
  const text = (await buffer(found.bytes)).toString();
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
