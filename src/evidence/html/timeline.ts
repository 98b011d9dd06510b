/** The timeline: a row for the job, one for its worker, one for each step. Bars are SVG; words are text. */
import { duration } from '../amounts.ts';
import { OUTCOMES } from '../describe.ts';
import type { Pace, RunStory, StoryAttempt, StoryStep } from '../story.ts';
import { cut, html, NONE, type Markup } from './markup.ts';
import { n, TimeScale } from './scale.ts';

const ROWS_MAX = 60;
const ROWS_FIRST = 20;
const ROWS_LAST = 10;
const MARKS_MAX = 20;
const ATTEMPTS_MAX = 50;
const HEIGHT = 20;
const TICKS = [0, 25, 50, 75, 100];

const PACES: Readonly<Record<Pace, string>> = {
  running: 'running',
  unattended: 'no worker',
  waiting: 'waiting',
};

export function timeline(story: RunStory): Markup {
  const scale = new TimeScale(story.spans, story.startedAtMs);
  const lost = story.leases.filter(({ end }) => end === 'lost');
  const crashes = lost.slice(0, MARKS_MAX).map(({ toMs }) => scale.x(toMs ?? story.endedAtMs));
  const row = rowOf(crashes);
  return html`<table class="gantt">
<caption class="quiet">Time runs from left to right${
    scale.hasShortened ? '; long waits are drawn short, with a zigzag' : ''
  }.</caption>
<thead><tr><th scope="col">What</th><th scope="col">When</th><th scope="col">Result</th></tr></thead>
<tbody>
${jobRow(story, scale, row)}${workerRow(story, scale, row)}${stepRows(story, scale, row)}
<tr class="axis"><td></td><td>${axis(scale)}</td><td></td></tr>
</tbody></table>
${legend(story)}`;
}

type Row = (name: Markup, label: string, bars: readonly Markup[], result: Markup, kind: string) => Markup;

function rowOf(crashes: readonly number[]): Row {
  return (name, label, bars, result, kind) => html`<tr class="${kind}"><th scope="row">${name}</th>
<td><svg class="track" width="100%" height="${HEIGHT}" role="img" aria-label="${label}"><line class="rail" x1="0" x2="100%" y1="10" y2="10"/>${crashes.map(
    (x) => html`<line class="crash" x1="${n(x)}%" x2="${n(x)}%" y1="0" y2="${HEIGHT}"/>`,
  )}${bars}</svg></td>
<td>${result}</td></tr>
`;
}

function jobRow(story: RunStory, scale: TimeScale, row: Row): Markup {
  const bars = scale.segments
    .filter(({ fromX, toX }) => toX - fromX >= 0.05)
    .map(({ span, fromX, toX, isShortened }) => {
      const { pace, status, fromMs, toMs } = span;
      const told = `${PACES[pace]} (${status}) for ${duration(toMs - fromMs)}`;
      const zigzag = isShortened
        ? html`<svg x="${n((fromX + toX) / 2)}%" class="free"><path class="zigzag" d="M-5 0l4 7-4 6 4 7M1 0l4 7-4 6 4 7"/></svg>`
        : NONE;
      return html`<rect class="p-${pace}" x="${n(fromX)}%" y="3" width="${n(toX - fromX)}%" height="14"><title>${told}</title></rect>${zigzag}`;
    });
  const spent = timesOf(story);
  const label = `running ${duration(spent.running)}, waiting ${duration(spent.waiting)}, without a worker ${duration(spent.unattended)}`;
  return row(
    html`<b>Job</b>`,
    label,
    bars,
    html`${duration((story.spans.at(-1)?.toMs ?? story.endedAtMs) - story.startedAtMs)} in all`,
    'job',
  );
}

export function timesOf({ spans }: RunStory): Readonly<Record<Pace, number>> {
  const spent = { running: 0, unattended: 0, waiting: 0 };
  for (const { pace, fromMs, toMs } of spans) spent[pace] += toMs - fromMs;
  return spent;
}

function workerRow({ leases, endedAtMs, startedAtMs }: RunStory, scale: TimeScale, row: Row): Markup {
  if (leases.length === 0) return NONE;
  const bars = leases.slice(0, 200).map(({ worker, fromMs, toMs = endedAtMs, end }) => {
    const [x, width] = [scale.x(fromMs), scale.x(toMs) - scale.x(fromMs)];
    const cross = html`<svg x="${n(x + width)}%" y="10" class="free"><path class="cross" d="M-4-4L4 4M4-4L-4 4"/></svg>`;
    const told = `${worker}, ${end ?? 'still at it'}, from +${duration(fromMs - startedAtMs)} for ${duration(toMs - fromMs)}`;
    return html`<rect class="lease" x="${n(x)}%" y="6" width="${widthOf(width)}" height="8" rx="2"><title>${told}</title></rect>${end === 'lost' ? cross : NONE}`;
  });
  const lost = leases.filter(({ end }) => end === 'lost').length;
  const held = `${leases.length} ${leases.length === 1 ? 'lease' : 'leases'}`;
  const result = lost === 0 ? html`${held}` : html`${held}, <strong class="bad">${lost} lost ✕</strong>`;
  return row(html`Worker`, `${held}, ${lost} lost`, bars, result, 'worker');
}

function stepRows(story: RunStory, scale: TimeScale, row: Row): Markup {
  const { steps } = story;
  const parts: Markup[] = [];
  let hidden: StoryStep[] = [];
  const fold = (): void => {
    if (hidden.length > 0) parts.push(foldedRow(hidden, story, scale, row));
    hidden = [];
  };
  const shown = shownSteps(steps);
  for (const step of steps) {
    if (!shown.has(step)) {
      hidden.push(step);
      continue;
    }
    fold();
    parts.push(stepRow(step, story, scale, row));
  }
  fold();
  return html`${parts}`;
}

/** All, or the first, the last, and those with a story of their own. */
function shownSteps(steps: readonly StoryStep[]): ReadonlySet<StoryStep> {
  if (steps.length <= ROWS_MAX) return new Set(steps);
  const shown = new Set([...steps.slice(0, ROWS_FIRST), ...steps.slice(-ROWS_LAST)]);
  for (const step of steps) {
    if (shown.size >= ROWS_MAX) break;
    if (step.attempts.length > 1 || (step.state !== 'succeeded' && step.attempts.length > 0)) shown.add(step);
  }
  return shown;
}

function stepRow(step: StoryStep, story: RunStory, scale: TimeScale, row: Row): Markup {
  const { name, attempts, depth } = step;
  const bars = attempts.slice(-ATTEMPTS_MAX).map((attempt) => attemptBar(attempt, story, scale));
  const last = attempts.at(-1);
  const word = resultWord(step);
  const tookMs = last?.endedAtMs === undefined ? undefined : last.endedAtMs - last.startedAtMs;
  const facts = [
    attempts.length > 1 ? `${attempts.length} tries` : '',
    tookMs === undefined ? '' : duration(tookMs),
    last?.exitCode === undefined || last.exitCode === 0 ? '' : `exit ${last.exitCode}`,
  ].filter((fact) => fact !== '');
  const error = last?.error === undefined ? NONE : html`<span class="error">${cut(last.error, 300)}</span>`;
  const kind = kindOf(last?.outcome, step.state);
  const result = html`<span class="r-${kind}">${MARKS[kind]} ${word}</span>${facts.length > 0 ? ` · ${facts.join(' · ')}` : ''}${error}`;
  const label = `${name}: ${[word, ...facts].join(', ')}`;
  return row(
    html`<span class="d${Math.min(depth, 4)}">${cut(name, 120)}</span>`,
    label,
    bars,
    result,
    'step',
  );
}

type Kind = 'ok' | 'bad' | 'stop' | 'open';
const MARKS: Readonly<Record<Kind, string>> = { ok: '✓', bad: '✕', stop: '■', open: '○' };

function kindOf(outcome: string | undefined, state: string): Kind {
  if (state === 'succeeded') return 'ok';
  if (outcome === 'failed' || outcome === 'timed_out' || outcome === 'unknown' || state === 'failed')
    return 'bad';
  if (outcome === 'over_budget' || outcome === 'canceled' || state === 'canceled') return 'stop';
  return 'open';
}

function resultWord({ state, attempts }: StoryStep): string {
  if (state === 'succeeded') return 'done';
  const outcome = attempts.at(-1)?.outcome;
  if (outcome !== undefined && outcome !== 'succeeded') return OUTCOMES[outcome] ?? outcome;
  if (attempts.length > 0 && outcome === undefined && state !== 'canceled') return 'running';
  return state === 'queued' || state === 'waiting' ? 'not started' : state;
}

function attemptBar(attempt: StoryAttempt, { endedAtMs, startedAtMs }: RunStory, scale: TimeScale): Markup {
  const { startedAtMs: fromMs, endedAtMs: toMs = endedAtMs, outcome, number } = attempt;
  const [x, width] = [scale.x(fromMs), scale.x(toMs) - scale.x(fromMs)];
  const kind = kindOf(outcome, outcome === 'succeeded' ? 'succeeded' : '');
  const word = outcome === undefined ? 'not ended' : (OUTCOMES[outcome] ?? outcome);
  const told = `try ${number}: ${word}, from +${duration(fromMs - startedAtMs)} for ${duration(toMs - fromMs)}`;
  return html`<rect class="b-${kind}" x="${leftOf(x)}" y="4" width="${widthOf(width)}" height="12" rx="2"><title>${told}</title></rect>`;
}

/** Where a bar begins that is at least wide enough to be seen. */
function leftOf(percent: number): string {
  return `${n(Math.min(percent, 99.3))}%`;
}

/** At least wide enough to be seen. */
function widthOf(percent: number): string {
  return percent < 0.5 ? '4' : `${n(percent)}%`;
}

function foldedRow(steps: readonly StoryStep[], story: RunStory, scale: TimeScale, row: Row): Markup {
  let [fromMs, toMs] = [Infinity, -Infinity];
  const words = new Map<string, number>();
  for (const step of steps) {
    const word = resultWord(step);
    words.set(word, (words.get(word) ?? 0) + 1);
    for (const attempt of step.attempts) {
      fromMs = Math.min(fromMs, attempt.startedAtMs);
      toMs = Math.max(toMs, attempt.endedAtMs ?? story.endedAtMs);
    }
  }
  const told = [...words].map(([word, count]) => `${count} ${word}`).join(', ');
  const bar =
    toMs < fromMs
      ? []
      : [
          html`<rect class="b-many" x="${n(scale.x(fromMs))}%" y="6" width="${widthOf(scale.x(toMs) - scale.x(fromMs))}" height="8" rx="2"/>`,
        ];
  return row(
    html`<i>${steps.length} more steps</i>`,
    `${steps.length} steps: ${told}`,
    bar,
    html`${told}`,
    'many',
  );
}

function axis(scale: TimeScale): Markup {
  const labels = TICKS.map((x) => {
    const anchor = x === 0 ? 'start' : x === 100 ? 'end' : 'middle';
    const wide = x === 25 || x === 75 ? 'wide' : '';
    return html`<text class="${wide}" x="${x}%" y="13" text-anchor="${anchor}">+${duration(scale.elapsedAt(x))}</text>`;
  });
  return html`<svg class="track" width="100%" height="18" aria-hidden="true">${labels}</svg>`;
}

function legend({ spans, leases, steps }: RunStory): Markup {
  const key = (shape: Markup, text: string): Markup =>
    html`<li><svg width="22" height="14" aria-hidden="true">${shape}</svg> ${text}</li>`;
  const bar = (kind: string): Markup => html`<rect class="${kind}" y="1" width="22" height="12" rx="2"/>`;
  const outcomes = new Set(
    steps.flatMap(({ attempts }) =>
      attempts.map(({ outcome }) => kindOf(outcome, outcome === 'succeeded' ? 'succeeded' : '')),
    ),
  );
  const paces = new Set(spans.map(({ pace }) => pace));
  return html`<ul class="legend" aria-label="Legend">${[
    outcomes.has('ok') ? key(bar('b-ok'), 'done') : NONE,
    outcomes.has('bad') ? key(bar('b-bad'), 'failed, timed out or unknown') : NONE,
    outcomes.has('stop') ? key(bar('b-stop'), 'stopped') : NONE,
    outcomes.has('open') ? key(bar('b-open'), 'not ended') : NONE,
    paces.has('waiting') ? key(bar('p-waiting'), 'waiting') : NONE,
    paces.has('unattended') ? key(bar('p-unattended'), 'without a worker') : NONE,
    leases.some(({ end }) => end === 'lost')
      ? key(
          html`<svg x="11" y="7" class="free"><path class="cross" d="M-4-4L4 4M4-4L-4 4"/></svg>`,
          'worker lost',
        )
      : NONE,
  ]}</ul>`;
}
