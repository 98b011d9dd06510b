/**
 * A block of lines that is redrawn in place. Whatever else is written to the same stream meanwhile appears above it, and
 * the terminal is left as it was found: block gone, cursor visible.
 */
import type { CliContext } from '../command.ts';
import { paletteFor, type Palette } from './colour.ts';
import { paint, textWidth, type Line } from './text.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** Width that lines are cut to: that of the terminal; a file has no width. */
export function widthOf(stream: { readonly isTTY?: boolean; readonly columns?: number }): number {
  if (stream.isTTY !== true) return Infinity;
  return stream.columns !== undefined && stream.columns > 0 ? stream.columns : 80;
}

function heightOf({ rows }: { readonly rows?: number }): number {
  return rows !== undefined && rows > 0 ? rows : 24;
}

/** Whether a view that moves may be drawn there. */
export function isLive(
  stream: { readonly isTTY?: boolean },
  { json, env }: Pick<CliContext, 'json' | 'env'>,
): boolean {
  return stream.isTTY === true && !json && env['TERM'] !== 'dumb';
}

export class LiveBlock {
  readonly #stream: NodeJS.WriteStream;
  readonly #palette: Palette;
  /** The stream's own way of writing, as it was before. */
  readonly #write: NodeJS.WriteStream['write'];
  readonly #before: PropertyDescriptor | undefined;
  /** Widths of the lines that stand there. */
  #drawn: readonly number[] = [];
  #lines: readonly Line[] = [];
  #isOpen = true;
  #isHidden = false;

  constructor(stream: NodeJS.WriteStream, env: CliContext['env']) {
    this.#stream = stream;
    this.#palette = paletteFor(stream, env);
    this.#write = stream.write.bind(stream);
    this.#before = Object.getOwnPropertyDescriptor(stream, 'write');
    stream.write = this.#writeAbove as typeof stream.write;
    process.once('exit', this.#onExit);
  }

  /** Columns and rows that a block can have; the cursor stands in a row of its own below it. */
  get size(): { readonly width: number; readonly rows: number } {
    return { width: Math.max(1, widthOf(this.#stream) - 1), rows: Math.max(1, heightOf(this.#stream) - 1) };
  }

  draw(lines: readonly Line[]): void {
    if (!this.#isOpen) return;
    const { width, rows } = this.size;
    this.#lines = lines.slice(0, rows);
    const painted = this.#lines.map((line) => paint(line, width, this.#palette));
    const hide = this.#isHidden ? '' : HIDE_CURSOR;
    this.#isHidden = true;
    this.#put(
      `${hide}${this.#toTop()}${painted.map((line) => `${line}${CLEAR_LINE_END}\n`).join('')}${CLEAR_BELOW}`,
    );
    const plain = paletteFor({}, {});
    this.#drawn = this.#lines.map((line) => textWidth(paint(line, width, plain)));
  }

  /** Makes the cursor visible until the next drawing: the process may now end at any moment. */
  showCursor(): void {
    if (this.#isHidden) this.#put(SHOW_CURSOR);
    this.#isHidden = false;
  }

  /** Takes the block away. Idempotent. */
  close(): void {
    if (!this.#isOpen) return;
    this.#erase();
    this.showCursor();
    this.#isOpen = false;
    process.off('exit', this.#onExit);
    if (this.#before === undefined) Reflect.deleteProperty(this.#stream, 'write');
    else Object.defineProperty(this.#stream, 'write', this.#before);
  }

  readonly #onExit = (): void => this.showCursor();

  readonly #writeAbove = (...given: Parameters<NodeJS.WriteStream['write']>): boolean => {
    this.#erase();
    const isWritten = this.#write(...given);
    const [text] = given;
    if (typeof text === 'string' && !text.endsWith('\n')) this.#put('\n');
    this.draw(this.#lines);
    return isWritten;
  };

  #erase(): void {
    if (this.#drawn.length > 0) this.#put(`${this.#toTop()}${CLEAR_BELOW}`);
    this.#drawn = [];
  }

  /** To the first line of the block. A terminal that became narrower has broken its lines into several rows. */
  #toTop(): string {
    const columns = widthOf(this.#stream);
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows === 0 ? '\r' : `\r\u001b[${rows}A`;
  }

  #put(text: string): void {
    this.#write(text);
  }
}
