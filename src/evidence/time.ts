/**
 * Times of a pack: RFC 3339 in UTC with `Z`, up to nine digits of fraction, trailing zeros cut, no fraction when it is
 * zero (contract wrkr §f, W46). A reader of the reference prints a time that it has read in this very form and hashes
 * that, so every other form fails there.
 */
const RFC_3339 =
  /^(\d{4}-(\d{2})-(\d{2}))[Tt]((\d{2}):(\d{2}):(\d{2}))(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/** The last one asked for: an event, its checkpoint and its schema ask for the same one after the other. */
let known: { readonly text: string; readonly trimmed: string | undefined } = { text: '', trimmed: undefined };

/** The trimmed form; undefined for what is no RFC 3339 date-time. */
export function trimmedTime(text: string): string | undefined {
  if (text !== known.text) known = { text, trimmed: trim(text) };
  return known.trimmed;
}

function trim(text: string): string | undefined {
  const parts = RFC_3339.exec(text);
  if (parts === null) return undefined;
  const [, date = '', month = '', day = '', clock = '', hour = '', minute = '', second = ''] = parts;
  if (hour > '23' || minute > '59' || second > '59' || !isDay(date, Number(month), Number(day)))
    return undefined;
  const fraction = (parts[8] ?? '').slice(0, 9).replace(/0+$/, '');
  const tail = fraction === '' ? 'Z' : `.${fraction}Z`;
  const [, , , , , , , , , sign, hours = '0', minutes = '0'] = parts;
  if (sign === undefined) return `${date}T${clock}${tail}`;
  if (hours > '23' || minutes > '59') return undefined;
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000;
  const utc = new Date(Date.parse(`${date}T${clock}Z`) - (sign === '-' ? -offsetMs : offsetMs));
  const moved = utc.toISOString();
  return moved.length === 24 ? `${moved.slice(0, 19)}${tail}` : undefined;
}

/** @throws RangeError outside of the years 0000 to 9999, which RFC 3339 cannot say. */
export function timeText(ms: number): string {
  const text = new Date(ms).toISOString();
  if (text.length !== 24) throw new RangeError(`${ms} ms is no time that RFC 3339 can say`);
  return text.replace(/\.?0*Z$/, 'Z');
}

/** Order of two trimmed times. Without the `Z`, a time without fraction is the beginning of one with. */
export function compareTimes(a: string, b: string): number {
  const [x, y] = [a.slice(0, -1), b.slice(0, -1)];
  if (x === y) return 0;
  return x < y ? -1 : 1;
}

function isDay(date: string, month: number, day: number): boolean {
  if (month < 1 || month > 12 || day < 1) return false;
  if (day <= 28) return true;
  const at = new Date(`${date}T00:00:00Z`);
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day;
}
