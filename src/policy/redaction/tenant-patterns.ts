/** Secrets of a tenant's own making: patterns with a type each, in linear time whatever they say. */
import { RE2JS } from 're2js';
import { ReeveError } from '../../model/errors.ts';
import { linearPattern } from '../linear-pattern.ts';
import type { TextPattern } from './pattern-redactor.ts';
import type { Span } from './secret-values.ts';
import { SECRET_TYPES } from './secrets.ts';

export interface TenantPattern {
  /** Capitals, digits and `_`, none of the types that are known anyway. */
  readonly type: string;
  /** RE2 syntax, held to one line at a time; the whole match is replaced. */
  readonly pattern: string;
}

const TYPE = /^[A-Z][A-Z0-9_]{1,31}$/;
/** What was replaced before is no text of the stream. */
const MARK = /\[REDACTED(?::[A-Z0-9_]+)?\]/g;

/**
 * @param exceptions that are not replaced when they are all of a match.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA {field, value}: the type is no name, or taken; the pattern cannot be run in
 *   linear time, or matches the empty text.
 */
export function tenantPattern(
  { type, pattern }: TenantPattern,
  field: string,
  exceptions: ReadonlySet<string>,
): TextPattern {
  const refuse = (part: string, problem: string, value: string): ReeveError =>
    new ReeveError('E_INVALID_INPUT_SCHEMA', `${field}/${part} ${problem}`, {
      field: `${field}/${part}`,
      value,
    });
  if (!TYPE.test(type)) throw refuse('type', `does not match ${TYPE.source}`, type);
  if (SECRET_TYPES.has(type)) throw refuse('type', 'is one that is known anyway', type);
  // The text is many lines first, one line later: \\A and \\z would not mean the same.
  if (/(?<!\\)(?:\\\\)*\\[Az]/.test(pattern))
    throw refuse('pattern', 'is held to lines: use ^ and $', pattern);
  const expression = linearPattern(pattern, `${field}/pattern`, RE2JS.MULTILINE);
  if (expression.matches('')) throw refuse('pattern', 'matches the empty text', pattern);
  return {
    mark: `[REDACTED:${type}]`,
    type,
    mayMatch: (lines) => expression.test(lines.replaceAll('\r\n', '\n')),
    spans: (line) => {
      const end = line.endsWith('\r') ? line.length - 1 : line.length;
      if (!expression.test(line.slice(0, end))) return [];
      const spans: Span[] = [];
      for (let from = 0; from < end; ) {
        MARK.lastIndex = from;
        const mark = MARK.exec(line);
        const to = mark?.index ?? end;
        spans.push(...matches(expression, line.slice(from, to), from));
        from = mark === null ? end : MARK.lastIndex;
      }
      return spans.filter((span) => !exceptions.has(line.slice(span.from, span.to)));
    },
  };
}

function matches(expression: RE2JS, text: string, offset: number): readonly Span[] {
  const spans: Span[] = [];
  const matcher = expression.matcher(text);
  while (matcher.find()) {
    if (matcher.end() > matcher.start())
      spans.push({ from: offset + matcher.start(), to: offset + matcher.end() });
  }
  return spans;
}
