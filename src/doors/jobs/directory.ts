/**
 * The job directory for people and for programs that know wrkr's layout (DESIGN §3): `events.jsonl`, `snapshot.json`,
 * `runtime_config.json` and `accept_result.json`. A projection of the store: never read back as truth, brought up to date after changes,
 * rebuilt when it does not fit. It is not synced to disk, since nothing depends on it.
 */
import { open, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from '../../engine/engine.ts';
import { makeFolder } from '../../store/make-folder.ts';
import { WriterLock } from '../../store/sqlite/writer-lock.ts';
import { canonicalJson } from '../../model/canonical.ts';
import { ACCEPT_FILE, acceptResultIn } from './accept-fact.ts';
import { applyLine, emptyJobState, runtimeConfigJson, snapshotJson, type JobState } from './fold-lines.ts';
import { jobDir } from './job-id.ts';
import { lineOf, lineText, nextStepIndex, projectionOf, type Line, type Projection } from './lines.ts';
import { stopPoint } from '../../telemetry/stop-points.ts';
import type { RunSpec } from '../../model/run-spec.ts';
import { outputOf } from './step-output.ts';
import { parseTime } from './time.ts';
import type { RecordedEvent } from '../../model/events.ts';

/** Changes within this time are written together, milliseconds. */
const GATHER_MS = 200;
const LOCK_WAIT_MS = 2000;
const PAGE = 2000;
/** Held while a process writes; says nothing about the job. */
export const PROJECTION_LOCK = '.projection.lock';
const TAIL_BYTES = 64 * 1024;

interface Known {
  spec: RunSpec | undefined;
  projection: Projection;
  /** Where each step stands. */
  places: ReadonlyMap<string, { readonly index: number; readonly name: string }>;
  readonly job: JobState;
  lastLine: Line | undefined;
  firstAt: string;
  nextStep: number;
}

export class JobDirectories {
  readonly #engine: Engine;
  readonly #root: string;
  readonly #version: string;
  readonly #note: (text: string) => void;
  readonly #known = new Map<string, Known>();
  readonly #due = new Map<string, NodeJS.Timeout>();
  readonly #writing = new Map<string, Promise<void>>();

  constructor(options: { engine: Engine; root: string; version: string; note: (text: string) => void }) {
    this.#engine = options.engine;
    this.#root = options.root;
    this.#version = options.version;
    this.#note = options.note;
  }

  /** Says that the job changed: its directory will be up to date soon, at the latest on `flush`. */
  touch(jobId: string): void {
    if (this.#due.has(jobId)) return;
    const timer = setTimeout(() => void this.#write(jobId), GATHER_MS);
    timer.unref();
    this.#due.set(jobId, timer);
  }

  /** Writes all that is due. Failures are told, never thrown: the store has what matters. */
  async flush(): Promise<void> {
    const waiting = [...this.#due.keys()];
    await Promise.all(waiting.map((jobId) => this.#write(jobId)));
    await Promise.all(this.#writing.values());
  }

  /** Writes one directory anew from the store. */
  async rebuild(jobId: string): Promise<void> {
    this.#known.delete(jobId);
    await rm(join(jobDir(this.#root, jobId), 'events.jsonl'), { force: true });
    await this.#write(jobId);
  }

  forget(jobId: string): void {
    clearTimeout(this.#due.get(jobId));
    this.#due.delete(jobId);
    this.#known.delete(jobId);
  }

  #write(jobId: string): Promise<void> {
    clearTimeout(this.#due.get(jobId));
    this.#due.delete(jobId);
    const before = this.#writing.get(jobId) ?? Promise.resolve();
    const writing = before
      .then(() => this.#update(jobId))
      .catch((error: unknown) =>
        this.#note(`${jobId}: its directory is not up to date: ${(error as Error).message}`),
      )
      .finally(() => {
        if (this.#writing.get(jobId) === writing) this.#writing.delete(jobId);
      });
    this.#writing.set(jobId, writing);
    return writing;
  }

  async #update(jobId: string): Promise<void> {
    stopPoint('directory:before');
    const dir = jobDir(this.#root, jobId);
    if (await this.#isCurrent(jobId, dir)) return;
    await makeFolder(dir, 0o700);
    const unlock = await lock(join(dir, PROJECTION_LOCK));
    if (unlock === undefined) return; // another process is at it, and looks again before it goes
    try {
      for (let tries = 0; tries < 8; tries += 1) {
        const head = await this.#engine.store.head(jobId);
        const known = this.#known.get(jobId);
        if (head === undefined || (known !== undefined && known.job.last_applied_seq >= head.version)) break;
        await this.#append(jobId, dir);
      }
      stopPoint('directory:after');
    } finally {
      unlock();
    }
  }

  /** Whether the log ends with the run's last event; then nothing has to be read or locked. */
  async #isCurrent(jobId: string, dir: string): Promise<boolean> {
    const head = await this.#engine.store.head(jobId);
    if (head === undefined) return true;
    const tail = await readTail(join(dir, 'events.jsonl'));
    const isLogCurrent = tail?.at(-1) === 0x0a && lastSeq(tail.subarray(0, -1)) === head.version;
    return isLogCurrent && (await snapshotSeq(join(dir, 'snapshot.json'))) === head.version;
  }

  async #append(jobId: string, dir: string): Promise<void> {
    const file = join(dir, 'events.jsonl');
    const log = await open(file, 'a+', 0o600);
    try {
      let written = await this.#cutTorn(jobId, log);
      const known = this.#known.get(jobId) ?? newKnown(jobId, this.#version);
      this.#known.set(jobId, known);
      for (;;) {
        const events = await this.#engine.events(jobId, known.job.last_applied_seq, PAGE);
        if (events.length === 0) break;
        const fresh: string[] = [];
        for (const recorded of events) {
          const { event } = recorded;
          if (event.type === 'run_created' || event.type === 'run_imported') {
            known.spec = event.spec;
            known.projection = projectionOf(jobId, event.spec, this.#version);
            known.places = new Map(event.spec.nodes.map(({ id }, index) => [id, { index, name: id }]));
          }
          const line = lineOf(recorded, known.projection);
          applyLine(known.job, line);
          known.lastLine = line;
          known.firstAt ||= line.created_at;
          if (recorded.seq > written) {
            fresh.push(lineText(line));
            await this.#writeOutput(dir, recorded, known);
            const accepted = acceptResultIn(recorded);
            if (accepted !== undefined) await replace(join(dir, ACCEPT_FILE), canonicalJson(accepted));
          }
        }
        if (fresh.length > 0) await log.appendFile(fresh.join(''));
        written = Math.max(written, known.job.last_applied_seq);
      }
      await this.#summaries(jobId, dir, known);
    } finally {
      await log.close();
    }
  }

  /** `steps/<index>/attempt-<n>.stdout` and `.stderr`: what a command printed last. */
  async #writeOutput(dir: string, recorded: RecordedEvent, { places }: Known): Promise<void> {
    const output = outputOf(recorded, places);
    if (output === undefined) return;
    const folder = join(dir, 'steps', String(output.step_index));
    await makeFolder(folder, 0o700);
    for (const stream of ['stdout', 'stderr'] as const) {
      if (output[stream] !== '')
        await replace(join(folder, `attempt-${output.attempt}.${stream}`), output[stream]);
    }
  }

  async #summaries(jobId: string, dir: string, known: Known): Promise<void> {
    const { spec, lastLine, projection } = known;
    if (lastLine === undefined || spec === undefined) return;
    await replace(join(dir, 'snapshot.json'), snapshotJson(known.job, lastLine.created_at));
    const state = await this.#engine.state(jobId);
    known.nextStep = nextStepIndex(
      projection,
      (id) => state.settled.get(id)?.state === 'succeeded',
      known.nextStep,
    );
    const config = runtimeConfigJson(spec.document, state.limits, {
      createdAt: known.firstAt,
      updatedAt: lastLine.created_at,
      nextStepIndex: known.nextStep,
    });
    if (config !== undefined) await replace(join(dir, 'runtime_config.json'), config);
  }

  /**
   * The sequence number of the last whole line. What is torn is cut off (W8); a log that has more than the store, or
   * does not end in a line of ours, is written anew.
   */
  async #cutTorn(jobId: string, log: FileHandle): Promise<number> {
    const { size } = await log.stat();
    if (size === 0) return 0;
    const start = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await log.read(Buffer.alloc(size - start), 0, size - start, start);
    const tail = buffer.subarray(0, bytesRead);
    const newline = tail.lastIndexOf(0x0a);
    if (newline >= 0 && start + newline + 1 < size) {
      await log.truncate(start + newline + 1);
      this.#note(`${jobId}: cut ${size - start - newline - 1} bytes of a torn last line off events.jsonl`);
    }
    const seq = lastSeq(tail.subarray(0, newline));
    const head = await this.#engine.store.head(jobId);
    if (seq !== undefined && seq <= (head?.version ?? 0)) return seq;
    await log.truncate(0);
    return 0;
  }
}

function newKnown(jobId: string, version: string): Known {
  return {
    spec: undefined,
    projection: { jobId, producerVersion: version, rootId: '', steps: new Map() },
    places: new Map(),
    job: emptyJobState(jobId),
    lastLine: undefined,
    firstAt: '',
    nextStep: 0,
  };
}

async function readTail(path: string): Promise<Buffer | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** `last_seq` stands in the first line of a snapshot. */
async function snapshotSeq(path: string): Promise<number | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
    const [, seq] = /"last_seq": (\d+)/.exec(buffer.subarray(0, bytesRead).toString()) ?? [];
    return seq === undefined ? undefined : Number(seq);
  } finally {
    await file.close();
  }
}

function lastSeq(lines: Buffer): number | undefined {
  const text = lines.subarray(lines.lastIndexOf(0x0a) + 1).toString();
  try {
    const { seq, created_at } = JSON.parse(text) as { seq?: unknown; created_at?: unknown };
    return typeof seq === 'number' && parseTime(String(created_at)) !== undefined ? seq : undefined;
  } catch {
    return undefined;
  }
}

async function replace(path: string, text: string): Promise<void> {
  const aside = `${path}.tmp-${process.pid}`;
  await writeFile(aside, text, { mode: 0o600 });
  await rename(aside, path);
}

/** A lock that dies with its process. @returns undefined when another process has it for too long. */
async function lock(path: string): Promise<(() => void) | undefined> {
  const file = new WriterLock(path);
  const giveUpAtMs = performance.now() + LOCK_WAIT_MS;
  while (!file.tryAcquire()) {
    if (performance.now() > giveUpAtMs) {
      file.release();
      return undefined;
    }
    await delay(10);
  }
  return () => file.release();
}
