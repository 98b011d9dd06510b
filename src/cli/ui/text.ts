/**
 * Lines before they are coloured: pieces of text with a style. Only `paint` makes strings for a terminal of them, so every
 * text is escaped, measured and cut in one place, and styles never count as width.
 */
import { escapeControls } from '../output.ts';
import type { Palette, Style } from './colour.ts';

export type Span = string | { readonly text: string; readonly style: Style };
export type Line = readonly Span[];

export function styled(text: string, style: Style): Span {
  return { text, style };
}

/** The line as a terminal shows it: control characters escaped, cut to the width, trailing blanks gone. */
export function paint(line: Line, width: number, palette: Palette): string {
  const spans = trimEnd(line.map((span) => ({ text: plainText(span), style: styleOf(span) })));
  const isCut = spans.reduce((sum, { text }) => sum + textWidth(text), 0) > width;
  let room = isCut ? Math.max(0, width - 1) : width;
  let painted = '';
  for (const { text, style } of spans) {
    const shown = isCut ? takeWidth(text, room) : text;
    painted += shown === '' ? '' : palette[style](shown);
    if (isCut) room -= textWidth(shown);
    if (shown !== text) break;
  }
  return isCut && width > 0 ? `${painted}…` : painted;
}

/** What a span shows, without its style. */
export function plainText(span: Span): string {
  return escapeControls(typeof span === 'string' ? span : span.text).toWellFormed();
}

export function styleOf(span: Span): Style {
  return typeof span === 'string' ? 'plain' : span.style;
}

function trimEnd(spans: { text: string; style: Style }[]): { text: string; style: Style }[] {
  for (let last = spans.at(-1); last !== undefined; last = spans.at(-1)) {
    last.text = last.text.trimEnd();
    if (last.text !== '') break;
    spans.pop();
  }
  return spans;
}

const ASCII = /^[\u0020-\u007e]*$/;
const INVISIBLE = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]+$/u;
const EMOJI = /\p{Emoji_Presentation}|\u{fe0f}|\p{Regional_Indicator}{2}/u;
/** East Asian Wide and Fullwidth, in blocks. */
const WIDE =
  /^[\u{1100}-\u{115f}\u{2e80}-\u{303e}\u{3041}-\u{33ff}\u{3400}-\u{4dbf}\u{4e00}-\u{9fff}\u{a000}-\u{a4cf}\u{a960}-\u{a97f}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]/u;
let segmenter: Intl.Segmenter | undefined;

function graphemes(text: string): string[] {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return [...segmenter.segment(text)].map(({ segment }) => segment);
}

/** Columns that a terminal gives the text. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  return graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0);
}

function graphemeWidth(grapheme: string): number {
  if (ASCII.test(grapheme)) return grapheme.length;
  if (INVISIBLE.test(grapheme)) return 0;
  return EMOJI.test(grapheme) || WIDE.test(grapheme) ? 2 : 1;
}

/** As much of the text as fits. */
function takeWidth(text: string, width: number): string {
  if (ASCII.test(text)) return text.slice(0, width);
  let taken = '';
  let room = width;
  for (const grapheme of graphemes(text)) {
    room -= graphemeWidth(grapheme);
    if (room < 0) break;
    taken += grapheme;
  }
  return taken;
}

/** The text, cut with an ellipsis where it does not fit. */
export function cutText(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  return width <= 0 ? '' : `${takeWidth(text, width - 1).trimEnd()}…`;
}

/** The text in lines of at most this width, broken at blanks; what is beyond the last line is cut. */
export function wrapText(text: string, width: number, linesMax: number): string[] {
  const lines: string[] = [];
  let line = '';
  const words = text.split(' ');
  for (const [at, word] of words.entries()) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line === '' || textWidth(longer) <= width) {
      line = longer;
    } else if (lines.length === linesMax - 1) {
      return [...lines, cutText([line, ...words.slice(at)].join(' '), width)];
    } else {
      lines.push(cutText(line, width));
      line = word;
    }
  }
  return [...lines, cutText(line, width)];
}
