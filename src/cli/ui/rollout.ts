/** Rollouts for a person. Pure: what is shown, the time and the width come in. */
import type { RolloutView } from '../../doors/agents/wire/rollouts.ts';
import type { Style } from './colour.ts';
import { table } from './table.ts';
import { styled, type Line, type Span } from './text.ts';
import { ago } from './time.ts';

const STYLES: Readonly<Record<string, Style>> = {
  draft: 'dim',
  queued: 'dim',
  leased: 'dim',
  canary_running: 'cyan',
  promoting: 'cyan',
  running: 'cyan',
  awaiting_review: 'yellow',
  paused: 'yellow',
  aborting: 'yellow',
  cancelled: 'yellow',
  completed: 'green',
  succeeded: 'green',
  pass: 'green',
  aborted: 'red',
  failed: 'red',
  refused: 'red',
  timed_out: 'red',
  lost: 'red',
  fail: 'red',
};

/** Its state, its verdict criterion by criterion, and its tasks. */
export function rolloutLines(rollout: RolloutView, nowMs: number, width: number): Line[] {
  const { rollout_id: id, name, state, environment, verdict, tasks = [], last_action: last } = rollout;
  const progress =
    rollout.batches.length === 0 ? [] : [`${rollout.batches_done} of ${rollout.batches.length} batches`];
  const facts = [
    whatOf(rollout),
    environment ?? '',
    `canary of ${rollout.canary_agents.length}`,
    ...progress,
    `created ${ago(Date.parse(rollout.created_at), nowMs)}`,
  ];
  return [
    [styled(name, 'bold'), '  ', word(state), '  ', styled(id, 'dim')],
    [styled(facts.filter((fact) => fact !== '').join(' · '), 'dim')],
    ...(rollout.failure === undefined ? [] : [[rollout.failure]]),
    ...(last === undefined ? [] : [[`last: ${last.reason} (${last.by})`]]),
    ...(verdict === undefined
      ? []
      : [
          [],
          ['verdict: ', word(verdict.verdict)],
          ...table(
            [{ title: 'CRITERION' }, { title: 'LIMIT', min: 8 }, { title: 'ACTUAL', min: 8 }, { title: '' }],
            verdict.criteria.map(({ name: criterion, limit, actual, ok }) => [
              criterion,
              shown(limit),
              shown(actual),
              styled(ok ? 'ok' : 'fails', ok ? 'green' : 'red'),
            ]),
            width,
            '  ',
          ),
        ]),
    ...(tasks.length === 0
      ? []
      : [
          [],
          ...table(
            [{ title: 'AGENT', min: 12 }, { title: 'PHASE' }, { title: 'STATUS' }, { title: 'RUN', min: 8 }],
            tasks.map(({ agent_id, phase = '', status, run_id }) => [agent_id, phase, word(status), run_id]),
            width,
          ),
        ]),
  ];
}

export function rolloutTable(rollouts: readonly RolloutView[], nowMs: number, width: number): Line[] {
  if (rollouts.length === 0) return [['no rollouts']];
  return table(
    [
      { title: 'ROLLOUT' },
      { title: 'NAME', min: 12 },
      { title: 'WHAT', min: 12 },
      { title: 'ENVIRONMENT', min: 8 },
      { title: 'STATE' },
      { title: 'CREATED' },
    ],
    rollouts.map((rollout) => [
      rollout.rollout_id,
      rollout.name,
      whatOf(rollout),
      rollout.environment ?? '',
      word(rollout.state),
      ago(Date.parse(rollout.created_at), nowMs),
    ]),
    width,
  );
}

function whatOf({ skill, command }: RolloutView): string {
  if (skill !== undefined) return `${skill.name}@${skill.version}`;
  return typeof command === 'string' ? command : (command?.join(' ') ?? '');
}

function word(text: string): Span {
  return styled(text, STYLES[text] ?? 'plain');
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000);
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
