/** Colours: only on a terminal, never with NO_COLOR, always with FORCE_COLOR (which wins, as in Node itself). */
import pc from 'picocolors';

/** `command` is a line to be copied: it is never cut where lines may wrap. */
export type Style = 'plain' | 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan' | 'command';
export type Palette = Readonly<Record<Style, (text: string) => string>>;

type Env = Readonly<Record<string, string | undefined>>;

export const PLAIN: Palette = palette(false);
export const COLOURS: Palette = palette(true);

export function paletteFor(stream: { readonly isTTY?: boolean }, env: Env): Palette {
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced === '0' || forced === 'false' ? PLAIN : COLOURS;
  const isRefused = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return stream.isTTY === true && !isRefused ? COLOURS : PLAIN;
}

function palette(enabled: boolean): Palette {
  const { bold, dim, green, red, yellow, cyan } = pc.createColors(enabled);
  return { plain: String, bold, dim, green, red, yellow, cyan, command: cyan };
}
