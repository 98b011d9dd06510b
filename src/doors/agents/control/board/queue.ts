/** Tasks of one tenant that wait for an agent, in the order in which they are handed out: priority, then age. Pure. */
import type { Target } from '../../wire/tasks.ts';

export interface QueuedTask {
  readonly taskId: string;
  readonly target: Target;
  readonly priority: number;
  /** Place among all tasks, by age. */
  readonly order: number;
  readonly rolloutId: string | undefined;
  /** It is to change something: somebody has to approve of it first. */
  readonly isDestructive: boolean;
}

export interface Candidate {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

export class TaskQueue {
  /** For whoever fits. */
  readonly #common: QueuedTask[] = [];
  /** For agents by name: what is not theirs need not be looked at. */
  readonly #named = new Map<string, QueuedTask[]>();

  add(task: QueuedTask): void {
    for (const line of this.#linesOf(task)) {
      const at = placeOf(line, task);
      if (line[at]?.order !== task.order) line.splice(at, 0, task);
    }
  }

  remove(task: QueuedTask): void {
    for (const line of this.#linesOf(task)) {
      const at = placeOf(line, task);
      if (line[at]?.order === task.order) line.splice(at, 1);
    }
    for (const id of task.target.agent_ids ?? [])
      if (this.#named.get(id)?.length === 0) this.#named.delete(id);
  }

  /** The first task that this agent may have; it stays until it is removed. */
  firstFor(agent: Candidate, may: (task: QueuedTask) => boolean): QueuedTask | undefined {
    const own = this.#named.get(agent.id)?.find(may);
    const common = this.#common.find((task) => fits(task.target, agent) && may(task));
    if (own === undefined || common === undefined) return own ?? common;
    return compare(own, common) < 0 ? own : common;
  }

  #linesOf({ target }: QueuedTask): QueuedTask[][] {
    const { agent_ids: ids } = target;
    if (ids === undefined) return [this.#common];
    return ids.map((id) => {
      let line = this.#named.get(id);
      if (line === undefined) {
        line = [];
        this.#named.set(id, line);
      }
      return line;
    });
  }
}

export function fits({ agent_ids: ids, labels }: Target, agent: Candidate): boolean {
  if (ids !== undefined) return ids.includes(agent.id);
  return Object.entries(labels ?? {}).every(
    ([name, value]) => Object.hasOwn(agent.labels, name) && agent.labels[name] === value,
  );
}

function compare(a: QueuedTask, b: QueuedTask): number {
  return b.priority - a.priority || a.order - b.order;
}

/** Where the task stands, or would. */
function placeOf(line: readonly QueuedTask[], task: QueuedTask): number {
  let [from, to] = [0, line.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    const there = line[middle];
    if (there !== undefined && compare(there, task) < 0) from = middle + 1;
    else to = middle;
  }
  return from;
}
