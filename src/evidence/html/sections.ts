/** The parts of the page below its head, each undefined when the run has nothing to say there. */
import { duration } from '../amounts.ts';
import { ACCEPT_FACT, type RunStory, type StoryCheckpoint, type StoryEvent } from '../story.ts';
import { timeText } from '../time.ts';
import { cut, html, NONE, type Markup } from './markup.ts';

/** What is shown of each list; the rest is counted. */
const CHECKPOINTS_MAX = 60;
const CHECKPOINTS_CAP = 200;
const ARTIFACTS_MAX = 500;
const FACTS_MAX = 100;
const TEXT_MAX = 2000;

function when(atMs: number, startedAtMs: number): Markup {
  const time = timeText(atMs);
  return html`<time datetime="${time}" title="${time}">+${duration(atMs - startedAtMs)}</time>`;
}

export function checkpoints(story: RunStory): Markup | undefined {
  const { checkpoints: all } = story;
  if (all.length === 0) return undefined;
  const isImportant = ({ type }: StoryCheckpoint): boolean =>
    type === 'decision-needed' || type === 'blocked';
  const half = CHECKPOINTS_MAX / 2;
  const shown = all.filter(
    (each, at) => all.length <= CHECKPOINTS_MAX || at < half || at >= all.length - half || isImportant(each),
  );
  const kept = shown.slice(0, CHECKPOINTS_CAP);
  const left = all.length - kept.length;
  return html`<ol class="checkpoints">${kept.map((each) => checkpoint(each, story.startedAtMs))}</ol>${
    left === 0 ? NONE : html`<p class="quiet">${left} more are in the pack and not on this page.</p>`
  }`;
}

function checkpoint(each: StoryCheckpoint, startedAtMs: number): Markup {
  const { seq, type, summary, atMs, step, approvals, requiredAction, reasonCodes, binds } = each;
  const isDecision = type === 'decision-needed';
  const facts = [step === undefined ? '' : `step ${step}`, ...reasonCodes].filter((fact) => fact !== '');
  const asked =
    requiredAction?.instructions === undefined || requiredAction.instructions === ''
      ? NONE
      : html`<p class="quiet">Asked for: ${cut(requiredAction.instructions, TEXT_MAX)}</p>`;
  const open = html`<p class="answer open"><b>◇ Not approved</b></p>`;
  const bound =
    binds === undefined ? NONE : html`<p class="quiet">An approval binds <code>sha256:${binds}</code></p>`;
  return html`<li class="c-${typeClass(type)}"><p class="meta"><span class="type">${type}</span> <code>cp_${seq}</code> ${when(atMs, startedAtMs)}${facts.map((fact) => html` <span>${cut(fact, 200)}</span>`)}</p>
<p>${cut(summary, TEXT_MAX)}</p>${isDecision ? asked : NONE}${approvals.map(
    ({ by, reason, atMs: at }) =>
      html`<p class="answer"><b>✓ Approved by ${cut(by, 200)}</b> ${when(at, startedAtMs)}<q>${cut(reason, TEXT_MAX)}</q></p>`,
  )}${isDecision && approvals.length === 0 ? open : NONE}${isDecision ? bound : NONE}</li>
`;
}

function typeClass(type: string): string {
  return type === 'decision-needed' ? 'decision' : type === 'blocked' ? 'blocked' : 'plain';
}

export function artifacts({ artifacts: all, captureMode }: RunStory): Markup | undefined {
  if (all.length === 0) return undefined;
  const isRaw = captureMode === 'raw';
  const note = isRaw
    ? 'The pack holds these files; each hash is that of its content.'
    : 'Paths that steps claim. Contents were not captured: each hash is that of the name, and says nothing about content.';
  const rows = all
    .slice(0, ARTIFACTS_MAX)
    .map(
      ({ path, sha256, redacted }) =>
        html`<tr><th scope="row">${cut(path, 500)}${redacted === true ? ' (secrets replaced)' : ''}</th><td><code class="hash">${sha256}</code></td></tr>`,
    );
  const left = all.length - rows.length;
  return html`<p class="quiet">Capture mode <code>${captureMode}</code>. ${note}</p>
<table class="list"><thead><tr><th scope="col">Path</th><th scope="col">SHA-256 ${isRaw ? 'of the content' : 'of the name'}</th></tr></thead><tbody>${rows}</tbody></table>${
    left === 0 ? NONE : html`<p class="quiet">${left} more are in the pack and not on this page.</p>`
  }`;
}

export function acceptance({ acceptance: result }: RunStory): Markup | undefined {
  if (result === undefined) return undefined;
  const { checks_run: run, checks_passed: passed, failures } = result;
  // The document fits its schema: `readStory` has checked it.
  const failed = failures as unknown as readonly { check: string; message: string; artifact?: string }[];
  const isGood = run === passed;
  const rows = failed
    .slice(0, FACTS_MAX)
    .map(
      ({ check, message, artifact }) =>
        html`<tr><th scope="row">${cut(check, 200)}</th><td>${cut(message, TEXT_MAX)}</td><td>${cut(artifact ?? '', 500)}</td></tr>`,
    );
  return html`<p><span class="${isGood ? 'r-ok' : 'r-bad'}">${isGood ? '✓' : '✕'} ${Number(passed)} of ${Number(run)} checks passed</span></p>${
    rows.length === 0
      ? NONE
      : html`<table class="list"><thead><tr><th scope="col">Check</th><th scope="col">What was wrong</th><th scope="col">Artifact</th></tr></thead><tbody>${rows}</tbody></table>`
  }`;
}

export function environment({ environment: found }: RunStory): Markup | undefined {
  if (found === undefined) return undefined;
  const pairs = Object.entries(found.values).slice(0, FACTS_MAX);
  return html`<dl class="pairs">${pairs.map(([rule, value]) => html`<div><dt>${cut(rule, 200)}</dt><dd>${cut(value, 500)}</dd></div>`)}<div><dt>hash</dt><dd><code class="hash">${found.hash}</code></dd></div></dl>`;
}

/** What doors put on record: policy decisions, evaluations. */
export function records({ facts, startedAtMs }: RunStory): Markup | undefined {
  const all = facts.filter(({ name }) => name !== ACCEPT_FACT);
  if (all.length === 0) return undefined;
  const rows = all
    .slice(0, FACTS_MAX)
    .map(
      ({ atMs, name, step, data }) =>
        html`<tr><td>${when(atMs, startedAtMs)}</td><th scope="row">${cut(name, 200)}</th><td>${step === undefined ? '' : cut(step, 200)}</td><td><code class="json">${cut(JSON.stringify(data), TEXT_MAX)}</code></td></tr>`,
    );
  const left = all.length - rows.length;
  return html`<table class="list"><thead><tr><th scope="col">Time</th><th scope="col">Record</th><th scope="col">Step</th><th scope="col">Content</th></tr></thead><tbody>${rows}</tbody></table>${
    left === 0 ? NONE : html`<p class="quiet">${left} more are in the pack and not on this page.</p>`
  }`;
}

const GROUPS = [
  ['all', 'All'],
  ['steps', 'Steps'],
  ['decisions', 'Decisions'],
  ['checkpoints', 'Checkpoints'],
  ['worker', 'Worker'],
  ['status', 'Status'],
  ['records', 'Records'],
] as const;

/** Filtered by radio buttons and `:has()`: the page has no script. */
export function events({ firstEvents, lastEvents, eventCount, startedAtMs }: RunStory): Markup {
  const left = eventCount - firstEvents.length - lastEvents.length;
  const present = new Set<string>([...firstEvents, ...lastEvents].map(({ group }) => group));
  const filters = GROUPS.filter(([group]) => group === 'all' || present.has(group)).map(
    ([group, title]) =>
      html`<label><input type="radio" name="events" class="f-${group}"${group === 'all' ? html` checked` : NONE}> ${title}</label>`,
  );
  const row = ({ seq, atMs, type, group, text }: StoryEvent): Markup =>
    html`<tr class="e-${group}"><td><code>evt_${seq}</code></td><td>${when(atMs, startedAtMs)}</td><td>${cut(text, 400)}</td><td><code class="quiet">${cut(type, 80)}</code></td></tr>
`;
  const gap =
    left === 0
      ? NONE
      : html`<tr class="gap"><td colspan="4">${left} events are left out here; the pack has all ${eventCount}.</td></tr>
`;
  return html`<details><summary>${eventCount} events</summary>
<fieldset class="filter"><legend>Show</legend>${filters}</fieldset>
<table class="list events"><thead><tr><th scope="col">Event</th><th scope="col">Time</th><th scope="col">What happened</th><th scope="col">Type</th></tr></thead><tbody>
${firstEvents.map(row)}${gap}${lastEvents.map(row)}</tbody></table></details>`;
}
