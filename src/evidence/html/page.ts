/**
 * A run as one HTML file (DESIGN: evidence for people). It is a function of the pack alone (I10), loads nothing, runs no
 * script, and says so in its Content-Security-Policy: only its own style sheet, by hash, is allowed.
 */
import { createHash } from 'node:crypto';
import { isObject } from '../chain-entry.ts';
import { amountText, duration } from '../amounts.ts';
import { footerText } from '../receipt.ts';
import type { Status } from '../statuses.ts';
import type { RunStory } from '../story.ts';
import { telling } from '../telling.ts';
import { timeText } from '../time.ts';
import { curves } from './curves.ts';
import { cut, html, Markup, NONE } from './markup.ts';
import { acceptance, artifacts, checkpoints, environment, events, records } from './sections.ts';
import { STYLE } from './style.ts';
import { timeline, timesOf } from './timeline.ts';

/** A signature of the pack, as whoever checked it found it. */
export interface ReportSignature {
  /** SHA-256 of the public key, 64 hex digits. */
  readonly keyId: string;
  /** Whose key it is, where a trust file says so. */
  readonly name?: string;
  /** `unchecked`: nobody gave the key. */
  readonly state: 'good' | 'unchecked';
}

export interface ReportOptions {
  /** Of the sidecar beside the pack; absent: there is none. */
  readonly signatures?: readonly ReportSignature[];
}

const STATUS_MARKS: Readonly<Record<Status, string>> = {
  queued: '○',
  running: '▶',
  paused: '❚❚',
  blocked_decision: '◇',
  blocked_budget: '▲',
  blocked_error: '✕',
  completed: '✓',
  canceled: '■',
};

/** @throws ReeveError E_VERIFY_HASH_MISMATCH for a pack that tells of what no run has. */
export function htmlReport(story: RunStory, options: ReportOptions = {}): string {
  return telling('the pack', () => page(story, options)).text;
}

function page(story: RunStory, options: ReportOptions): Markup {
  const hash = createHash('sha256').update(STYLE).digest('base64');
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const sections = [
    section('timeline', 'Timeline', timeline(story)),
    section('decisions', 'Checkpoints and approvals', checkpoints(story)),
    section('budget', 'Budget', curves(story)),
    section('acceptance', 'Acceptance', acceptance(story)),
    section('artifacts', 'Artifacts', artifacts(story)),
    section('environment', 'Environment', environment(story)),
    section('records', 'Records', records(story)),
    section('events', 'Events', events(story)),
    section('verify', 'Verify it yourself', howToVerify(story)),
  ].filter((each) => each !== undefined);
  const { jobId, status } = story;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${cut(jobId, 100)}: ${status}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<a class="skip" href="#timeline">Skip to the timeline</a>
<header>
${head(story)}
${proof(story, options)}
</header>
<nav aria-label="On this page"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
<main>
${sections.map(({ markup }) => markup)}</main>
<footer><p>This page is a view of the pack. The pack is the evidence.</p></footer>
</body>
</html>
`;
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly markup: Markup;
}

function section(id: string, title: string, content: Markup | undefined): Section | undefined {
  if (content === undefined) return undefined;
  const markup = html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>
`;
  return { id, title, markup };
}

function head(story: RunStory): Markup {
  const { jobId, name, status, summary, reasonCodes, spec, startedAtMs, endedAtMs, actor } = story;
  const { steps, used, checkpoints: all } = story;
  const spent = timesOf(story);
  const document = spec?.document;
  const objective = isObject(document) ? document['objective'] : undefined;
  const done = steps.filter(({ state }) => state === 'succeeded').length;
  const decisions = all.filter(({ type }) => type === 'decision-needed');
  const approved = decisions.filter(({ approvals }) => approvals.length > 0).length;
  const waitedMs = spent.waiting + spent.unattended;
  const facts: readonly (readonly [string, string])[] = [
    ['Steps done', `${amountText('steps', done)} of ${amountText('steps', steps.length)}`],
    ['Running', duration(spent.running)],
    ['Waiting', duration(waitedMs)],
    ['Decisions', decisions.length === 0 ? 'none' : `${approved} of ${decisions.length} approved`],
    ['Retries', amountText('retries', used.retries)],
    ...(used.costMicros > 0 ? [['Cost', amountText('costMicros', used.costMicros)] as const] : []),
  ];
  const [from, to] = [timeText(startedAtMs), timeText(endedAtMs)];
  return html`<p class="eyebrow">Run report</p>
<div class="title"><h1>${cut(name, 200)}</h1><p class="status s-${status}"><span aria-hidden="true">${STATUS_MARKS[status]}</span> ${status.replace('_', ' ')}</p></div>
<p class="id"><code>${cut(jobId, 200)}</code>${actor === '' ? '' : html` asked for by ${cut(actor, 100)}`}, <time datetime="${from}">${timeWords(from)}</time> to <time datetime="${to}">${timeWords(to)}</time></p>
${typeof objective === 'string' ? html`<p class="objective">${cut(objective, 1000)}</p>` : NONE}
${status.startsWith('blocked') ? html`<p class="why"><b>${reasonCodes.join(', ') || 'Held'}</b> ${cut(summary, 1000)}</p>` : NONE}
<dl class="facts">${facts.map(([term, fact]) => html`<div><dt>${term}</dt><dd>${fact}</dd></div>`)}</dl>`;
}

function timeWords(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`;
}

function proof(story: RunStory, { signatures = [] }: ReportOptions): Markup {
  const { verified, manifestSha256, isFromLines } = story;
  const word =
    verified === undefined
      ? html`<p class="verdict no"><b>✕ Not verified</b> Nobody checked the pack when this page was written: trust nothing on it.</p>`
      : html`<p class="verdict yes"><b>✓ Verified</b> ${verified.filesVerified} files${isFromLines ? '' : ', and the hash chain of all events,'} matched their record when this page was written.</p>`;
  const signed = signatures.map(
    ({ keyId, name, state }) =>
      html`<div><dt>${state === 'good' ? 'Signed ✓' : 'Signed, key not checked'}</dt><dd>${name === undefined ? NONE : html`${cut(name, 200)} `}<code class="hash">${keyId}</code></dd></div>`,
  );
  return html`<div class="proof">${word}<dl class="pairs"><div><dt>Manifest</dt><dd><code class="hash">sha256:${manifestSha256}</code></dd></div><div><dt>Receipt</dt><dd><code class="hash">${footerOf(story)}</code></dd></div>${signed}</dl></div>`;
}

function footerOf({ jobId, manifestSha256 }: RunStory): string {
  try {
    return footerText({ jobId, manifestSha256 });
  } catch {
    return 'none: this job id cannot stand in a receipt';
  }
}

function howToVerify({ jobId, manifestSha256 }: RunStory): Markup {
  const file = /^[\w.-]+$/.test(jobId) ? `jobpack_${jobId}.zip` : 'the-pack.zip';
  return html`<ol class="how"><li>Get the pack, not only this page: <code>${file}</code>.</li>
<li>Run <code>reeve verify ${file}</code>. It needs no network and no store.</li>
<li>Compare the manifest hash that it prints with this one, and with the one that you were given on another way:<br><code class="hash">sha256:${manifestSha256}</code></li>
<li>Write this page again: <code>reeve report html ${file} --out again.html</code> gives the same bytes.</li></ol>`;
}
