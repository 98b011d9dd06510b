/** Markup that cannot be broken out of: whatever is put into a template is escaped, unless it is markup itself. */
import { escapeControls } from '../../model/visible-text.ts';

export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Value = Markup | string | number | undefined | readonly Markup[];

export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  let text = parts[0] ?? '';
  for (const [at, value] of values.entries()) text += markupOf(value) + (parts[at + 1] ?? '');
  return new Markup(text);
}

export const NONE = new Markup('');

function markupOf(value: Value): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(({ text }) => text).join('');
  return value === undefined ? '' : escapeText(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** For text and for quoted attributes. Control characters and those that turn text around are shown, not obeyed. */
function escapeText(text: string): string {
  return escapeControls(text.toWellFormed()).replaceAll(/[&<>"'`]/g, (char) => ENTITIES[char] ?? '');
}

/** Text of the pack, which may be of any length. */
export function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}
