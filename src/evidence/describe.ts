/** What an event did, in one short line. The text is data of the pack: whoever shows it escapes it. */
import type { RunEvent } from '../model/events.ts';
import { USAGE_KEYS } from '../model/usage.ts';
import { amountText, BUDGET_NAMES } from './amounts.ts';
import { statusOf } from './statuses.ts';

/** What kind of news an event is; for filtering. */
export type EventGroup = 'steps' | 'checkpoints' | 'decisions' | 'worker' | 'status' | 'records';

export interface Described {
  readonly group: EventGroup;
  readonly text: string;
}

/** @param name of a node, for people. */
export function describe(event: RunEvent, name: (node: string) => string): Described {
  switch (event.type) {
    case 'run_created':
      return records(`created with ${count(event.spec.nodes.length, 'step')}${by(event.spec.actor)}`);
    case 'run_imported':
      return records(`taken over from a job directory, ${count(event.spec.nodes.length, 'step')}`);
    case 'line_imported':
      return records('a line of another implementation');
    case 'environment_recorded':
      return event.override === undefined
        ? records(`environment ${event.environment.hash.slice(0, 12)}`)
        : decision(`environment accepted${by(event.override.by)}: ${event.override.reason}`);
    case 'phase_changed':
      return {
        group: 'status',
        text: `${statusOf(event.from)} → ${statusOf(event.to)}${by(event.by)}${why(event.reason)}`,
      };
    case 'nodes_added':
      return {
        group: 'steps',
        text: `${count(event.nodes.length, 'step')} added below ${name(event.parent)}`,
      };
    case 'node_assigned':
      return worker(`${event.lease.worker} took ${name(event.node)}`);
    case 'node_released':
      return event.cause === 'expired'
        ? worker(`${event.lease.worker} was lost; its lease on ${name(event.node)} ended`)
        : worker(`${event.lease.worker} let go of ${name(event.node)}`);
    case 'attempt_started':
      return { group: 'steps', text: `${name(event.node)} started${tryNo(event.attempt)}` };
    case 'usage_charged':
      return { group: 'records', text: `${name(event.node)} used ${usageText(event.usage)}` };
    case 'attempt_ended':
      return { group: 'steps', text: `${name(event.node)} ${outcomeText(event)}${tryNo(event.attempt)}` };
    case 'node_settled':
      return {
        group: 'steps',
        text: `${name(event.node)} ${event.state === 'canceled' ? 'was' : 'has'} ${event.state}${by(event.by)}${why(event.reason)}`,
      };
    case 'key_recorded':
      return records(`key ${event.key}`);
    case 'checkpoint_emitted':
      return {
        group: event.checkpoint === 'decision-needed' ? 'decisions' : 'checkpoints',
        text: `${event.checkpoint}: ${event.summary}`,
      };
    case 'checkpoint_deferred':
      return { group: 'checkpoints', text: `checkpoint of ${name(event.node)} joined with the next` };
    case 'approval_recorded':
      return decision(`cp_${event.checkpoint} approved${by(event.by)}: ${event.reason}`);
    case 'limits_raised':
      return decision(`limits raised to ${usageText(event.limits)}${by(event.by)}: ${event.reason}`);
    case 'fact_recorded':
      return records(event.name);
    default:
      return records(String((event as { type: unknown }).type));
  }
}

function outcomeText(event: Extract<RunEvent, { type: 'attempt_ended' }>): string {
  const { outcome, outputs, error } = event;
  const exit = outputs?.['exit_code'];
  const exited = typeof exit === 'number' && exit !== 0 ? ` (exit ${exit})` : '';
  const over = why(error?.message);
  return `${OUTCOMES[outcome] ?? outcome}${exited}${outcome === 'succeeded' ? '' : over}`;
}

/** How an attempt ended, in a word for people. */
export const OUTCOMES: Readonly<Record<string, string>> = {
  succeeded: 'done',
  failed: 'failed',
  canceled: 'stopped',
  timed_out: 'timed out',
  over_budget: 'over budget',
  not_started: 'had not started',
  unknown: 'outcome unknown',
};

function usageText(usage: Readonly<Partial<Record<(typeof USAGE_KEYS)[number], number>>>): string {
  const parts = USAGE_KEYS.flatMap((key) => {
    const value = usage[key];
    return value === undefined || value === 0 ? [] : [`${BUDGET_NAMES[key]} ${amountText(key, value)}`];
  });
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

function records(text: string): Described {
  return { group: 'records', text };
}
function worker(text: string): Described {
  return { group: 'worker', text };
}
function decision(text: string): Described {
  return { group: 'decisions', text };
}
function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}
function tryNo(attempt: number): string {
  return attempt > 1 ? `, try ${attempt}` : '';
}
function by(person: string | undefined): string {
  return person === undefined || person === '' ? '' : ` by ${person}`;
}
function why(reason: string | undefined): string {
  return reason === undefined || reason === '' ? '' : `: ${reason}`;
}
