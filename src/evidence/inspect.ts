/** What happened in a job, in order (contract wrkr §b, `job inspect`); of a pack or of the events in a store. */
import type { JsonObject } from '../model/json.ts';
import { LineCursor, readDocument } from './pack-reader.ts';
import {
  approvalOf,
  checkpointOf,
  eventRecord,
  JobFold,
  type EventRecord,
  type PackLine,
} from './records.ts';
import { compareTimes, trimmedTime } from './time.ts';
import { verifyJobpack } from './verify.ts';
import { ZipReader } from './zip-reader.ts';

export interface Inspection {
  readonly job_id: string;
  readonly status: string;
  readonly event_count: number;
  readonly checkpoint_count: number;
  readonly approval_count: number;
  readonly timeline: readonly TimelineItem[];
}

export interface TimelineItem {
  readonly at: string;
  readonly kind: 'approval' | 'checkpoint' | 'event';
  readonly id: string;
  readonly summary: string;
}

/** @param trust leaves out verifying the pack first. */
export async function inspectJobpack(path: string, trust: 'verify' | 'no-verify'): Promise<Inspection> {
  if (trust === 'verify') await verifyJobpack(path);
  const reader = await ZipReader.open(path);
  try {
    const { job_id: jobId, status } = await readDocument(reader, 'job.json');
    const timeline = new Timeline();
    await eachLine(reader, 'events.jsonl', (record) => timeline.event(record as unknown as EventRecord));
    await eachLine(reader, 'checkpoints.jsonl', (record) => timeline.checkpoint(record));
    await eachLine(reader, 'approvals.jsonl', (record) => timeline.approval(record));
    return timeline.inspection(text(jobId), text(status));
  } finally {
    await reader.close();
  }
}

export async function inspectLines(jobId: string, lines: AsyncIterable<PackLine>): Promise<Inspection> {
  const timeline = new Timeline();
  const job = new JobFold();
  for await (const line of lines) {
    const event = eventRecord(line, jobId, '');
    job.add(event);
    timeline.event(event);
    const checkpoint = checkpointOf(event);
    if (checkpoint !== undefined) timeline.checkpoint(checkpoint);
    const approval = approvalOf(event);
    if (approval !== undefined) timeline.approval(approval);
  }
  return timeline.inspection(jobId, job.status);
}

async function eachLine(
  reader: ZipReader,
  path: 'events.jsonl' | 'checkpoints.jsonl' | 'approvals.jsonl',
  use: (record: JsonObject) => void,
): Promise<void> {
  const cursor = new LineCursor(reader, path, path);
  try {
    for (let record = await cursor.next(); record !== undefined; record = await cursor.next()) use(record);
  } finally {
    await cursor.close();
  }
}

class Timeline {
  readonly #items: TimelineItem[] = [];
  readonly #counts = { event: 0, checkpoint: 0, approval: 0 };

  event({ created_at: at, event_id: id, type }: EventRecord): void {
    this.#add('event', at, id, type);
  }
  checkpoint({ created_at: at, checkpoint_id: id, type, status }: JsonObject): void {
    this.#add('checkpoint', at, text(id), `${text(type)}:${text(status)}`);
  }
  approval({ created_at: at, checkpoint_id: checkpoint }: JsonObject): void {
    this.#add('approval', at, `approval_${this.#counts.approval + 1}`, text(checkpoint));
  }

  inspection(jobId: string, status: string): Inspection {
    return {
      job_id: jobId,
      status,
      event_count: this.#counts.event,
      checkpoint_count: this.#counts.checkpoint,
      approval_count: this.#counts.approval,
      timeline: this.#items.toSorted(
        (a, b) => compareTimes(a.at, b.at) || compareTexts(a.kind, b.kind) || compareTexts(a.id, b.id),
      ),
    };
  }

  #add(kind: TimelineItem['kind'], at: unknown, id: string, summary: string): void {
    this.#counts[kind] += 1;
    this.#items.push({ at: trimmedTime(text(at)) ?? text(at), kind, id, summary });
  }
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Of packs that were not verified, anything may be read. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
