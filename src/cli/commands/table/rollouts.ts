/** Rollouts of skills over polling agents (contract agents §7). */
import { controlFlags } from './control-plane.ts';
import type { ArgumentSpec, CommandHandler, CommandSpec, FlagSpec } from '../../command.ts';

const rollout: ArgumentSpec = { name: 'rollout', required: true, help: 'Rollout id' };
const waiting: Readonly<Record<string, FlagSpec>> = {
  timeout: { kind: 'count', value: 'seconds', help: 'Longest wait (default 3600); then exit 3' },
};
const wait: FlagSpec = { kind: 'switch', help: 'Wait as `rollout wait` does' };
const acting: Readonly<Record<string, FlagSpec>> = {
  reason: { kind: 'text', help: 'Why; it is audited' },
  'expected-state': { kind: 'text', value: 'state', help: 'Refuse in any other state' },
  ...controlFlags,
};

const load =
  (name: 'promote' | 'abort' | 'pause' | 'resume' | 'begin') => async (): Promise<CommandHandler> =>
    (await import('../rollout-act.ts')).rolloutAct(name);

export const ROLLOUT_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['rollout', 'start'],
    summary: 'Roll a skill out, a few agents first',
    intent:
      'creates a rollout and lets its canary begin; with --wait the canary decides how the command ends',
    args: [{ name: 'name', required: false, help: 'Its name (default: that of the skill)' }],
    usageError: 'E_USAGE',
    flags: {
      skill: { kind: 'text', value: 'name@version', help: 'Verified skill that the agents are to run' },
      arg: {
        kind: 'text',
        repeated: true,
        value: 'name=text',
        help: 'Argument of the skill; name:=json for what is no text',
      },
      label: {
        kind: 'text',
        repeated: true,
        value: 'name=text',
        help: 'Only agents with all of these labels',
      },
      agent: { kind: 'text', repeated: true, value: 'id', help: 'Only these agents' },
      environment: {
        kind: 'text',
        help: 'Where (default staging); one unfinished rollout of a skill in each',
      },
      'canary-percent': {
        kind: 'amount',
        value: 'n',
        help: 'Share of the agents that come first (default 10)',
      },
      'canary-count': { kind: 'count', value: 'n', help: 'How many agents come first' },
      'canary-label': {
        kind: 'text',
        repeated: true,
        value: 'name=text',
        help: 'Canary agents have these labels',
      },
      'batch-size': {
        kind: 'text',
        value: 'n|n%',
        help: 'Agents of a batch after the promotion (default 25%)',
      },
      'min-success-rate': { kind: 'amount', value: '0..1', help: 'Criterion (default 1)' },
      'max-failures': { kind: 'count', help: 'Criterion (default 0)' },
      'bake-seconds': { kind: 'count', help: 'Wait so long before the verdict' },
      'deadline-seconds': { kind: 'count', help: 'Tasks that take longer fail it (default 3600)' },
      'health-url': { kind: 'text', value: 'url', help: 'Must answer 200 when the verdict is made' },
      spec: { kind: 'text', value: 'file', help: 'All of it as JSON or YAML; flags come on top' },
      'no-auto-abort': { kind: 'switch', help: 'A failing canary waits for a person' },
      'auto-promote': { kind: 'switch', help: 'A passing canary is promoted by itself' },
      draft: { kind: 'switch', help: 'Only put it on record; `rollout begin` lets it start' },
      wait,
      ...waiting,
      ...controlFlags,
    },
    examples: [
      'rollout start --skill backup_integrity@1.0.0 --label site=fra --environment production --wait',
      'rollout start --spec rollout.yaml --wait --timeout 900',
    ],
    load: async () => (await import('../rollout-start.ts')).rolloutStart,
  },
  {
    path: ['rollout', 'wait'],
    summary: 'Wait until a rollout needs a person, or is over',
    intent:
      'waits for the review or the end: exit 0 for a passing review and for completed, 1 for a failing verdict, failed and aborted, 3 when the time is up',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: { 'until-end': { kind: 'switch', help: 'A review does not end it' }, ...waiting, ...controlFlags },
    examples: ['rollout wait 6f1c… --timeout 600', 'rollout wait 6f1c… --until-end'],
    load: async () => (await import('../rollout-wait.ts')).rolloutWait,
  },
  {
    path: ['rollout', 'promote'],
    summary: 'Let a reviewed rollout reach all other agents',
    intent: 'approves the decision of a rollout, which then runs the agents that are left, batch by batch',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: {
      override: { kind: 'switch', help: 'Although its verdict is fail' },
      wait: { kind: 'switch', help: 'Wait for the end' },
      ...waiting,
      ...acting,
    },
    examples: ['rollout promote 6f1c… --reason "reports read" --wait'],
    load: load('promote'),
  },
  {
    path: ['rollout', 'abort'],
    summary: 'Stop a rollout',
    intent: 'cancels queued tasks of a rollout, asks running ones to stop, and hands out no more',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: acting,
    examples: ['rollout abort 6f1c… --reason "wrong version"'],
    load: load('abort'),
  },
  {
    path: ['rollout', 'pause'],
    summary: 'Hand out nothing more for now',
    intent: 'keeps queued tasks of a rollout from agents until it is resumed; what runs goes on',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: acting,
    examples: ['rollout pause 6f1c… --reason "change freeze"'],
    load: load('pause'),
  },
  {
    path: ['rollout', 'resume'],
    summary: 'Go on with a paused rollout',
    intent: 'lets a paused rollout go on where it was',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: acting,
    examples: ['rollout resume 6f1c… --reason "freeze is over"'],
    load: load('resume'),
  },
  {
    path: ['rollout', 'begin'],
    summary: 'Let the canary of a draft begin',
    intent: 'starts a rollout that was created with --draft',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: acting,
    examples: ['rollout begin 6f1c… --reason "window is open"'],
    load: load('begin'),
  },
  {
    path: ['rollout', 'status'],
    summary: 'Show a rollout',
    intent: 'shows the state of a rollout, its verdict criterion by criterion, and its tasks',
    args: [rollout],
    usageError: 'E_USAGE',
    flags: controlFlags,
    examples: ['rollout status 6f1c…', 'rollout status 6f1c… --json'],
    load: async () => (await import('../rollout-show.ts')).rolloutStatus,
  },
  {
    path: ['rollout', 'list'],
    summary: 'List rollouts',
    intent: 'lists rollouts, newest first',
    args: [],
    usageError: 'E_USAGE',
    flags: {
      state: { kind: 'text', help: 'Only in this state' },
      environment: { kind: 'text', help: 'Only in this environment' },
      limit: { kind: 'count', help: 'How many, at most 500 (default 50)' },
      ...controlFlags,
    },
    examples: ['rollout list', 'rollout list --state awaiting_review'],
    load: async () => (await import('../rollout-show.ts')).rolloutList,
  },
];
