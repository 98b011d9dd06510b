/**
 * JSON of the files in a job directory (contract wrkr §d, "Line"): keys in the order given; `<`, `>`, `&`, U+2028 and
 * U+2029 are escaped; what is no UTF-8 becomes U+FFFD. Compact, or indented by two spaces as the CLI's results are.
 */
const ESCAPES: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

export function goJson(value: unknown, layout: 'compact' | 'indented' = 'compact'): string {
  const text = JSON.stringify(value, null, layout === 'indented' ? 2 : 0);
  return wellFormed(text).replaceAll(/[<>&\u2028\u2029]/g, (char) => ESCAPES[char] ?? char);
}

/** `JSON.stringify` escapes half surrogate pairs, and nothing else, as `\udXXX`. */
function wellFormed(text: string): string {
  if (!text.includes('\\ud')) return text;
  return text.replaceAll(/\\(?:u(d[89a-f][0-9a-f]{2})|.)/g, (escape, surrogate: string | undefined) =>
    surrogate === undefined ? escape : '\uFFFD',
  );
}
