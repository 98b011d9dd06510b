import { readFileSync } from 'node:fs';
import type { UsageReport, UsageSource } from '../../../src/executors/process/usage-source.ts';

/** The lines of a recorded stream. */
export function linesOf(name: string): readonly string[] {
  const path = new URL(`../../fixtures/agent-streams/${name}.jsonl`, import.meta.url);
  return readFileSync(path, 'utf8').trimEnd().split('\n');
}

export function feed(source: UsageSource, lines: readonly string[]): UsageReport {
  for (const line of lines) source.line(line);
  return source.report();
}

/** The report after each line. */
export function reportsOf(source: UsageSource, lines: readonly string[]): readonly UsageReport[] {
  return lines.map((line) => feed(source, [line]));
}
