/**
 * The forms in which a known secret may be printed (contract agents §6, `ENV_SECRET`): as it is, in base64, escaped for
 * URLs, JSON and shells. A value of several lines is printed line by line, so each of its lines is a form.
 */

/** A form within one line, as Latin-1 of its bytes. */
export interface ValueForm {
  readonly text: string;
  /** In base64, the character before it, or behind it, holds bits of the value too. */
  readonly before?: true;
  readonly after?: true;
}

/** Shorter values, and shorter lines of values, are not looked for: everything would match. */
const VALUE_CHARS_MIN = 6;
/** `-----BEGIN … KEY-----` of a value must stay readable in others: it is how their private keys are found. */
const PEM_MARK = /^-----(?:BEGIN|END) /;

/** @returns none for a value that is too short. */
export function formsOf(value: string): readonly ValueForm[] {
  const whole = value.trim();
  const lines = whole.split(/[\r\n]+/).map((line) => line.trim());
  const texts = new Set<string>();
  for (const text of [whole, ...lines.filter((line) => !PEM_MARK.test(line))]) {
    if (text.length < VALUE_CHARS_MIN) continue;
    for (const escaped of escapedFormsOf(text)) texts.add(latin1(escaped));
  }
  if (whole.length >= VALUE_CHARS_MIN) for (const line of wrappedForms(whole)) texts.add(line);
  const plain = [...texts].filter((text) => text.length >= VALUE_CHARS_MIN && !/[\r\n]/.test(text));
  return [...plain.map((text) => ({ text })), ...(whole.length < VALUE_CHARS_MIN ? [] : base64Forms(whole))];
}

function escapedFormsOf(text: string): readonly string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const urls = [
    encodeURI(text.toWellFormed()),
    encodeURIComponent(text.toWellFormed()),
    percent(text, /[A-Za-z0-9._~-]/),
    percent(text, /[A-Za-z0-9._~/-]/),
    percent(text, /[A-Za-z0-9._*-]/).replaceAll('%20', '+'),
  ];
  const jsons = [
    json,
    json.replaceAll('/', String.raw`\/`),
    ascii(json),
    ascii(json).replaceAll(/[<>&]/g, unicode),
  ];
  return [
    text,
    ...urls,
    ...urls.map((url) => url.replaceAll(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())),
    ...jsons,
    ...jsons.map((each) => each.replaceAll(/\\u[0-9a-f]{4}/g, (hex) => `\\u${hex.slice(2).toUpperCase()}`)),
    JSON.stringify(json).slice(1, -1),
    text.replaceAll("'", String.raw`'\''`),
    text.replaceAll(/["$`\\]/g, String.raw`\$&`),
    text.replaceAll(/[^A-Za-z0-9_@%+=:,./-]/g, String.raw`\$&`),
  ];
}

function percent(text: string, kept: RegExp): string {
  let out = '';
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte);
    out += kept.test(char) ? char : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;
  }
  return out;
}

function ascii(text: string): string {
  return text.replaceAll(/[\u0080-\uFFFF]/g, unicode);
}

function unicode(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Within base64 of something longer a value begins at one of three bits; what depends on its neighbours is left out. */
function base64Forms(value: string): readonly ValueForm[] {
  const bytes = Buffer.from(value);
  const forms = new Map<string, ValueForm>();
  for (const shift of [0, 1, 2]) {
    const length = shift + bytes.length;
    const all = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    const from = Math.ceil((shift * 8) / 6);
    const text = all.slice(from, Math.floor((length * 8) / 6));
    const edges = {
      ...(shift === 0 ? {} : { before: true as const }),
      ...(length % 3 === 0 ? {} : { after: true as const }),
    };
    for (const each of [text, text.replaceAll('+', '-').replaceAll('/', '_')])
      forms.set(each, { text: each, ...edges });
  }
  return [...forms.values()];
}

/** As programs print long base64: 76 characters a line, or 64. */
function wrappedForms(value: string): readonly string[] {
  const all = Buffer.from(value).toString('base64');
  return [76, 64].flatMap((width) =>
    all.length <= width ? [] : (all.match(new RegExp(`.{1,${width}}`, 'g')) ?? []),
  );
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}
