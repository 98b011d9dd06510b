/** `reeve runs get|cancel|events|tree`: what became of a run. */
import { once } from 'node:events';
import { coordinatorClient } from '../../doors/arp/clients/coordinator-client.ts';
import {
  runsClient,
  type RunsClient,
  type StreamedEvent,
  type EventsFrom,
} from '../../doors/arp/clients/runs-client.ts';
import { cursorPlace } from '../../doors/arp/wire/cursor.ts';
import type { InternalNodeRun, InternalRun } from '../../doors/arp/wire/runs.ts';
import { ReeveError } from '../../model/errors.ts';
import { asking, coordinatorBeside, runsPlace, type Place } from '../arp/client.ts';
import type { CliContext, CommandHandler, CommandResult, Flags } from '../command.ts';
import { interruptedBy } from '../interrupt.ts';
import { nodeRunOrNone, NodeRunFacts, nodeRunsOf } from '../arp/run-tree.ts';
import { paletteFor } from '../ui/colour.ts';
import { eventLine, runLines, treeLines } from '../ui/run.ts';
import { widthOf } from '../ui/screen.ts';
import { paint, type Line } from '../ui/text.ts';

/** A run service, and whom it leaves the NodeRuns to. */
export interface RunService {
  readonly place: Place;
  readonly runs: RunsClient;
  nodeRun(id: string): Promise<InternalNodeRun>;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function runServiceOf(ctx: CliContext, flags: Flags): Promise<RunService> {
  const place = await runsPlace(ctx, flags);
  const beside = await coordinatorBeside(ctx, flags, place);
  const { nodeRun } = coordinatorClient(beside ?? place);
  return { place, runs: runsClient(place), nodeRun };
}

export const runsGet: CommandHandler = async (ctx, { args: [id = ''], flags }) => {
  const service = await runServiceOf(ctx, flags);
  return shownRun(ctx, service, await asking(service.place, () => service.runs.run(id)));
};

export const runsCancel: CommandHandler = async (ctx, { args: [id = ''], flags }) => {
  const { place, runs } = await runServiceOf(ctx, flags);
  const run = await asking(place, () => runs.cancel(id));
  return { json: { run }, text: painted(ctx, runLines(run, undefined, Date.now())) };
};

export const runsEvents: CommandHandler = async (ctx, { args: [id = ''], flags }) => {
  const { place, runs } = await runServiceOf(ctx, flags);
  const from = { after: placeOf(flags.text('cursor')), follow: flags.on('follow') };
  const isOver = await asking(place, () => printEvents(ctx, { runs, id, from }));
  return isOver ? {} : interruptedBy(ctx.signal); // the run goes on
};

export const runsTree: CommandHandler = async (ctx, { args: [id = ''], flags }) => {
  const { place, runs, nodeRun } = await runServiceOf(ctx, flags);
  const { run, facts, details } = await asking(place, async () => {
    const found = await runs.run(id);
    const known = new NodeRunFacts();
    for await (const event of runs.events(id, { after: 0, follow: false }, ctx.signal)) known.add(event);
    return { run: found, facts: known, details: await nodeRunsOf(known.ids, nodeRun) };
  });
  const root = facts.tree(run.root_node_run_id, details);
  const nowMs = Date.now();
  const lines = [...runLines(run, undefined, nowMs), [], ...treeLines(root, nowMs, widthOf(ctx.stdout))];
  if (details.size === 0)
    ctx.stderr.write(
      'note: whom we asked tells of no NodeRuns, so this is what events say; ask a coordinator: --url, JARVIS_RUN_COORDINATOR_URL\n',
    );
  return { json: { run, root }, text: painted(ctx, lines) };
};

/** The run with what its root NodeRun gave, where that can be asked. */
export async function shownRun(
  ctx: CliContext,
  { place, nodeRun }: RunService,
  run: InternalRun,
): Promise<CommandResult & { readonly root: InternalNodeRun | undefined }> {
  const root = await asking(place, () => nodeRunOrNone(run.root_node_run_id, nodeRun));
  return {
    root,
    json: { run, ...(root === undefined ? {} : { root_node_run: root }) },
    text: painted(ctx, runLines(run, root, Date.now())),
  };
}

interface Printing {
  readonly runs: RunsClient;
  readonly id: string;
  readonly from: EventsFrom;
  /** Takes them instead of standard output. */
  readonly sink?: (event: StreamedEvent) => void;
}

/** Prints events as they come: lines for a person, NDJSON with `--json`. @returns false: interrupted, or nobody reads. */
export async function printEvents(ctx: CliContext, { runs, id, from, sink }: Printing): Promise<boolean> {
  const closed = new AbortController();
  const onClosed = (): void => closed.abort();
  ctx.stdout.once('error', onClosed);
  const signal = AbortSignal.any([ctx.signal, closed.signal]);
  const palette = paletteFor(ctx.stdout, ctx.env);
  const print = async (event: StreamedEvent): Promise<void> => {
    const text = ctx.json ? JSON.stringify(event) : paint(eventLine(event), widthOf(ctx.stdout), palette);
    // Who reads slowly is waited for: a long stream is not gathered here.
    if (!ctx.stdout.write(`${text}\n`)) await once(ctx.stdout, 'drain', { signal });
  };
  try {
    for await (const event of runs.events(id, from, signal)) {
      if (sink === undefined) await print(event);
      else sink(event);
    }
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    ctx.stdout.off('error', onClosed);
  }
}

export function painted(ctx: CliContext, lines: readonly Line[]): readonly string[] {
  const width = widthOf(ctx.stdout);
  const palette = paletteFor(ctx.stdout, ctx.env);
  return lines.map((line) => paint(line, width, palette));
}

/** A number, or the text of a cursor: no cursor of a number is made of digits only. */
function placeOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  try {
    return cursorPlace(text, 'cursor');
  } catch {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `--cursor is the number of an event, or a cursor such as MQ==, not ${JSON.stringify(text.slice(0, 100))}`,
      { flag: '--cursor', value: text.slice(0, 100) },
    );
  }
}
