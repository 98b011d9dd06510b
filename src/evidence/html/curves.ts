/** What was used of each limit, over the time of the run: one small curve for each. */
import type { UsageKey } from '../../model/usage.ts';
import { amountText, BUDGET_NAMES } from '../amounts.ts';
import type { RunStory, StoryPoint } from '../story.ts';
import { html, NONE, type Markup } from './markup.ts';
import { n, TimeScale } from './scale.ts';

const KEYS: readonly UsageKey[] = ['wallMs', 'steps', 'toolCalls', 'retries', 'tokens', 'costMicros'];
const [WIDTH, HEIGHT] = [1000, 100];
const POINTS_MAX = 300;

/** Undefined for a run that has no limit and counted nothing. */
export function curves(story: RunStory): Markup | undefined {
  const { used, limits } = story;
  const shown = KEYS.filter(
    (key) => (limits[key] ?? 0) > 0 || ((key === 'tokens' || key === 'costMicros') && used[key] > 0),
  );
  if (shown.length === 0) return undefined;
  const scale = new TimeScale(story.spans, story.startedAtMs);
  return html`<ul class="curves">${shown.map((key) => curve(key, story, scale))}</ul>`;
}

function curve(key: UsageKey, { used, limits, curve: points }: RunStory, scale: TimeScale): Markup {
  const limit = limits[key] ?? 0;
  const peak = points.reduce((most, { used: at, limits: l }) => Math.max(most, at[key], l[key] ?? 0), 1);
  const top = peak * 1.08;
  const usedPath = path(points, scale, ({ used: at }) => at[key] / top);
  const limited = points.filter(({ limits: at }) => (at[key] ?? 0) > 0);
  const limitPath = limit === 0 ? '' : path(limited, scale, ({ limits: at }) => (at[key] ?? 0) / top);
  const share = limit === 0 ? undefined : Math.round((100 * used[key]) / limit);
  const isOver = limit > 0 && used[key] > limit;
  const told =
    limit === 0 ? amountText(key, used[key]) : `${amountText(key, used[key])} of ${amountText(key, limit)}`;
  const level = isOver ? 'over' : share !== undefined && share >= 75 ? 'near' : 'calm';
  const word = isOver ? '▲ over the limit' : share === undefined ? 'no limit' : `${share}%`;
  return html`<li class="${level}"><div class="head"><b>${BUDGET_NAMES[key]}</b> <span>${told}</span> <em>${word}</em></div>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" width="100%" height="64" role="img" aria-label="${BUDGET_NAMES[key]}: ${told}"><path class="area" d="${usedPath}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z"/><path class="line" d="${usedPath}"/>${
    limitPath === '' ? NONE : html`<path class="limit" d="${limitPath}"/>`
  }</svg></li>
`;
}

/** Steps from point to point, as they were recorded; where there are many, the last one of each place. */
function path(points: readonly StoryPoint[], scale: TimeScale, share: (point: StoryPoint) => number): string {
  const places = new Map<number, number>();
  for (const point of points) {
    const x = Math.round((scale.x(point.atMs) / 100) * POINTS_MAX);
    places.set(x, share(point));
  }
  let [text, beforeY] = ['', n(HEIGHT)];
  for (const [place, value] of places) {
    const [x, y] = [n((place / POINTS_MAX) * WIDTH), n(HEIGHT - value * HEIGHT)];
    if (text === '') text = `M0 ${y}H${x}`;
    else if (y !== beforeY) text += `H${x}V${y}`;
    beforeY = y;
  }
  return `${text}H${WIDTH}`;
}
