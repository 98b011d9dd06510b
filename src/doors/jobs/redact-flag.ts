import { ReeveError } from '../../model/errors.ts';
import { compilePattern } from '../../policy/redaction/pattern-redactor.ts';

/** A value of `--redact`. @throws ReeveError E_INVALID_INPUT_SCHEMA when it is no regular expression. */
export function requirePattern(pattern: string): RegExp {
  try {
    return compilePattern(pattern);
  } catch (cause) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `--redact ${JSON.stringify(pattern)} is no regular expression`,
      { field: 'redact', value: pattern },
      { cause },
    );
  }
}
