/**
 * What a secret looks like (contract agents §6). Expressions match bytes, given as Latin-1: text of any encoding that
 * keeps ASCII as it is, and binary data. None matches across a line end, and each takes time linear in the line.
 */

/** Order matters where two could begin at one place. */
export type SecretType =
  | 'AWS_KEY'
  | 'AWS_SECRET'
  | 'GOOGLE_API_KEY'
  | 'PRIVATE_KEY'
  | 'GITHUB_TOKEN'
  | 'SLACK_TOKEN'
  | 'API_KEY'
  | 'JWT'
  | 'BEARER'
  | 'URL_CREDENTIALS'
  | 'PASSWORD'
  | 'ENV_SECRET';

/** Not in the middle of a longer word: `task-…` is no key. */
const LEFT = '(?<![A-Za-z0-9_-])';
/** A name has ended, perhaps with its quote: `"password": `, `token=`. */
const ASSIGNED = String.raw`(?:\\?["'])?[ \t]{0,16}(?:=>|[=:])[ \t]{0,16}`;
/** Stands for a secret, but is none, and then the value ends: masked, a place to fill in, a variable, the name of a type. */
const noValue = (end: string): string =>
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

/** `secret` is what is replaced; what stands before it in the match is kept. */
const SHAPES: readonly (readonly [type: SecretType, before: string, secret: string])[] = [
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
export const PLAIN = new RegExp(SHAPES.map(([, before, secret]) => `(${before})(${secret})`).join('|'), 'g');
export const PLAIN_TYPES: readonly SecretType[] = SHAPES.map(([type]) => type);
export const SECRET_TYPES: ReadonlySet<string> = new Set<SecretType>([
  ...PLAIN_TYPES,
  'PRIVATE_KEY',
  'PASSWORD',
  'ENV_SECRET',
]);

/**
 * Matches in every line that holds a secret, and hardly in others: what it does not match is clean, which is most text, so
 * this has to be fast. Each part begins with plain letters for that, and looks back only behind them.
 */
export const HINT = new RegExp(
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
export const NAMED = new RegExp(
  String.raw`((?!${SHELL_DIRECTORY})(?:${NAMES.join('|')})${ASSIGNED}${NO_VALUE})(${VALUE})`,
  'g',
);

export const PEM_BEGIN = /-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----/;
export const PEM_END = /-----END [A-Z0-9 ]{0,32}PRIVATE KEY[A-Z ]{0,32}-----/;
/** A line of a PEM block: base64, a header, or nothing; indented or not; perhaps with written-out line ends, as in JSON. */
export const PEM_LINE =
  /^[ \t]*(?:[A-Za-z0-9+/=]*(?:(?:(?:\\r)?\\n|\[REDACTED:ENV_SECRET\])[A-Za-z0-9+/=]*)*|(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID): [^\r\n]{0,1024})["',\\ \t]*\r?$/;
