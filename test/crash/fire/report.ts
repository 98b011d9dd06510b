/** A campaign's report as a table that can stand in a document, and what of it must not be. */
import type { Report } from './campaign.ts';
import { percentile } from './times.ts';

const FAULTS_SHOWN = 30;

/** Everything that a campaign must not find. Programs that ended by themselves are told and are no fault. */
export function faultsOf(report: Report): readonly string[] {
  const { findings, damage, leftovers } = report;
  return [
    ...findings.map(({ rule, run, message }) => `${rule}: ${run}: ${message}`),
    ...damage.map((found) => `damaged: ${found}`),
    ...(leftovers === 0 ? [] : [`left running: ${leftovers} processes`]),
  ];
}

export function describeReports(reports: readonly (readonly [string, Report])[]): string {
  const rows: readonly (readonly [string, (report: Report) => string | number])[] = [
    ['workers killed', ({ killed }) => killed.workers],
    ['servers killed', ({ killed }) => killed.servers],
    [
      'of these with their supervisors; with the commands too',
      ({ ways }) => `${ways.supervisors}; ${ways.everything}`,
    ],
    [
      'frozen past the lease; their run taken by another',
      ({ freezes, overtaken }) => `${freezes}; ${overtaken}`,
    ],
    ['restarts of the database', ({ restarts }) => restarts],
    ['runs; events', ({ runs, events }) => `${runs}; ${events}`],
    ['commands started; runs interrupted', ({ attempts, interrupted }) => `${attempts}; ${interrupted}`],
    [
      'requests acknowledged; without an answer',
      ({ acknowledged, unanswered }) => `${acknowledged}; ${unanswered}`,
    ],
    [
      'outcome unknown; of these the effect was there',
      ({ unknown, unknownDone }) => `${unknown}; ${unknownDone}`,
    ],
    ['effects repeated, as the run says', ({ reported }) => reported],
    ['**lost**', (report) => byRule(report, 'lost') + byRule(report, 'stuck')],
    ['**doubled without a word**', (report) => byRule(report, 'doubled')],
    ['**begun or done off the record**', (report) => byRule(report, 'unrecorded')],
    ['**written under a lost lease**', (report) => byRule(report, 'stale')],
    ['**chains or blobs damaged**', ({ damage }) => damage.length],
    ['kill to next step of any run, p50; p99', ({ anyStepMs }) => percentiles(anyStepMs)],
    ['kill to next step of the interrupted run, p50; p99', ({ ownStepMs }) => percentiles(ownStepMs)],
    ['database away, p50; p99', ({ awayMs }) => percentiles(awayMs)],
    ['database back to next step of any run, p50; p99', ({ afterRestartMs }) => percentiles(afterRestartMs)],
    ['minutes', ({ seconds }) => (seconds / 60).toFixed(1)],
  ];
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |\n`;
  const table = [
    line(['', ...reports.map(([store]) => store)]),
    line(['---', ...reports.map(() => '---')]),
    ...rows.map(([name, of]) => line([name, ...reports.map(([, report]) => of(report))])),
  ];
  const faults = reports.flatMap(([store, report]) =>
    faultsOf(report).map((fault) => `${store}: ${fault}\n`),
  );
  const ended = reports.flatMap(([store, { gaveUp }]) =>
    gaveUp.map((text) => `${store}: by itself: ${text}\n`),
  );
  return [...table, ...faults.slice(0, FAULTS_SHOWN), ...ended.slice(0, FAULTS_SHOWN)].join('');
}

function byRule({ findings }: Report, rule: Report['findings'][number]['rule']): number {
  return findings.filter((found) => found.rule === rule).length;
}

function percentiles(ascending: readonly number[]): string {
  if (ascending.length === 0) return '–';
  return [0.5, 0.99].map((share) => `${Math.round(percentile(ascending, share) ?? 0)} ms`).join('; ');
}
