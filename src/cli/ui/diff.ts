/** Why two runs differ, for a person and for a program. */
import { amountText, BUDGET_NAMES, duration } from '../../evidence/amounts.ts';
import { OUTCOMES } from '../../evidence/describe.ts';
import {
  byName,
  type AmountDiff,
  type FieldDiff,
  type Pair,
  type RunDiff,
  type Section,
} from '../../evidence/run-diff.ts';
import type { RunStory, StoryStep } from '../../evidence/story.ts';
import type { Json } from '../../model/json.ts';
import type { CliContext } from '../command.ts';
import { paletteFor } from './colour.ts';
import { statusSpan } from './job.ts';
import { paint, styled, type Line } from './text.ts';

/** Fields of one kind that are shown; the rest is counted. */
const FIELDS_MAX = 20;
const VALUE_MAX = 80;
const NOTHING = 'nothing';

const SECTION_WORDS: Readonly<Record<Section, string>> = {
  spec: 'what was asked for',
  limits: 'limits',
  environment: 'environment',
  events: 'what happened',
  steps: 'steps',
  decisions: 'decisions',
  records: 'records',
  artifacts: 'artifacts',
  acceptance: 'acceptance',
  usage: 'usage',
  status: 'status',
};

export function diffLines(ctx: CliContext, diff: RunDiff): string[] {
  const palette = paletteFor(ctx.stdout, ctx.env);
  return linesOf(diff).map((line) => paint(line, Infinity, palette));
}

function linesOf(diff: RunDiff): Line[] {
  const { a, b, differsIn } = diff;
  const verdict: Line =
    differsIn.length === 0
      ? [styled('Same', 'green'), ': both runs were asked for the same and went the same way']
      : [styled('Different', 'yellow'), `: ${differsIn.map((each) => SECTION_WORDS[each]).join(', ')}`];
  const parts: readonly (readonly Line[])[] = [
    [verdict, runLine('a', a), runLine('b', b)],
    section('Asked for', fieldLines(diff.spec)),
    section('Limits', diff.limits.map(amountLine)),
    section('Environment', fieldLines(diff.environment)),
    eventLines(diff),
    section('Steps', stepLines(diff)),
    section(
      'Decisions',
      diff.decisions.map(({ decision, what, a: x, b: y }) => pairLine(`${decision}: ${what}`, x, y)),
    ),
    section('Records', fieldLines(diff.records)),
    artifactLines(diff),
    section('Acceptance', fieldLines(diff.acceptance)),
    section('Used', [
      ...diff.usage.filter(({ key }) => key !== 'wallMs').map(amountLine),
      ...timeLines(diff),
    ]),
  ];
  return parts
    .filter((part) => part.length > 0)
    .flatMap((part, at): readonly Line[] => (at === 0 ? part : [[], ...part]));
}

function runLine(letter: string, { jobId, status, eventCount, steps }: RunStory): Line {
  const done = steps.filter(({ state }) => state === 'succeeded').length;
  return [
    `  ${letter}  `,
    styled(jobId, 'bold'),
    '  ',
    statusSpan(status),
    styled(`  ${eventCount} events, ${done} of ${steps.length} steps done`, 'dim'),
  ];
}

function section(title: string, lines: readonly Line[]): Line[] {
  return lines.length === 0 ? [] : [[styled(title, 'bold')], ...lines];
}

function pairLine(what: string, a: string | undefined, b: string | undefined): Line {
  return [`  ${what}: `, valueText(a), styled(' → ', 'dim'), valueText(b)];
}

function fieldLines(fields: readonly FieldDiff[]): Line[] {
  const shown = fields
    .slice(0, FIELDS_MAX)
    .map(({ field, a, b }) => pairLine(field, jsonText(a), jsonText(b)));
  const more = fields.length - shown.length;
  return more === 0 ? shown : [...shown, [styled(`  … and ${more} more`, 'dim')]];
}

function jsonText(value: Json | undefined): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function valueText(text: string | undefined): string {
  if (text === undefined || text === '') return NOTHING;
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}…` : text;
}

function eventLines({ events, a, b }: RunDiff): Line[] {
  const { first, isReordered } = events;
  if (first === undefined) return [];
  const title = isReordered
    ? `The same events in another order, from evt_${first.seq} on`
    : `They part at evt_${first.seq}`;
  const side = (letter: string, told: { text: string } | undefined, run: RunStory): Line =>
    told === undefined
      ? [`  ${letter}  `, styled(`is over after ${run.eventCount} events`, 'dim')]
      : [`  ${letter}  ${told.text}`];
  return [[styled(title, 'bold')], side('a', first.a, a), side('b', first.b, b)];
}

/** A line for each step that differs; neighbours that differ in the same way share one. */
function stepLines({ a, b, steps }: RunDiff): Line[] {
  const [inA, inB] = [byName(a.steps), byName(b.steps)];
  const groups: { names: string[]; text: readonly [string, string] }[] = [];
  for (const name of new Set(steps.map(({ step }) => step))) {
    const text = [standing(inA.get(name)), standing(inB.get(name))] as const;
    const last = groups.at(-1);
    if (last?.text[0] === text[0] && last.text[1] === text[1]) last.names.push(name);
    else groups.push({ names: [name], text });
  }
  const lines = groups.map(({ names, text }): Line => {
    const more = names.length > 3 ? [`${names[0]} … ${names.at(-1)} (${names.length} steps)`] : names;
    return pairLine(more.join(', '), ...text);
  });
  const shown = lines.slice(0, FIELDS_MAX);
  return shown.length === lines.length
    ? shown
    : [...shown, [styled(`  … and ${lines.length - shown.length} more`, 'dim')]];
}

function standing(step: StoryStep | undefined): string {
  if (step === undefined) return 'no such step';
  const { state, attempts } = step;
  const { outcome, exitCode = 0 } = attempts.at(-1) ?? {};
  const word = state === 'succeeded' || outcome === undefined ? state : (OUTCOMES[outcome] ?? outcome);
  const tries = attempts.length > 1 ? `, ${attempts.length} tries` : '';
  const isOpen = attempts.length === 0 && (state === 'queued' || state === 'waiting');
  return `${isOpen ? 'not started' : word === 'succeeded' ? 'done' : word}${exitCode === 0 ? '' : ` (exit ${exitCode})`}${tries}`;
}

function artifactLines({ artifacts }: RunDiff): Line[] {
  const { added, removed, changed, isContentCompared } = artifacts;
  const list = (word: string, paths: readonly string[]): Line[] => [
    ...paths.slice(0, FIELDS_MAX).map((path): Line => [`  ${path}: ${word}`]),
    ...(paths.length > FIELDS_MAX ? [[styled(`  … and ${paths.length - FIELDS_MAX} more`, 'dim')]] : []),
  ];
  const lines = [
    ...list('only in b', added),
    ...list('only in a', removed),
    ...list('other content', changed),
  ];
  if (lines.length > 0 && !isContentCompared)
    lines.push([styled('  contents were not captured, and are not compared', 'dim')]);
  return section('Artifacts', lines);
}

function amountLine({ key, a, b, percent }: AmountDiff): Line {
  const change = percent === undefined ? '' : ` (${percent > 0 ? '+' : ''}${percent}%)`;
  return [`  ${BUDGET_NAMES[key]}: ${amountText(key, a)} → ${amountText(key, b)}`, styled(change, 'dim')];
}

/** Told, whatever they are: no difference is made of them. */
function timeLines({ times }: RunDiff): Line[] {
  const { running, unattended, waiting } = times;
  const line = (what: string, { a, b }: Pair<number>): Line[] => {
    if (duration(a) === duration(b)) return [];
    const percent = a === 0 ? '' : ` (${b >= a ? '+' : ''}${Math.round((1000 * (b - a)) / a) / 10}%)`;
    return [[styled(`  ${what}: ${duration(a)} → ${duration(b)}${percent}`, 'dim')]];
  };
  return [
    ...line('time running', running),
    ...line('time without a worker', unattended),
    ...line('time waiting', waiting),
  ];
}

export function diffJson(diff: RunDiff): object {
  const { a, b, differsIn, events, artifacts, times } = diff;
  const named = (fields: readonly FieldDiff[]) =>
    fields.map(({ field, a: x, b: y }) => ({ field, ...pair(x, y) }));
  const amounts = (all: readonly AmountDiff[]) =>
    all.map(({ key, percent = null, ...each }) => ({ what: KEYS[key], ...each, percent }));
  return {
    a: runJson(a),
    b: runJson(b),
    same: differsIn.length === 0,
    differs_in: differsIn,
    spec: named(diff.spec),
    limits: amounts(diff.limits),
    environment: named(diff.environment),
    events: {
      same: events.isSame,
      same_in_other_order: events.isReordered,
      first:
        events.first === undefined
          ? null
          : { event_id: `evt_${events.first.seq}`, ...pair(events.first.a, events.first.b) },
    },
    steps: diff.steps.map(({ step, what, a: x, b: y }) => ({ step, what, ...pair(x, y) })),
    decisions: diff.decisions.map(({ decision, what, a: x, b: y }) => ({ decision, what, ...pair(x, y) })),
    records: named(diff.records),
    artifacts: {
      added: artifacts.added,
      removed: artifacts.removed,
      changed: artifacts.changed,
      content_compared: artifacts.isContentCompared,
    },
    acceptance: named(diff.acceptance),
    usage: amounts(diff.usage),
    times_ms: times,
    status: diff.status,
  };
}

const KEYS = {
  wallMs: 'wall_time_ms',
  steps: 'steps',
  retries: 'retries',
  toolCalls: 'tool_calls',
  tokens: 'tokens',
  costMicros: 'cost_micros',
} as const;

function runJson({ jobId, manifestSha256, verified, status, eventCount }: RunStory): object {
  return {
    job_id: jobId,
    manifest_sha256: manifestSha256,
    verified: verified !== undefined,
    status,
    events: eventCount,
  };
}

function pair(a: unknown, b: unknown): { a: unknown; b: unknown } {
  return { a: a ?? null, b: b ?? null };
}
