/**
 * Why two runs differ, told by meaning. A pure function of the two packs (I10). Running and waiting times are told and
 * make no difference; neither does the order of events, as long as the same ones happened: steps side by side end as
 * they please.
 */
import type { Json, JsonObject } from '../model/json.ts';
import { USAGE_KEYS, type Usage } from '../model/usage.ts';
import { isObject } from './chain-entry.ts';
import { describe } from './describe.ts';
import { compareBytes } from './entry-names.ts';
import { sameJson } from './records.ts';
import type { Trust } from './replay.ts';
import { meaningOf, withoutEnvelope } from './run-meaning.ts';
import type { Status } from './statuses.ts';
import { readStory } from './read-story.ts';
import { telling } from './telling.ts';
import { ACCEPT_FACT, type Pace, type RunStory, type StoryStep } from './story.ts';

export interface RunSide {
  readonly story: RunStory;
  readonly events: readonly { readonly meaning: string; readonly type: string; readonly text: string }[];
}

export interface Pair<T> {
  readonly a: T;
  readonly b: T;
}
export interface FieldDiff extends Pair<Json | undefined> {
  /** JSON pointer in the job spec. */
  readonly field: string;
}
export interface StepDiff extends Pair<string | number | undefined> {
  readonly step: string;
  readonly what: 'presence' | 'state' | 'attempts' | 'outcome' | 'exit';
}
export interface DecisionDiff extends Pair<string | undefined> {
  /** Decisions are compared in the order in which they were asked for, from 1. */
  readonly decision: number;
  readonly what: 'question' | 'approvals';
}
export interface AmountDiff extends Pair<number> {
  readonly key: keyof Usage;
  /** Change from a to b, percent with one decimal; undefined when a is 0. */
  readonly percent: number | undefined;
}

export type Section =
  | 'spec'
  | 'limits'
  | 'environment'
  | 'events'
  | 'steps'
  | 'decisions'
  | 'records'
  | 'artifacts'
  | 'acceptance'
  | 'usage'
  | 'status';

export interface RunDiff {
  readonly a: RunStory;
  readonly b: RunStory;
  readonly differsIn: readonly Section[];
  readonly spec: readonly FieldDiff[];
  readonly limits: readonly AmountDiff[];
  readonly environment: readonly FieldDiff[];
  readonly events: {
    readonly isSame: boolean;
    readonly isReordered: boolean;
    readonly first?: { readonly seq: number } & Pair<{ type: string; text: string } | undefined>;
  };
  readonly steps: readonly StepDiff[];
  readonly decisions: readonly DecisionDiff[];
  readonly records: readonly FieldDiff[];
  readonly artifacts: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    /** Other content; only where both packs captured it. */
    readonly changed: readonly string[];
    readonly isContentCompared: boolean;
  };
  readonly acceptance: readonly FieldDiff[];
  readonly usage: readonly AmountDiff[];
  readonly times: Readonly<Record<Pace | 'total', Pair<number>>>;
  readonly status: Pair<Status>;
}

export async function readSide(path: string, trust: Trust): Promise<RunSide> {
  const events: { meaning: string; type: string; text: string }[] = [];
  const names = new Map<string, string>();
  const story = await readStory(path, trust, (recorded) => {
    const { event } = recorded;
    if (event.type === 'run_created' || event.type === 'run_imported')
      for (const { id, name = id } of event.spec.nodes) names.set(id, name);
    else if (event.type === 'nodes_added') for (const { id, name = id } of event.nodes) names.set(id, name);
    const { text } = describe(event, (node) => names.get(node) ?? 'the job');
    events.push({ meaning: meaningOf(recorded), type: event.type, text });
  });
  return { story, events };
}

/** @throws ReeveError E_VERIFY_HASH_MISMATCH for packs that tell of what no run has. */
export function diffRuns(sideA: RunSide, sideB: RunSide): RunDiff {
  return telling('the pack', () => compare(sideA, sideB));
}

function compare(sideA: RunSide, sideB: RunSide): RunDiff {
  const [a, b] = [sideA.story, sideB.story];
  const [specA, specB] = askedFor(a, b);
  const parts = {
    spec: fieldDiffs(specA, specB),
    limits: amountDiffs(a.limits, b.limits),
    environment: fieldDiffs(a.environment?.values ?? {}, b.environment?.values ?? {}),
    events: eventDiff(sideA.events, sideB.events),
    steps: stepDiffs(a.steps, b.steps),
    decisions: decisionDiffs(a, b),
    records: fieldDiffs(recordsOf(a), recordsOf(b)),
    artifacts: artifactDiff(a, b),
    acceptance: fieldDiffs(withoutEnvelope(a.acceptance ?? {}), withoutEnvelope(b.acceptance ?? {})),
    usage: amountDiffs(a.used, b.used),
    times: timesOf(a, b),
    status: { a: a.status, b: b.status },
  };
  const { added, removed, changed } = parts.artifacts;
  const isDifferent: Readonly<Record<Section, boolean>> = {
    spec: parts.spec.length > 0,
    limits: parts.limits.length > 0,
    environment: parts.environment.length > 0,
    events: !parts.events.isSame && !parts.events.isReordered,
    steps: parts.steps.length > 0,
    decisions: parts.decisions.length > 0,
    records: parts.records.length > 0,
    artifacts: added.length + removed.length + changed.length > 0,
    acceptance: parts.acceptance.length > 0,
    usage: parts.usage.some(({ key }) => key !== 'wallMs'),
    status: a.status !== b.status,
  };
  const differsIn = (Object.keys(isDifferent) as Section[]).filter((section) => isDifferent[section]);
  return { a, b, differsIn, ...parts };
}

/** The specs in a form that both packs have: the job spec itself, or what the events say of it. */
function askedFor(a: RunStory, b: RunStory): readonly [Json, Json] {
  const [specA, specB] = [a.spec?.document, b.spec?.document];
  if (isJobSpec(specA) && isJobSpec(specB)) return [withoutEnvelope(specA), withoutEnvelope(specB)];
  return [planOf(a), planOf(b)];
}

function isJobSpec(document: Json | undefined): document is JsonObject {
  return isObject(document) && document['schema_id'] === 'wrkr.jobspec';
}

/** Without where it ran: the working directory is not part of what was asked for. */
function planOf({ spec }: RunStory): Json {
  const steps = (spec?.nodes ?? []).map(({ id, name = id, needs = [], labels, input, after }) => {
    const { argv } = (input ?? {}) as { argv?: Json };
    return { name, needs, command: labels?.['command'] ?? argv ?? '', artifacts: after?.delta?.added ?? [] };
  });
  return { steps: Object.fromEntries(steps.map(({ name, ...step }) => [name, step])) };
}

function fieldDiffs(a: Json, b: Json, field = ''): FieldDiff[] {
  if (sameJson(a, b)) return [];
  if (isObject(a) && isObject(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted(compareBytes);
    return keys.flatMap((key) => childDiffs(a, b, key, field));
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    const [x, y] = [Object.fromEntries(a.entries()), Object.fromEntries(b.entries())];
    const places = Object.keys(a.length > b.length ? x : y);
    return places.flatMap((at) => childDiffs(x, y, at, field));
  }
  return [{ field: field || '/', a, b }];
}

function childDiffs(a: JsonObject, b: JsonObject, key: string, field: string): FieldDiff[] {
  const path = `${field}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const [x, y] = [Object.hasOwn(a, key) ? a[key] : undefined, Object.hasOwn(b, key) ? b[key] : undefined];
  return x === undefined || y === undefined ? [{ field: path, a: x, b: y }] : fieldDiffs(x, y, path);
}

function amountDiffs(a: Partial<Usage>, b: Partial<Usage>): AmountDiff[] {
  return USAGE_KEYS.flatMap((key) => {
    const [x, y] = [a[key] ?? 0, b[key] ?? 0];
    if (x === y) return [];
    return [{ key, a: x, b: y, percent: x === 0 ? undefined : Math.round((1000 * (y - x)) / x) / 10 }];
  });
}

function eventDiff(a: RunSide['events'], b: RunSide['events']): RunDiff['events'] {
  let at = 0;
  while (at < a.length && at < b.length && a[at]?.meaning === b[at]?.meaning) at += 1;
  const [x, y] = [a[at], b[at]];
  if (x === undefined && y === undefined) return { isSame: true, isReordered: false };
  const [restA, restB] = [meanings(a, at), meanings(b, at)];
  const isReordered = restA.length === restB.length && restA.every((each, index) => each === restB[index]);
  const told = (event: typeof x) =>
    event === undefined ? undefined : { type: event.type, text: event.text };
  return { isSame: false, isReordered, first: { seq: at + 1, a: told(x), b: told(y) } };
}

function meanings(events: RunSide['events'], from: number): string[] {
  return events
    .slice(from)
    .map(({ meaning }) => meaning)
    .toSorted(compareBytes);
}

function stepDiffs(a: readonly StoryStep[], b: readonly StoryStep[]): StepDiff[] {
  const [inA, inB] = [byName(a), byName(b)];
  return [...new Set([...inA.keys(), ...inB.keys()])].flatMap((step): StepDiff[] => {
    const [x, y] = [inA.get(step), inB.get(step)];
    if (x === undefined || y === undefined) {
      return [{ step, what: 'presence', a: x && 'there', b: y && 'there' }];
    }
    const [lastA, lastB] = [x.attempts.at(-1), y.attempts.at(-1)];
    const compared: readonly StepDiff[] = [
      { step, what: 'state', a: x.state, b: y.state },
      { step, what: 'attempts', a: x.attempts.length, b: y.attempts.length },
      { step, what: 'outcome', a: lastA?.outcome, b: lastB?.outcome },
      { step, what: 'exit', a: lastA?.exitCode, b: lastB?.exitCode },
    ];
    return compared.filter((each) => each.a !== each.b);
  });
}

/** Several steps of one name are told apart by their place among them. */
export function byName(steps: readonly StoryStep[]): Map<string, StoryStep> {
  const found = new Map<string, StoryStep>();
  for (const step of steps) {
    let key = step.name;
    for (let n = 2; found.has(key); n += 1) key = `${step.name} (${n})`;
    found.set(key, step);
  }
  return found;
}

function decisionDiffs(a: RunStory, b: RunStory): DecisionDiff[] {
  const asked = ({ checkpoints }: RunStory) => checkpoints.filter(({ type }) => type === 'decision-needed');
  const [x, y] = [asked(a), asked(b)];
  return Array.from({ length: Math.max(x.length, y.length) }, (_, at) => at).flatMap((at) => {
    const approvals = (side: RunStory['checkpoints']): string | undefined =>
      side[at]?.approvals.map(({ by, reason }) => `${by}: ${reason}`).join('; ');
    const compared: readonly DecisionDiff[] = [
      { decision: at + 1, what: 'question', a: x[at]?.summary, b: y[at]?.summary },
      { decision: at + 1, what: 'approvals', a: approvals(x), b: approvals(y) },
    ];
    return compared.filter((each) => each.a !== each.b);
  });
}

/** What doors put on record: policy decisions, evaluations. Several of one name are a list. */
function recordsOf({ facts }: RunStory): Json {
  const found = new Map<string, Json[]>();
  for (const { name, step, data } of facts) {
    if (name === ACCEPT_FACT) continue;
    const key = step === undefined ? name : `${name} of ${step}`;
    found.set(key, [...(found.get(key) ?? []), withoutEnvelope(data)]);
  }
  return Object.fromEntries(found);
}

function artifactDiff(a: RunStory, b: RunStory): RunDiff['artifacts'] {
  const isContentCompared = a.captureMode === 'raw' && b.captureMode === 'raw';
  const hashes = ({ artifacts }: RunStory) => new Map(artifacts.map(({ path, sha256 }) => [path, sha256]));
  const [x, y] = [hashes(a), hashes(b)];
  const both = [...x.keys()].filter((path) => y.has(path));
  return {
    isContentCompared,
    added: [...y.keys()].filter((path) => !x.has(path)).toSorted(compareBytes),
    removed: [...x.keys()].filter((path) => !y.has(path)).toSorted(compareBytes),
    changed: isContentCompared
      ? both.filter((path) => x.get(path) !== y.get(path)).toSorted(compareBytes)
      : [],
  };
}

function timesOf(a: RunStory, b: RunStory): RunDiff['times'] {
  const spent = ({ spans }: RunStory, pace: Pace): number =>
    spans.reduce((sum, span) => sum + (span.pace === pace ? span.toMs - span.fromMs : 0), 0);
  const pair = (of: (story: RunStory) => number): Pair<number> => ({ a: of(a), b: of(b) });
  return {
    running: pair((story) => spent(story, 'running')),
    unattended: pair((story) => spent(story, 'unattended')),
    waiting: pair((story) => spent(story, 'waiting')),
    total: pair(({ startedAtMs, endedAtMs }) => endedAtMs - startedAtMs),
  };
}
