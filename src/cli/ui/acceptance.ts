/** `reeve accept run` on a terminal: which checks passed, and what to look at. */
import type { AcceptRun } from '../../doors/jobs/accept.ts';
import type { CliContext } from '../command.ts';
import { paletteFor } from './colour.ts';
import { widthOf } from './screen.ts';
import { paint, styled, styleOf, wrapText, type Line } from './text.ts';

const INDENT = ' '.repeat(10);
const MESSAGE_LINES_MAX = 12;

export function renderAcceptance(ctx: CliContext, run: AcceptRun): readonly string[] {
  const width = widthOf(ctx.stdout);
  const palette = paletteFor(ctx.stdout, ctx.env);
  return acceptanceLines(run, width).map((line) => {
    // A path is there to be copied: it is not cut.
    const isPath = line.some((span) => styleOf(span) === 'command');
    return paint(line, isPath ? Infinity : width, palette);
  });
}

export function acceptanceLines(run: AcceptRun, width: number): Line[] {
  const { accept_result: result } = run;
  const isAccepted = result.failures.length === 0;
  const verdict = isAccepted ? styled('accepted', 'green') : styled('not accepted', 'red');
  const files = [
    ['result', run.accept_result_path],
    ['junit', run.junit_path],
    ['jobpack', run.jobpack_path],
    ['summary', run.summary_markdown_path],
  ] as const;
  return [
    [
      styled(run.job_id, 'bold'),
      '  ',
      verdict,
      styled(`  ${result.checks_passed} of ${result.checks_run} checks passed`, 'dim'),
    ],
    [],
    ...run.checks.flatMap(({ name, passed, message }): Line[] => {
      const head: Line = ['  ', styled(passed ? 'passed' : 'failed', passed ? 'green' : 'red'), `  ${name}`];
      if (passed) return [head];
      // Messages hold output of commands: its lines stay lines here.
      const lines = message
        .split('\n')
        .flatMap((line) => wrapText(line, width - INDENT.length, MESSAGE_LINES_MAX));
      return [head, ...lines.slice(0, MESSAGE_LINES_MAX).map((line): Line => [INDENT, styled(line, 'dim')])];
    }),
    [],
    ...files.flatMap(([what, path]): Line[] =>
      path === undefined ? [] : [[styled(what.padEnd(9), 'dim'), styled(path, 'command')]],
    ),
  ];
}
