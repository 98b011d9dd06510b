// What a secret looks like (contract agents §6). A package of a skill stands alone, so this is said twice: here and in the
// runner's redaction. test/skills/secrets.test.ts holds both against one corpus.

/** Not in the middle of a longer word: `task-…` is no key. */
const LEFT = '(?<![A-Za-z0-9_-])';
/** A name has ended, perhaps with its quote: `"password": `, `token=`. */
const ASSIGNED = String.raw`(?:\\?["'])?[ \t]{0,16}(?:=>|[=:])[ \t]{0,16}`;
/**
 * Stands for a secret, but is none, and then the value ends: masked, a place to fill in, a variable, the name of a type.
 * @param {string} end
 */
const noValue = (end) =>
  String.raw`(?!(?:\\?["'])?(?:\[REDACTED|(?:\*{3,}|<[^<>\r\n]{0,256}>|(?:\$(?:[A-Za-z_][A-Za-z0-9_]{0,128}|\d|\{[^{}\r\n]{0,256}\}|\([^()\r\n]{0,256}\)))+|\$?\{\{[^{}\r\n]{0,256}\}\}|%[A-Z_]{1,128}%|%\([a-z_]{1,128}\)s|null|none|undefined|string|number|boolean|true|false)(?:[${end}]|$)))`;
const NO_VALUE = noValue(String.raw`\s"'\x60,;(){}<>\[\]|&\\`);
/**
 * A value: quoted, with escaped quotes inside, or up to what ends a word. Without quotes nobody can tell a separator
 * from a part of the value, so all is taken but closing marks at the very end.
 */
const QUOTED = String.raw`"(?:[^"\\\r\n]|\\[^\r\n]){6,}(?:"|(?=[\r\n])|$)|'(?:[^'\\\r\n]|\\[^\r\n]){6,}(?:'|(?=[\r\n])|$)`;
const VALUE = String.raw`(?:\\"[^"\\\r\n]{6,}(?:\\"|(?=[\r\n])|$)|${QUOTED}|[^ \t\r\n\v\f"'\x60]{5,}(?:[^ \t\r\n\v\f"'\x60,;(){}\[\]\\]|(?<=\[REDACTED:[A-Z_]{3,32})\]))`;

const AUTHORIZATION_NAME = '[Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn]';
const AUTHORIZATION = String.raw`${AUTHORIZATION_NAME}${ASSIGNED}(?:\\?["'])?`;

const NAMES = [
  '[Pp][Aa][Ss][Ss][Ww](?:[Oo][Rr])?[Dd]',
  '[Pp][Ww][Dd]',
  '[Ss][Ee][Cc][Rr][Ee][Tt]',
  '[Tt][Oo][Kk][Ee][Nn]',
  '[Aa][Pp][Ii][_-]?[Kk][Ee][Yy]',
];
const AWS_NAME = '[Ss][Ee][Cc][Rr][Ee][Tt][_-]?(?:[Aa][Cc][Cc][Ee][Ss][Ss][_-]?)?(?:[Kk][Ee][Yy])?';
const USER = String.raw`:\/\/[^ \t\r\n\v\f\/:@"'<>?#]{0,256}:`;
const PASSWORD_IN_URL = String.raw`[^ \t\r\n\v\f\/@"'<>]{1,1024}(?=@)`;

/**
 * `secret` is what is replaced; what stands before it in the match is kept.
 * @type {readonly (readonly [type: string, before: string, secret: string])[]}
 */
const SHAPES = [
  ['AWS_KEY', '', '(?:AKIA|ASIA)[0-9A-Z]{16,}'],
  ['GOOGLE_API_KEY', '', 'AIza[0-9A-Za-z_-]{35,}'],
  ['GITHUB_TOKEN', '', String.raw`(?:gh[pousr]_[A-Za-z0-9_]{36,}|github_pat_[A-Za-z0-9_]{22,})`],
  ['SLACK_TOKEN', '', 'xox[abprs]-[A-Za-z0-9-]{10,}'],
  ['API_KEY', LEFT, '(?:sk-[A-Za-z0-9_-]{16,}|sk_(?:live|test)_[A-Za-z0-9]{16,})'],
  ['JWT', LEFT, String.raw`eyJ[A-Za-z0-9_-]{8,8192}\.eyJ[A-Za-z0-9_.=-]{4,}`],
  ['AWS_SECRET', String.raw`${AWS_NAME}${ASSIGNED}(?:\\?["'])?`, '[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])'],
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
  ['URL_CREDENTIALS', `(?<=[A-Za-z0-9+.-])${USER}${noValue('@')}`, PASSWORD_IN_URL],
];

/** All that are plain to see, in one expression: groups come in pairs, kept and secret, in the order of `PLAIN_TYPES`. */
const PLAIN = new RegExp(SHAPES.map(([, before, secret]) => `(${before})(${secret})`).join('|'), 'g');
const PLAIN_TYPES = SHAPES.map(([type]) => type);

/**
 * Matches in every line that holds a secret, and hardly in others: what it does not match is clean, which is most text, so
 * this has to be fast. Each part begins with plain letters for that, and looks back only behind them.
 */
const HINT = new RegExp(
  [
    'AKIA|ASIA|AIza|-----BEGIN |gh[pousr]_|github_pat_|xox[abprs]-|eyJ',
    'sk[-_](?<=(?<![A-Za-z0-9_-])...)',
    USER + PASSWORD_IN_URL,
    String.raw`[Bb](?:earer|EARER)[ \t]`,
    ...[AUTHORIZATION_NAME, AWS_NAME, ...NAMES].map((name) => name + ASSIGNED),
  ].join('|'),
);

/** `PWD=/somewhere` in a listing of the environment. */
const SHELL_DIRECTORY = String.raw`(?:(?<![A-Za-z0-9_])|(?<=(?<![A-Za-z0-9_])OLD))PWD=\/`;

/** Values that only their name gives away. Looked for after the others, so that those keep their own type. */
const NAMED = new RegExp(
  String.raw`((?!${SHELL_DIRECTORY})(?:${NAMES.join('|')})${ASSIGNED}${NO_VALUE})(${VALUE})`,
  'g',
);

const PEM_BEGIN = /-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----/;
const PEM_END = /-----END [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----/;
/** A line of a PEM block: base64, a header, or nothing; indented or not; perhaps with written-out line ends, as in JSON. */
const PEM_LINE =
  /^[ \t]*(?:[A-Za-z0-9+/=]*(?:(?:(?:\\r)?\\n|\[REDACTED:ENV_SECRET\])[A-Za-z0-9+/=]*)*|(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID): [^\r\n]{0,1024})["',\\ \t]*\r?$/;

/** After that many lines without an end a private key is none. */
const PEM_LINES_MAX = 1000;

/**
 * The secrets in a text, in order. Never the values themselves.
 * @param {string} text
 * @returns {{type: string, line: number, column: number}[]} line and column count from 1
 */
export function findSecrets(text) {
  /** @type {{type: string, line: number, column: number}[]} */
  const found = [];
  for (const { plain, line, column, key } of pieces(text)) {
    for (const { type, at } of inLine(plain)) found.push({ type, line, column: column + at });
    if (key !== undefined) found.push({ type: 'PRIVATE_KEY', line, column: column + plain.length });
  }
  return found;
}

/**
 * The same text with `[REDACTED:<TYPE>]` for each secret. Lines stay lines.
 * @param {string} text
 * @returns {string}
 */
export function redactSecrets(text) {
  if (!HINT.test(text)) return text;
  let out = '';
  for (const { plain, key, isLast } of pieces(text)) {
    out += redactLine(plain);
    if (key !== undefined) out += `[REDACTED:PRIVATE_KEY]${'\n'.repeat(key)}`;
    else if (!isLast) out += '\n';
  }
  return out;
}

/**
 * Lines, and private keys with what stands before them in theirs.
 * @param {string} text
 * @returns {Generator<{plain: string, line: number, column: number, key: number | undefined, isLast: boolean}>} `key`: a
 *   private key follows, which goes over that many line ends
 */
function* pieces(text) {
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    let [rest, column] = [lines[at] ?? '', 1];
    for (let begin = PEM_BEGIN.exec(rest); begin !== null; begin = PEM_BEGIN.exec(rest)) {
      const [plain, line] = [rest.slice(0, begin.index), at + 1];
      const after = keyEnd(lines, at, rest.slice(begin.index + begin[0].length));
      yield { plain, line, column, key: after.at - at, isLast: false };
      rest = after.rest;
      at = after.at;
      column = (lines[at] ?? '').length - rest.length + 1;
    }
    yield { plain: rest, line: at + 1, column, key: undefined, isLast: at === lines.length - 1 };
  }
}

/**
 * @param {string[]} lines
 * @param {number} first the line in which the key begins
 * @param {string} behind what follows in it
 * @returns {{at: number, rest: string}} the line in which it ends, and what follows there
 */
function keyEnd(lines, first, behind) {
  let [at, rest] = [first, behind];
  for (;;) {
    const end = PEM_END.exec(rest);
    if (end !== null) return { at, rest: rest.slice(end.index + end[0].length) };
    if (!PEM_LINE.test(rest)) return { at, rest };
    if (at + 1 === lines.length || at - first > PEM_LINES_MAX) return { at, rest: '' };
    at++;
    rest = lines[at] ?? '';
  }
}

/**
 * Those that are plain to see, then those that only their name gives away.
 * @param {string} line
 */
function inLine(line) {
  if (!HINT.test(line)) return [];
  const plain = [...line.matchAll(PLAIN)].map((match) => {
    const group = groupOf(match);
    return { type: PLAIN_TYPES[group] ?? 'API_KEY', at: match.index + (match[2 * group + 1] ?? '').length };
  });
  const named = [...line.matchAll(NAMED)].map((match) => {
    const { before } = unquoted(match[2] ?? '');
    return { type: 'PASSWORD', at: match.index + (match[1] ?? '').length + before.length };
  });
  // What is plain to see keeps its own type.
  const own = named.filter(({ at }) => !plain.some((one) => one.at === at));
  return [...plain, ...own].toSorted((a, b) => a.at - b.at);
}

/** @param {string} line */
function redactLine(line) {
  if (!HINT.test(line)) return line;
  const known = line.replace(PLAIN, (...match) => {
    const group = groupOf(match);
    return `${match[2 * group + 1] ?? ''}[REDACTED:${PLAIN_TYPES[group] ?? 'API_KEY'}]`;
  });
  return known.replace(NAMED, (_, name, value) => {
    const { before, after } = unquoted(value);
    return `${name}${before}[REDACTED:PASSWORD]${after}`;
  });
}

/** @param {readonly (string | undefined)[]} match */
const groupOf = (match) => PLAIN_TYPES.findIndex((_, index) => match[2 * index + 2] !== undefined);

/**
 * The quotes of a value. They may be escaped, and the second may be missing.
 * @param {string} value
 */
function unquoted(value) {
  const before = /^(?:\\?["'])?/.exec(value)?.[0] ?? '';
  const isClosed = value.length > before.length && value.endsWith(before);
  return { before, after: isClosed ? before : '' };
}
