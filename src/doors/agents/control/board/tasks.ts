/**
 * Tasks as runs of the engine, which is the only truth about them: every change is a command there, and what follows from
 * its events — the record in memory, the index, the audit lines — is made of them here.
 */
import type { Engine } from '../../../../engine/engine.ts';
import type { Command } from '../../../../model/commands.ts';
import { ReeveError } from '../../../../model/errors.ts';
import type { RecordedEvent } from '../../../../model/events.ts';
import type { RunSpec } from '../../../../model/run-spec.ts';
import type { Meter } from '../../../../telemetry/meter.ts';
import { AGENTS_QUEUE } from '../../../progress.ts';
import { isFinal, type TaskView } from '../../wire/tasks.ts';
import type { Audit, AuditNote, Ledger } from '../ports.ts';
import { measureEnd } from './measure.ts';
import { noteOf } from './notes.ts';
import { foldTask, type TaskRecord } from './record.ts';
import type { TaskIndex } from './task-index.ts';

const PAGE = 500;

/** A task that is not over; `Tasks` alone changes it. */
export interface LiveTask {
  record: TaskRecord;
  /** Place among all tasks, by age. */
  readonly order: number;
  /** Commands about one task are carried out one after the other. */
  lane: Promise<unknown>;
  /** Audit lines of what is durable in the engine and was not written down yet. */
  readonly owed: AuditNote[];
}

export interface TasksOptions {
  readonly engine: Engine;
  readonly index: TaskIndex;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly meter: Meter | undefined;
}

export class Tasks {
  readonly #options: TasksOptions;
  readonly #live = new Map<string, LiveTask>();
  readonly #listeners = new Set<(task: TaskView) => void>();
  #order = 0;

  constructor(options: TasksOptions) {
    this.#options = options;
  }

  /** What a process before this one left: writes down what it had no time for. @returns what is not over, oldest first */
  async open(): Promise<readonly LiveTask[]> {
    const { engine, index } = this.#options;
    for (const record of index.live()) this.#add(record);
    const known = new Set([...this.#live.values()].map(({ record }) => record.engineId));
    for await (const engineId of this.#running()) {
      if (known.has(engineId)) continue;
      // Created, and the process ended before it was noted: nobody was told of it.
      const events = await engine.events(engineId, 0, 1);
      const [first] = events;
      if (first !== undefined)
        await this.#project(this.#add(foldTask(undefined, engineId, first)), events, true);
    }
    for (const task of this.#live.values())
      await this.#project(task, await engine.events(task.record.engineId, task.record.version));
    return [...this.#live.values()].toSorted((a, b) => a.record.createdMs - b.record.createdMs);
  }

  get(taskId: string): LiveTask | undefined {
    return this.#live.get(taskId);
  }

  /** All that are not over. */
  all(): Iterable<LiveTask> {
    return this.#live.values();
  }

  /** The record of a task of this tenant, over or not. */
  find(tenant: string, taskId: string): TaskRecord | undefined {
    const live = this.#live.get(taskId);
    if (live !== undefined) return live.record.view.tenant === tenant ? live.record : undefined;
    return this.#options.index.get(tenant, taskId);
  }

  /** @throws ReeveError E_INVALID_INPUT_SCHEMA: there is a run, or a task, of this id */
  async create(engineId: string, spec: RunSpec): Promise<LiveTask> {
    const { events } = await this.#options.engine.execute(engineId, { type: 'create', spec, begin: true });
    const [first] = events;
    if (first === undefined) throw new TypeError(`run ${engineId} was created without an event`);
    const task = this.#add(foldTask(undefined, engineId, first));
    await this.#project(task, events, true);
    return task;
  }

  /** Carries out `work` after all that was asked about this task before. */
  async inLane<T>(task: LiveTask, work: () => Promise<T>): Promise<T> {
    const turn = task.lane.then(work, work);
    task.lane = turn.catch(() => undefined);
    return turn;
  }

  /** In the task's lane only. @throws ReeveError with the engine's refusal */
  async execute(task: LiveTask, command: Command, mayStill?: () => boolean): Promise<TaskRecord> {
    const { engine } = this.#options;
    const { engineId, version } = task.record;
    const { events } = await engine.execute(engineId, command, mayStill);
    const [first] = events;
    const isGap = first !== undefined && first.seq !== version + 1;
    await this.#project(task, isGap ? await engine.events(engineId, version) : events);
    return task.record;
  }

  /** Its lease holds until then: known to the store by now, and no event. */
  renewed(task: LiveTask, untilMs: number, untilText: string): void {
    const { record } = task;
    if (record.lease === undefined) return;
    task.record = {
      ...record,
      lease: { ...record.lease, untilMs },
      view: { ...record.view, lease_expires_at: untilText },
    };
  }

  subscribe(listener: (task: TaskView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async *#running(): AsyncGenerator<string> {
    const { store } = this.#options.engine;
    let after: Parameters<typeof store.list>[0]['after'];
    do {
      const page = await store.list({
        phases: ['queued', 'running', 'held'],
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      for (const { id, queue } of page.runs) if (queue === AGENTS_QUEUE) yield id;
      after = page.next;
    } while (after !== undefined);
  }

  #add(record: TaskRecord): LiveTask {
    this.#order += 1;
    const task: LiveTask = { record, order: this.#order, lane: Promise.resolve(), owed: [] };
    this.#live.set(record.view.task_id, task);
    return task;
  }

  /** @param isNew the first of the events is the one that the record was made of. */
  async #project(task: LiveTask, events: readonly RecordedEvent[], isNew = false): Promise<void> {
    if (events.length === 0) return;
    const { index, ledger, audit, meter } = this.#options;
    let before: TaskRecord | undefined = isNew ? undefined : task.record;
    const wasFinal = before !== undefined && isFinal(before.view.status);
    for (const event of events) {
      const after = foldTask(before, task.record.engineId, event);
      const note = noteOf(before, event, after);
      if (note !== undefined) task.owed.push(note);
      before = after;
    }
    const record = before ?? task.record;
    task.record = record;
    const { view } = record;
    const notes = [...task.owed];
    await ledger.write(() => {
      index.put(record);
      for (const note of notes) audit.append(note);
    });
    task.owed.splice(0, notes.length);
    // Only now: until the index knows better, this is the record that others are told of.
    if (isFinal(view.status)) this.#live.delete(view.task_id);
    if (!wasFinal && isFinal(view.status)) measureEnd(meter, record);
    for (const listener of this.#listeners) listener(view);
  }
}

/** Whether the engine refused since somebody else has the lease, or nobody has it any more. */
export function isLeaseLost(error: unknown): boolean {
  return error instanceof ReeveError && error.code === 'E_LEASE_CONFLICT';
}
