// What a secret looks like (contract agents §6). A package of a skill stands alone, so this is said twice: here and in the
// runner's redaction. test/skills/secrets.test.ts holds both against one corpus.

/** Begins every secret below: most text has none of these. */
const HINT =
  /AKIA|ASIA|AIza|-----B|gh[pousr]_|github_pat_|xox[abprs]-|sk[-_]|eyJ|:\/\/|[Bb][Ee][Aa][Rr][Ee][Rr]|[Aa][Uu][Tt][Hh][Oo][Rr]|[Pp][Aa][Ss][Ss][Ww]|[Pp][Ww][Dd]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Tt][Oo][Kk][Ee][Nn]|[Aa][Pp][Ii][_-]?[Kk][Ee][Yy]/;

/** Not in the middle of a longer word: `task-…` is no key. */
const LEFT = '(?<![A-Za-z0-9_-])';
/** A name has ended, perhaps with its quote: `"password": `, `token=`. */
const ASSIGNED = String.raw`(?:\\?["'])?[ \t]{0,16}(?:=>|[=:])[ \t]{0,16}`;
/** Stands for a secret, but is none: masked, a place to fill in, a variable, the name of a type. */
const NO_VALUE = String.raw`(?!(?:\\?["'])?(?:\[REDACTED|\*{3}|<|\$|\{\{|%[A-Z(]|(?:null|none|undefined|string|number|boolean|true|false)(?![A-Za-z0-9_])))`;
/**
 * A value: quoted, with escaped quotes inside, or up to what ends a word. Without quotes nobody can tell a separator
 * from a part of the value, so all is taken but closing marks at the very end.
 */
const QUOTED = String.raw`"(?:[^"\\\r\n]|\\[^\r\n]){6,}(?:"|(?=[\r\n])|$)|'(?:[^'\\\r\n]|\\[^\r\n]){6,}(?:'|(?=[\r\n])|$)`;
const VALUE = String.raw`(?:\\"[^"\\\r\n]{6,}(?:\\"|(?=[\r\n])|$)|${QUOTED}|[^ \t\r\n\v\f"'\x60]{5,}[^ \t\r\n\v\f"'\x60,;(){}\[\]\\])`;

const AUTHORIZATION = String.raw`[Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn]${ASSIGNED}(?:\\?["'])?`;

/**
 * Type, what stands before it, and the secret itself.
 * @type {readonly (readonly [type: string, before: string, secret: string])[]}
 */
const SHAPES = [
  ['AWS_KEY', LEFT, String.raw`(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])`],
  ['GOOGLE_API_KEY', LEFT, 'AIza[0-9A-Za-z_-]{35}'],
  ['GITHUB_TOKEN', LEFT, String.raw`(?:gh[pousr]_[A-Za-z0-9_]{36,}|github_pat_[A-Za-z0-9_]{22,})`],
  ['SLACK_TOKEN', LEFT, 'xox[abprs]-[A-Za-z0-9-]{10,}'],
  ['API_KEY', LEFT, '(?:sk-[A-Za-z0-9_-]{16,}|sk_(?:live|test)_[A-Za-z0-9]{16,})'],
  ['JWT', LEFT, String.raw`eyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_.=-]{4,}`],
  [
    'AWS_SECRET',
    String.raw`[Ss][Ee][Cc][Rr][Ee][Tt][_-]?(?:[Aa][Cc][Cc][Ee][Ss][Ss][_-]?)?(?:[Kk][Ee][Yy])?${ASSIGNED}(?:\\?["'])?`,
    '[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])',
  ],
  [
    'BEARER',
    String.raw`${AUTHORIZATION}(?:[Bb](?:earer|EARER)|BASIC|[Bb]asic|[Tt]oken|TOKEN|[Dd]igest|[Nn]egotiate|[Aa]pi[Kk]ey)[ \t]{1,16}${NO_VALUE}`,
    String.raw`[A-Za-z0-9._~+\/=:-]{6,}`,
  ],
  ['BEARER', AUTHORIZATION + NO_VALUE, String.raw`[A-Za-z0-9._~+\/=:-]{16,}`],
  [
    'BEARER',
    String.raw`${LEFT}[Bb](?:earer|EARER)[ \t]{1,16}${NO_VALUE}`,
    String.raw`[A-Za-z0-9._~+\/=-]{16,}`,
  ],
  [
    'URL_CREDENTIALS',
    String.raw`(?<=[A-Za-z0-9+.-]):\/\/[^ \t\r\n\v\f\/:@"'<>?#]{0,256}:${NO_VALUE}`,
    String.raw`[^ \t\r\n\v\f\/@"'<>]{1,1024}(?=@)`,
  ],
];

/** All of them in one expression: groups come in pairs, kept and secret, in the order of `PLAIN_TYPES`. */
const PLAIN = new RegExp(SHAPES.map(([, before, secret]) => `(${before})(${secret})`).join('|'), 'g');
const PLAIN_TYPES = SHAPES.map(([type]) => type);

/** `PWD=/somewhere` in a listing of the environment. */
const SHELL_DIRECTORY = String.raw`(?:(?<![A-Za-z0-9_])|(?<=(?<![A-Za-z0-9_])OLD))PWD=\/`;

/** Values that only their name gives away. Looked for after the others, so that those keep their own type. */
const NAMED = new RegExp(
  String.raw`((?!${SHELL_DIRECTORY})(?:[Pp][Aa][Ss][Ss][Ww](?:[Oo][Rr])?[Dd]|[Pp][Ww][Dd]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Tt][Oo][Kk][Ee][Nn]|[Aa][Pp][Ii][_-]?[Kk][Ee][Yy])${ASSIGNED}${NO_VALUE})(${VALUE})`,
  'g',
);

const PEM_BEGIN = /-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----/;
const PEM_END = /-----END [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----/;
/** A line of a PEM block: base64, a header, or nothing; indented or not; perhaps with written-out line ends, as in JSON. */
const PEM_LINE =
  /^[ \t]*(?:[A-Za-z0-9+/=]*(?:(?:\\r)?\\n[A-Za-z0-9+/=]*)*|(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID): [^\r\n]{0,1024})["',\\ \t]*\r?$/;

/** After that many lines without an end a private key is none. */
const PEM_LINES_MAX = 1000;

/**
 * The secrets in a text, in order. Never the values themselves.
 * @param {string} text
 * @returns {{type: string, line: number, column: number}[]} line and column count from 1
 */
export function findSecrets(text) {
  return spans(text).map(({ type, line, from }) => ({ type, line: line + 1, column: from + 1 }));
}

/**
 * The same text with `[REDACTED:<TYPE>]` for each secret. Lines stay lines.
 * @param {string} text
 * @returns {string}
 */
export function redactSecrets(text) {
  if (!HINT.test(text)) return text;
  const lines = text.split('\n');
  for (const { type, line, from, to, inner } of spans(text).toReversed()) {
    const whole = lines[line] ?? '';
    lines[line] = `${whole.slice(0, from)}[REDACTED:${type}]${whole.slice(to)}`;
    for (const at of inner) lines[at] = '';
  }
  return lines.join('\n');
}

/**
 * @typedef {{type: string, line: number, from: number, to: number, inner: number[]}} Span what is replaced of a line;
 *   `inner` are the other lines of a private key
 * @param {string} text
 * @returns {Span[]}
 */
function spans(text) {
  if (!HINT.test(text)) return [];
  const lines = text.split('\n');
  /** @type {Span[]} */
  const found = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (!HINT.test(line)) continue;
    const begin = PEM_BEGIN.exec(line);
    for (const span of inLine(line, begin?.index ?? line.length))
      found.push({ ...span, line: at, inner: [] });
    if (begin === null) continue;
    const key = privateKey(lines, at, begin.index);
    found.push(key);
    at += key.inner.length;
  }
  return found;
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} from
 * @returns {Span} the whole block, or what there is of it
 */
function privateKey(lines, at, from) {
  const first = lines[at] ?? '';
  const span = { type: 'PRIVATE_KEY', line: at, from, to: first.length, inner: /** @type {number[]} */ ([]) };
  const end = PEM_END.exec(first);
  if (end !== null) return { ...span, to: end.index + end[0].length };
  for (let next = at + 1; next < lines.length && next - at < PEM_LINES_MAX; next++) {
    const line = lines[next] ?? '';
    const isEnd = PEM_END.test(line);
    if (!isEnd && !PEM_LINE.test(line)) break;
    span.inner.push(next);
    if (isEnd) break;
  }
  return span;
}

/**
 * Secrets within the first `length` characters of a line: those that are plain to see, then those that only their name
 * gives away.
 * @param {string} line
 * @param {number} length
 */
function inLine(line, length) {
  const text = line.slice(0, length);
  const found = [...text.matchAll(PLAIN)].map((match) => {
    const at = PLAIN_TYPES.findIndex((_, index) => match[2 * index + 2] !== undefined);
    const from = match.index + (match[2 * at + 1] ?? '').length;
    return { type: PLAIN_TYPES[at] ?? 'API_KEY', from, to: match.index + match[0].length };
  });
  for (const match of text.matchAll(NAMED)) {
    const value = match[2] ?? '';
    const quote = /^(?:\\?["'])?/.exec(value)?.[0] ?? '';
    const isClosed = value.length > quote.length && value.endsWith(quote);
    const from = match.index + (match[1] ?? '').length + quote.length;
    const to = match.index + match[0].length - (isClosed ? quote.length : 0);
    if (!found.some((other) => other.from < to && from < other.to))
      found.push({ type: 'PASSWORD', from, to });
  }
  return found.toSorted((a, b) => a.from - b.from);
}
