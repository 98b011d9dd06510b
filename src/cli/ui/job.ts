/** A job as lines for a person. Pure: the view, the time and the width come in. */
import type { Status } from '../../doors/jobs/map.ts';
import type { BudgetView, CheckpointView, JobView, StepView } from '../../doors/jobs/view.ts';
import { AGENTS_QUEUE } from '../../doors/progress.ts';
import { bar, BUDGET_NAMES, budgetStyle, budgetText } from './bar.ts';
import type { Style } from './colour.ts';
import { approveCommand, hintOf, nextCommands, type Call } from './next.ts';
import { table, type Column } from './table.ts';
import { plainText, styled, textWidth, wrapText, type Line, type Span } from './text.ts';
import { ago, duration } from './time.ts';

export interface Look {
  readonly call: Call;
  readonly nowMs: number;
  /** Infinity where lines are not to be cut. */
  readonly width: number;
  /** The process that holds the lease is not there any more. */
  readonly workerGone?: boolean;
  /** A moment of a story: nothing can be done about it any more, and leases are not told apart from their renewals. */
  readonly isPast?: boolean;
  /** Stands for a running step in a view that moves. */
  readonly spinner?: string;
}

const STEPS_MAX = 40;
const CHECKPOINTS_MAX = 5;
/** Done steps shown before the first that is not. */
const STEPS_BEFORE = 5;
const STATUS_STYLES: Readonly<Record<Status, Style>> = {
  queued: 'dim',
  running: 'cyan',
  paused: 'yellow',
  blocked_decision: 'yellow',
  blocked_budget: 'yellow',
  blocked_error: 'red',
  completed: 'green',
  canceled: 'dim',
};
const STEP_COLUMNS: readonly Column[] = [
  { title: '#', align: 'right' },
  { title: 'STEP', min: 8 },
  { title: 'STATE' },
  { title: 'TRIES', align: 'right' },
  { title: 'TIME', align: 'right' },
  { title: 'EXIT', align: 'right' },
];

export function statusSpan(status: Status): Span {
  return styled(status, STATUS_STYLES[status]);
}

/** All there is to say, for `status` and for the end of `watch`. */
export function jobLines(view: JobView, look: Look): Line[] {
  return sections([
    headerLines(view, look),
    stepLines(view, look, STEPS_MAX),
    decisionLines(view, look),
    budgetLines(view, look),
    checkpointLines(view, look, CHECKPOINTS_MAX),
    reasonLines(view, look),
    look.isPast === true ? [] : nextLines(view, look),
  ]);
}

/** What fits into a window that is redrawn: steps first, then budget, decisions and checkpoints as long as there is room. */
export function liveLines(view: JobView, look: Look, rows: number): Line[] {
  const header = headerLines(view, look);
  const isHigh = rows >= header.length + 8;
  let room = rows - header.length - (isHigh ? 1 : 0);
  const wanted = Math.min(view.steps.length, 10) + 1;
  const more: Line[][] = [];
  for (const section of [
    budgetLines(view, look),
    decisionLines(view, look),
    checkpointLines(view, look, 3),
  ]) {
    if (section.length === 0 || room - section.length - 1 < wanted) continue;
    room -= section.length + 1;
    more.push(section);
  }
  const steps = stepLines(view, look, Math.max(1, room - 1));
  return (isHigh ? sections([header, steps, ...more]) : [...header, ...steps]).slice(0, Math.max(0, rows));
}

function headerLines(view: JobView, { nowMs, workerGone = false, isPast = false }: Look): Line[] {
  const { jobId, name, status, runningMs, steps, updatedAtMs, worker, queue } = view;
  const done = steps.filter(({ state }) => state === 'succeeded').length;
  const facts = [
    `${done} of ${steps.length} steps done`,
    `running time ${duration(runningMs)}`,
    `updated ${ago(updatedAtMs, nowMs)}`,
    ...(queue === AGENTS_QUEUE ? ['a task of the control plane'] : []),
  ];
  const title: Line = [
    styled(jobId, 'bold'),
    '  ',
    statusSpan(status),
    ...(name === jobId ? [] : ['  ', name]),
  ];
  const lines: Line[] = [title, [styled(facts.join(' · '), 'dim')]];
  if (worker === undefined) return lines;
  if (isPast) return [...lines, [styled(`worker ${worker.name}`, 'dim')]];
  const leftMs = worker.untilMs - nowMs;
  const lease =
    leftMs > 0 ? `lease ends in ${duration(leftMs)}` : `lease ended ${ago(worker.untilMs, nowMs)}`;
  const gone: Span[] = workerGone ? [styled(' · its process is gone', 'yellow')] : [];
  return [...lines, [styled(`worker ${worker.name} · ${lease}`, 'dim'), ...gone]];
}

/** At most `linesMax` lines of steps below the column titles: those before and after a window are counted. */
function stepLines({ steps }: JobView, look: Look, linesMax: number): Line[] {
  if (steps.length === 0) return [];
  const { start, end } = stepWindow(steps, linesMax);
  const digits = String(steps.length).length;
  const shown = table(
    STEP_COLUMNS,
    steps.slice(start, end).map((step) => stepRow(step, look, digits)),
    look.width,
    '  ',
  );
  return [
    ...shown.slice(0, 1),
    ...folded(steps.slice(0, start), 1),
    ...shown.slice(1),
    ...folded(steps.slice(end), end + 1),
  ];
}

/** The steps to show: from a little before the first that is not done. Each fold takes a line of its own. */
function stepWindow(steps: readonly StepView[], linesMax: number): { start: number; end: number } {
  if (steps.length <= linesMax) return { start: 0, end: steps.length };
  const open = steps.findIndex(({ state, awaitsApproval }) => state !== 'succeeded' || awaitsApproval);
  const room = Math.max(1, linesMax - 2);
  const focus = open < 0 ? steps.length : open;
  const start = Math.max(
    0,
    Math.min(focus - Math.min(STEPS_BEFORE, Math.floor(room / 3)), steps.length - room),
  );
  return { start, end: Math.min(steps.length, start + room) };
}

function folded(steps: readonly StepView[], from: number): Line[] {
  if (steps.length === 0) return [];
  const counts = new Map<string, number>();
  for (const step of steps) {
    const { text } = stepState(step);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const told = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
  return [[styled(`  … ${from}–${from + steps.length - 1}: ${told}`, 'dim')]];
}

function stepRow(step: StepView, { nowMs, spinner }: Look, digits: number): Span[] {
  const { index, name, attempts, exitCode } = step;
  const { text, style } = stepState(step);
  const isRunning = text === 'running';
  return [
    styled(String(index + 1).padStart(digits), 'dim'),
    isRunning ? styled(name, 'bold') : name,
    styled(isRunning && spinner !== undefined ? `${spinner} running` : text, style),
    attempts === 0 ? '' : String(attempts),
    stepTime(step, nowMs) ?? '',
    exitCode === undefined || isRunning ? '' : styled(String(exitCode), exitCode === 0 ? 'plain' : 'red'),
  ];
}

/** The state in a word. A step that stands in line again after an attempt shows how that ended. */
export function stepState({ state, awaitsApproval, lastOutcome }: StepView): {
  readonly text: string;
  readonly style: Style;
} {
  if (awaitsApproval) return { text: 'awaits approval', style: 'yellow' };
  switch (state) {
    case 'succeeded':
      return { text: 'done', style: 'green' };
    case 'running':
    case 'assigned':
      return { text: 'running', style: 'cyan' };
    case 'failed':
      return { text: 'failed', style: 'red' };
    case 'canceled':
      return { text: 'canceled', style: 'dim' };
    case 'queued':
    case 'waiting':
      break;
    default:
      return state satisfies never;
  }
  switch (lastOutcome) {
    case undefined:
    case 'succeeded':
    case 'accepted':
    case 'not_started':
      return { text: state, style: 'dim' };
    case 'failed':
      return { text: 'failed', style: 'red' };
    case 'timed_out':
      return { text: 'timed out', style: 'red' };
    case 'over_budget':
      return { text: 'over budget', style: 'yellow' };
    case 'unknown':
      return { text: 'outcome unknown', style: 'red' };
    case 'canceled':
      return { text: 'stopped', style: 'yellow' };
    default:
      return lastOutcome satisfies never;
  }
}

/** How long the last attempt took, or takes. Undefined: it has not begun, or nobody saw its end. */
export function stepTime(step: StepView, nowMs: number): string | undefined {
  const { startedAtMs, endedAtMs } = step;
  if (startedAtMs === undefined) return undefined;
  if (endedAtMs !== undefined) return duration(endedAtMs - startedAtMs);
  return stepState(step).text === 'running' ? duration(nowMs - startedAtMs) : undefined;
}

function decisionLines(view: JobView, { call, width, isPast = false }: Look): Line[] {
  const { openDecisions, checkpoints } = view;
  if (openDecisions.length === 0) return [];
  const asked = new Map(checkpoints.map(({ id, summary }) => [id, summary]));
  return [
    [styled('Waits for approval', 'bold')],
    ...openDecisions.flatMap((id): Line[] => [
      ...textLines(`${id}  ${asked.get(id) ?? ''}`, 'yellow', width, '  '),
      ...(isPast ? [] : [['    ', styled(approveCommand(call, view, id), 'command')]]),
    ]),
  ];
}

/** A bar for every limit; without one, only what a model has used. */
function budgetLines({ budget }: JobView, { width: lineWidth }: Look): Line[] {
  const shown = budget.filter(
    ({ limit, used, key }) => limit !== undefined || (used > 0 && (key === 'tokens' || key === 'costMicros')),
  );
  if (shown.length === 0) return [];
  const width = Math.max(...shown.map(({ key }) => BUDGET_NAMES[key].length));
  return [[styled('Budget', 'bold')], ...shown.map((each) => budgetLine(each, width, lineWidth))];
}

export function budgetLine(budget: BudgetView, nameWidth: number, width: number): Line {
  const { key, used, limit } = budget;
  const name = `  ${BUDGET_NAMES[key].padEnd(nameWidth)}  `;
  if (limit === undefined) return [name, budgetText(budget)];
  return [name, ...bar(used, limit, width < 56 ? 8 : 20, budgetStyle(budget)), `  ${budgetText(budget)}`];
}

function checkpointLines({ checkpoints }: JobView, { nowMs }: Look, linesMax: number): Line[] {
  if (checkpoints.length === 0) return [];
  const last = checkpoints.slice(-linesMax);
  const fit = (of: (checkpoint: CheckpointView) => string): number =>
    Math.max(...last.map((each) => of(each).length));
  const ages = new Map(last.map((each) => [each.id, ago(each.atMs, nowMs)]));
  const [ids, types, times] = [
    fit(({ id }) => id),
    fit(({ type }) => type),
    fit(({ id }) => ages.get(id) ?? ''),
  ];
  const count =
    checkpoints.length > last.length ? styled(`  last ${last.length} of ${checkpoints.length}`, 'dim') : '';
  return [
    [styled('Checkpoints', 'bold'), count],
    ...last.map(
      ({ id, type, summary, approvedBy, isSigned = false }): Line => [
        `  ${id.padEnd(ids)}  ${type.padEnd(types)}  `,
        styled((ages.get(id) ?? '').padEnd(times), 'dim'),
        '  ',
        ...(approvedBy === undefined
          ? []
          : [styled(`approved by ${approvedBy}${isSigned ? ' (signed)' : ''}  `, 'green')]),
        summary,
      ],
    ),
  ];
}

/** Why it does not go on, and what the error table says to do about that. */
function reasonLines({ status, reasonCodes, summary }: JobView, { width }: Look): Line[] {
  if (status !== 'blocked_error' && status !== 'blocked_budget') return [];
  const hint = hintOf(reasonCodes);
  const codes: Span[] =
    reasonCodes.length === 0 ? [] : ['  ', styled(reasonCodes.join(', '), STATUS_STYLES[status])];
  return [
    [styled('Blocked', 'bold'), ...codes],
    ...textLines(summary, 'plain', width, '  '),
    ...(hint === undefined ? [] : textLines(hint, 'dim', width, '  ')),
  ];
}

function nextLines(view: JobView, { call, nowMs, width, workerGone = false }: Look): Line[] {
  const commands = nextCommands(view, call, nowMs, workerGone);
  if (commands.length === 0) return [];
  const longest = Math.max(...commands.map(({ text }) => textWidth(plainText(text))));
  return [
    [styled('Next', 'bold')],
    ...commands.map(({ text, note }): Line => {
      const blank = ' '.repeat(longest - textWidth(plainText(text)));
      const isNoted = 2 + longest + 4 + note.length <= width;
      return ['  ', styled(text, 'command'), ...(isNoted ? [blank, styled(`  # ${note}`, 'dim')] : [])];
    }),
  ];
}

function textLines(text: string, style: Style, width: number, indent: string): Line[] {
  return wrapText(plainText(text), Math.max(20, width - indent.length), 6).map((each) => [
    indent,
    styled(each, style),
  ]);
}

function sections(parts: readonly (readonly Line[])[]): Line[] {
  return parts.filter((part) => part.length > 0).flatMap((part, at) => (at === 0 ? part : [[], ...part]));
}
