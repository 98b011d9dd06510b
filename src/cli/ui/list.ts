/** `reeve list`: one aligned line per job. */
import type { JobPage } from '../../doors/jobs/read.ts';
import { parseTime } from '../../doors/jobs/time.ts';
import type { CliContext } from '../command.ts';
import { paletteFor } from './colour.ts';
import { statusSpan } from './job.ts';
import { widthOf } from './screen.ts';
import { table } from './table.ts';
import { paint, styled, type Line } from './text.ts';
import { ago } from './time.ts';

export function renderList(ctx: CliContext, page: JobPage): readonly string[] {
  const width = widthOf(ctx.stdout);
  const palette = paletteFor(ctx.stdout, ctx.env);
  return listLines(page, ctx.program, Date.now(), width).map((line) => paint(line, width, palette));
}

export function listLines(
  { jobs, next_cursor }: JobPage,
  program: string,
  nowMs: number,
  width: number,
): Line[] {
  const more: Line[] =
    next_cursor === undefined ? [] : [[styled(`more: add --cursor ${next_cursor}`, 'dim')]];
  if (jobs.length === 0) return more.length > 0 ? more : [[`no jobs yet: ${program} submit jobspec.yaml`]];
  const rows = jobs.map(({ job_id, status, steps, steps_done, name, updated_at }) => [
    job_id,
    statusSpan(status),
    `${steps_done}/${steps}`,
    name,
    styled(ago(parseTime(updated_at) ?? nowMs, nowMs), 'dim'),
  ]);
  const columns = [
    { title: 'JOB', min: 12 },
    { title: 'STATUS' },
    { title: 'STEPS', align: 'right' },
    { title: 'NAME', min: 6 },
    { title: 'UPDATED' },
  ] as const;
  return [...table(columns, rows, width), ...more];
}
