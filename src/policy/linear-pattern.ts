/**
 * Patterns of strangers. They are run by RE2, whose time is linear in the text whatever the pattern, so that none can hang
 * a run. Lookaround and backreferences do not exist there, and are refused.
 */
import { RE2JS } from 're2js';
import { ReeveError } from '../model/errors.ts';

const PATTERN_CHARS_MAX = 500;

/** @param field names it in the error. @param flags of RE2JS. @throws ReeveError E_INVALID_INPUT_SCHEMA {field, value, limit?} */
export function linearPattern(pattern: string, field: string, flags = 0): RE2JS {
  if (pattern.length > PATTERN_CHARS_MAX) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${field} has ${pattern.length} characters, at most ${PATTERN_CHARS_MAX} are taken`,
      { field, value: pattern.length, limit: PATTERN_CHARS_MAX },
    );
  }
  try {
    return RE2JS.compile(RE2JS.translateRegExp(pattern), flags);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be read';
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${field} is no pattern that takes linear time (${why}): lookaround and backreferences are not taken`,
      { field, value: pattern },
      { cause },
    );
  }
}
