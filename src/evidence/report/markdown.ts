/**
 * Text of a job inside Markdown (contract wrkr §h, "escaped when present"). Whoever may choose a path or a summary must
 * not choose the page: no headings, links, images or HTML, and never a second line. Plain text stays as it is.
 */
import { escapeControls } from '../../model/visible-text.ts';

/** As code. Nothing is interpreted in there; a fence longer than any run of backticks inside keeps it closed. */
export function code(text: string): string {
  const shown = visible(text);
  const longest = Math.max(0, ...[...shown.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  // One blank on both sides is not shown; it keeps backticks apart from the fence.
  const pad = shown === '' || /^[ `]|[ `]$/.test(shown) ? ' ' : '';
  return `${fence}${pad}${shown}${pad}${fence}`;
}

/** As words within a line. */
export function words(text: string): string {
  return visible(text).replaceAll(
    // Entities; a backslash that would escape what follows; underscores but those within a word; what opens the rest.
    /&(?=#?\w+;)|\\(?=[!-/:-@[-`{-~]|$)|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|[`*[\]<~$]/gu,
    (char) => `\\${char}`,
  );
}

/** As a line of its own: what would make another block of it at its beginning is escaped too. */
export function paragraph(text: string): string {
  return words(text.trim())
    .replace(/^[#+=>-]/, (char) => `\\${char}`)
    .replace(/^(\d{1,9})(?=[.)])/, (number) => `${number}\\`);
}

/** Half a surrogate pair, which a pack of anybody's may hold, is no text that could be written. */
function visible(text: string): string {
  return escapeControls(text).toWellFormed();
}
