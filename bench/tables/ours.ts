/** Long runs and many runs. */
import type { Crashed, Parked } from '../many-runs.ts';
import { spread } from '../measure.ts';
import type { LongMeasured } from '../subject.ts';
import { mebibytes, show, table, times } from './table.ts';

export interface LongRow extends LongMeasured {
  readonly title: string;
  readonly bytes: number;
  readonly resumeMs: number | undefined;
}

const count = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 0 });

export function longTable(rows: readonly LongRow[]): string {
  return table(
    [
      'one run',
      'steps',
      'first 1,000, ms',
      'last 1,000, ms',
      'last : first',
      'memory',
      'disk, bytes a step',
      'resume, ms',
    ],
    rows.map((row) => [
      row.title,
      count(row.steps),
      row.first.toFixed(2),
      row.last.toFixed(2),
      times(row.last / row.first),
      `+${mebibytes(row.grownBytes)}${row.serverBytes === undefined ? '' : `; server ${mebibytes(row.serverBytes)}`}`,
      row.bytes > 0 ? count(row.bytes / row.steps) : '–',
      row.resumeMs === undefined ? '–' : row.resumeMs.toFixed(0),
    ]),
  );
}

export interface ManyRow {
  readonly title: string;
  readonly parked: Parked | undefined;
  readonly crashed: Crashed | undefined;
}

export function parkedTable(rows: readonly ManyRow[]): string {
  return table(
    [
      'runs that wait for a decision',
      'runs',
      'made, s',
      'disk, bytes a run',
      'memory of a worker',
      'woken',
      'until the last step began, s',
    ],
    rows.flatMap(({ title, parked }) =>
      parked === undefined
        ? []
        : [
            [
              title,
              count(parked.runs),
              parked.makeSeconds.toFixed(1),
              count(parked.bytesPerRun),
              mebibytes(parked.idleBytes),
              count(parked.woken),
              parked.wakeSeconds.toFixed(2),
            ],
          ],
    ),
  );
}

export function crashTable(rows: readonly ManyRow[]): string {
  return table(
    ['live runs', 'runs', 'kill -9 to the next step, ms', 'to a step that was interrupted, s'],
    rows.flatMap(({ title, crashed }) =>
      crashed === undefined
        ? []
        : [
            [
              title,
              count(crashed.runs),
              show(spread(crashed.nextStepMs)),
              crashed.interruptedMs === undefined ? 'not in time' : (crashed.interruptedMs / 1000).toFixed(1),
            ],
          ],
    ),
  );
}
