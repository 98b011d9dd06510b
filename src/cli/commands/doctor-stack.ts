import type { CommandHandler } from '../command.ts';
import { stackReport, type StackCheck } from '../arp/stack-report.ts';
import type { Style } from '../ui/colour.ts';
import { widthOf } from '../ui/screen.ts';
import { table } from '../ui/table.ts';
import { styled, type Line, type Span } from '../ui/text.ts';
import { painted } from './runs.ts';

const STYLES: Readonly<Record<string, Style>> = { ok: 'green', degraded: 'yellow', down: 'red' };
const COLUMNS = [
  { title: 'SERVICE' },
  { title: 'STATUS' },
  { title: 'VERSION', min: 7 },
  { title: 'MS', align: 'right' },
  { title: 'CHECKS', min: 10 },
  { title: 'URL', min: 10 },
] as const;

/** `doctor --stack`: asks, and changes nothing. */
export const doctorStack: CommandHandler = async (ctx, { flags }) => {
  const report = await stackReport(ctx, flags.text('url'));
  const { ok, checks } = report;
  const lines: Line[] = [
    [`doctor profile=stack ok=${ok} checks=${checks.length}`],
    ...table(COLUMNS, checks.map(rowOf), widthOf(ctx.stdout)),
    ...checks.flatMap(adviceOf),
  ];
  return { json: report, text: painted(ctx, lines), exitCode: ok ? 0 : 1 };
};

function rowOf({ name, status, version = '-', latency_ms: ms, checks, url }: StackCheck): Span[] {
  const bad = checks.filter((check) => check.status !== 'ok');
  const told = bad.map((check) => `${check.name} ${check.status}`).join(', ');
  const counted = checks.length === 0 ? '-' : told || `${checks.length} ok`;
  return [
    name,
    styled(status, STYLES[status] ?? 'plain'),
    version,
    ms === undefined ? '-' : String(ms),
    counted,
    styled(url, 'dim'),
  ];
}

function adviceOf({ name, ok, severity, details = '', remediation = '' }: StackCheck): Line[] {
  return ok ? [] : [[`- ${name} ok=${ok} severity=${severity} ${details}`], [`  remediation=${remediation}`]];
}
