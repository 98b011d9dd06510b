/** Bars as SVG, for the page: readable on light and dark, without a script, a font or a colour scheme of its own. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly shown: string;
  readonly kind: 'bound' | 'ours' | 'peer';
}

export interface Panel {
  readonly title: string;
  readonly note: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 860;
const LEFT = 270;
const RIGHT = 110;
const ROW = 26;
const HEAD = 58;
const GAP = 22;
const COLOUR = { bound: '#9aa5b1', ours: '#1f6f54', peer: '#b9772f' };

export function chart(title: string, footer: string, panels: readonly Panel[]): string {
  const parts: string[] = [];
  let y = 40;
  parts.push(text(20, y - 8, title, 'font-size="18" font-weight="600"'));
  for (const panel of panels) {
    parts.push(...drawPanel(panel, y));
    y += HEAD + panel.bars.length * ROW + GAP;
  }
  parts.push(text(20, y + 4, footer, 'font-size="11" fill="#52606d"'));
  const height = y + 20;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}" font-family="system-ui, sans-serif" fill="#1f2933">
<rect width="${WIDTH}" height="${height}" rx="6" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}

function drawPanel({ title, note, bars }: Panel, top: number): string[] {
  const most = Math.max(...bars.map(({ value }) => value));
  const parts = [
    text(20, top + 22, title, 'font-size="14" font-weight="600"'),
    text(20, top + 40, note, 'font-size="11" fill="#52606d"'),
  ];
  for (const [at, { label, value, shown, kind }] of bars.entries()) {
    const y = top + HEAD + at * ROW - 6;
    const width = Math.max(1, ((WIDTH - LEFT - RIGHT) * value) / most);
    const weight = kind === 'ours' ? ' font-weight="600"' : '';
    parts.push(
      text(LEFT - 10, y + 13, label, `font-size="12" text-anchor="end"${weight}`),
      `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="18" rx="2" fill="${COLOUR[kind]}"/>`,
      text(LEFT + width + 6, y + 13, shown, `font-size="12"${weight}`),
    );
  }
  return parts;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
