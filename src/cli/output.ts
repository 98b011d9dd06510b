import type { ReeveError } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import { escapeControls } from '../model/visible-text.ts';

export { escapeControls };

/** Several lines of data, each shown safely; a last newline makes no line. */
export function escapeLines(text: string): string[] {
  return text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map(escapeControls);
}

/** Text summaries are cut at 160 bytes plus `...` (contract wrkr §b). */
export function cutSummary(text: string, bytesMax = 160): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return escapeControls(text);
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return `${escapeControls(bytes.subarray(0, end).toString())}...`;
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** The error for a person: code and message, what it was about, and what to do. */
export function errorText(error: ReeveError): string {
  const lines = [`${error.code}: ${escapeControls(error.message)}`];
  for (const problem of problemsOf(error)) lines.push(`  ${escapeControls(problem)}`);
  const stderr = error.details?.['stderr_tail'];
  if (typeof stderr === 'string')
    lines.push(
      ...escapeLines(stderr)
        .slice(-10)
        .map((line) => `  | ${line}`),
    );
  lines.push(`  hint: ${error.hint}`);
  return `${lines.join('\n')}\n`;
}

function problemsOf(error: ReeveError): string[] {
  const problems = error.details?.['problems'];
  if (!Array.isArray(problems) || problems.length < 2) return []; // a single one is the message
  return problems.flatMap((entry: unknown) => {
    const { field, problem } = entry as { field?: unknown; problem?: unknown };
    return typeof field === 'string' ? [`${field}: ${String(problem)}`] : []; // sentences are the message
  });
}

/** A field of a JSON record as text; what is not a string is shown as JSON. */
export function fieldText(record: JsonObject, field: string): string {
  const value = record[field];
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
