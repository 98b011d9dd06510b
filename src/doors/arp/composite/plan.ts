/** Plans: what makes a list of steps one, whoever wrote it (contract arp §7.1 3). Pure. */
import type { Fields } from './assignment.ts';
import { failure } from './failures.ts';

export interface Subtask {
  /** S1, S2 … in order. */
  readonly id: string;
  readonly goal: string;
  readonly notes?: string;
  /** Arguments that are fixed already, by name. */
  readonly inputs?: Fields;
  /** The only node type that may do it. */
  readonly node_type_id?: string;
}

export interface Plan {
  readonly subtasks: readonly Subtask[];
  readonly summary?: string;
}

/** A step that was done, as strategies and selection are told. */
export interface PriorStep {
  /** The node type that did it. */
  readonly action: string;
  readonly outputs: Fields;
}

const FIELDS: ReadonlySet<string> = new Set(['goal', 'notes', 'inputs', 'node_type_id']);

/**
 * @param steps each a text, or an object of `goal*`, `notes`, `inputs`, `node_type_id`; null in place of an optional one is none.
 * @param most steps beyond are cut off, and the summary says so.
 * @throws ArpError `planner_invalid_output`, `planner_invalid_subtask`
 */
export function planOf(steps: unknown, summary: unknown, most: number): Plan {
  if (!Array.isArray(steps)) throw failure('planner_invalid_output', 'the plan is no list of steps');
  const all = steps.map((step: unknown, at) => subtaskOf(step, `S${at + 1}`));
  const said = [
    ...(typeof summary === 'string' && summary.trim() !== '' ? [summary.trim()] : []),
    ...(all.length > most
      ? [`${all.length} steps were planned; the limit of ${most} cut the rest off.`]
      : []),
  ].join(' ');
  return { subtasks: all.slice(0, most), ...(said === '' ? {} : { summary: said }) };
}

function subtaskOf(step: unknown, id: string): Subtask {
  if (typeof step === 'string') return subtaskOf({ goal: step }, id);
  if (!isFields(step)) throw odd(id, 'is neither a text nor an object');
  const [unknown] = Object.keys(step).filter((key) => !FIELDS.has(key));
  if (unknown !== undefined) throw odd(id, `has a field ${JSON.stringify(unknown.slice(0, 100))}`);
  const { goal, notes, inputs, node_type_id: type } = step;
  if (typeof goal !== 'string' || goal.trim() === '') throw odd(id, 'has no goal');
  if (isGiven(notes) && typeof notes !== 'string') throw odd(id, 'has notes that are no text');
  if (isGiven(inputs) && !isFields(inputs)) throw odd(id, 'has inputs that are no object');
  if (isGiven(type) && typeof type !== 'string') throw odd(id, 'has a node_type_id that is no text');
  return {
    id,
    goal: goal.trim(),
    ...(typeof notes === 'string' && notes.trim() !== '' ? { notes: notes.trim() } : {}),
    ...(isFields(inputs) ? { inputs } : {}),
    ...(typeof type === 'string' ? { node_type_id: type } : {}),
  };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function odd(id: string, problem: string): Error {
  return failure('planner_invalid_subtask', `step ${id} ${problem}`, { subtask_id: id });
}
