// Personal data in the files of a tree. What is told is the kind and the place, never a part of the value.

import { files, matches } from '#lib/files.mjs';
import { skill } from '#skill';

const SSN = /(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])/g;
const CARD =
  /(?<![\d.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![\d-]|\.\d)/g;
const IBAN = /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}/g;
const EMAIL =
  /(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])/g;

/** Issuers: how their numbers begin, and how long they are. */
const ISSUERS = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^(?:30[0-5]|36|38)/, [14, 16]],
  [/^(?:6011|64[4-9]|65|62)/, [16, 19]],
  [/^35/, [16]],
];
/** Length by country. */
const IBAN_LENGTHS = new Map(
  'AD24 AT20 BA20 BE16 BG22 CH21 CY28 CZ24 DE22 DK18 EE20 ES24 FI18 FR27 GB22 GI23 GR27 HR21 HU28 IE22 IS26 IT27 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MT31 NL18 NO15 PL28 PT25 RO24 RS22 SA24 SE24 SI19 SK24 SM27 TR26 UA29 AE23 BR29 IL23'
    .split(' ')
    .map((text) => [text.slice(0, 2), Number(text.slice(2))]),
);
/** Domains that stand for nobody (RFC 2606, RFC 6761), and ends of file names such as `icon@2x.png`. */
const NOBODY =
  /(?:^|[@.])(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost|local)$|\.(?:png|jpe?g|gif|svg|webp|css|m?js|tsx?)$/i;
const LOCAL_OF_PROGRAMS = /^(?:git|no-?reply|donotreply)@|@users\.noreply\./i;

function isCard(text) {
  const digits = text.replace(/[ -]/g, '');
  if (!ISSUERS.some(([begin, lengths]) => begin.test(digits) && lengths.includes(digits.length)))
    return false;
  let sum = 0;
  for (const [at, digit] of [...digits].toReversed().entries()) {
    const value = Number(digit) * (at % 2 === 1 ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

function isIban(text) {
  const packed = text.replace(/ /g, '');
  const length = IBAN_LENGTHS.get(packed.slice(0, 2));
  if (length === undefined || packed.length < length) return false;
  // A word may follow; what is an account has the length of its country.
  const iban = packed.slice(0, length);
  const digits = `${iban.slice(4)}${iban.slice(0, 4)}`.replace(/[A-Z]/g, (letter) =>
    String(letter.charCodeAt(0) - 55),
  );
  return BigInt(digits) % 97n === 1n;
}

const KINDS = [
  ['ssn', 'social security number', SSN, () => true, 'high'],
  ['card', 'card number', CARD, isCard, 'high'],
  ['iban', 'bank account', IBAN, isIban, 'medium'],
];

/** E-mail addresses by file: they come in numbers, and one line for each would hide the rest. */
function lookForEmails(ctx, { name, text }, domains) {
  const lines = [];
  for (const { match, line } of matches(text, EMAIL)) {
    const address = match[0].toLowerCase();
    const domain = address.slice(address.indexOf('@') + 1);
    const isAllowed = domains.some((one) => domain === one || domain.endsWith(`.${one}`) || address === one);
    if (!isAllowed && !NOBODY.test(domain) && !LOCAL_OF_PROGRAMS.test(address)) lines.push(line);
  }
  if (lines.length === 0) return 0;
  const message = `e-mail address (${lines.length}, first in line ${lines[0]})`;
  ctx[ctx.args.emails]('email', { where: name, message, severity: 'low' });
  return lines.length;
}

await skill({
  url: import.meta.url,
  positionals: ['path'],
  help: {
    path: 'file or folder',
    allow: 'what is left out, with commas between: globs of files, @domain or address of e-mails',
    emails: 'what an e-mail address is',
    'max-bytes': 'larger files are not looked into',
  },
  async check(ctx) {
    const words = ctx.words('allow');
    const domains = words
      .filter((word) => word.includes('@'))
      .map((word) => word.replace(/^@/, '').toLowerCase());
    const globs = words.filter((word) => !word.includes('@'));
    const counts = { files: 0, binary: 0, ssn: 0, card: 0, iban: 0, email: 0 };
    for await (const file of files(ctx, ctx.args.path, { maxBytes: ctx.args['max-bytes'], allow: globs })) {
      counts.files++;
      if (!file.isText) {
        counts.binary++;
        continue;
      }
      for (const [id, what, pattern, isOne, severity] of KINDS) {
        for (const { match, line } of matches(file.text, pattern)) {
          if (!isOne(match[0])) continue;
          counts[id]++;
          ctx.fail(id, { where: `${file.name}:${line}`, message: what, severity });
        }
      }
      if (ctx.args.emails !== 'off') counts.email += lookForEmails(ctx, file, domains);
    }
    for (const [name, count] of Object.entries(counts)) ctx.metric(name, count);
    if (counts.files === 0 && !ctx.report.findings.length) ctx.skip(`${ctx.args.path} holds no files`);
    const found = counts.ssn + counts.card + counts.iban + counts.email;
    if (found === 0) ctx.ok(ctx.args.path, `no personal data in ${counts.files} files`);
  },
});
