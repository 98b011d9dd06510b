/** Aligned columns. Where the width is short, columns that may shrink do, the widest first. */
import { cutText, plainText, styled, styleOf, textWidth, type Line, type Span } from './text.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut to this width; absent: never cut. */
  readonly min?: number;
}

const GAP = '  ';

export function table(
  columns: readonly Column[],
  rows: readonly (readonly Span[])[],
  width: number,
  indent = '',
): Line[] {
  const cells = rows.map((row) =>
    columns.map((_, at) => ({ text: plainText(row[at] ?? ''), style: styleOf(row[at] ?? '') })),
  );
  const natural = columns.map(({ title }, at) =>
    Math.max(title.length, ...cells.map((row) => textWidth(row[at]?.text ?? ''))),
  );
  const widths = shrink(columns, natural, width - indent.length - GAP.length * (columns.length - 1));
  const header = columns.map(({ title }) => ({ text: title, style: 'dim' as const }));
  return [header, ...cells].map((row) =>
    row.flatMap(({ text, style }, at): Span[] => {
      const room = widths[at] ?? 0;
      const shown = cutText(text, room);
      const blank = ' '.repeat(Math.max(0, room - textWidth(shown)));
      const before = at === 0 ? indent : GAP;
      return columns[at]?.align === 'right'
        ? [before + blank, styled(shown, style)]
        : [before, styled(shown, style), blank];
    }),
  );
}

function shrink(columns: readonly Column[], natural: readonly number[], room: number): number[] {
  const widths = [...natural];
  for (let over = widths.reduce((sum, each) => sum + each, 0) - room; over > 0; over -= 1) {
    let widest = -1;
    for (const [at, each] of widths.entries()) {
      const least = columns[at]?.min;
      if (least !== undefined && each > least && each > (widths[widest] ?? 0)) widest = at;
    }
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
