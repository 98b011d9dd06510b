/**
 * Steps out of the words of a goal, without a model (contract arp §7.3): the items of a list, else what stands between line
 * breaks, sentence ends, semicolons and the word "then". What is in quotes stays whole. Pure; equal texts give equal steps.
 */

/** `1.`, `2)`, `-`, `*`, `•` at the beginning of a line. */
const ITEM = /^\s*(?:\d{1,3}[.)]|[-*•])\s+(.*\S)\s*$/;
const QUOTED = /"[^"\n]*"|“[^”\n]*”|`[^`\n]*`|(?<![\p{L}\p{N}])'[^'\n]*'(?![\p{L}\p{N}])/gu;
/** Ends of a piece, in a text without quotes. */
const BREAK =
  /\s*(?:\n+|;|(?<=[.!?])\s+(?=\P{Ll})|[,.]?\s*\b(?:and\s+)?(?:then|afterwards|after that)\b[,:]?)\s*/giu;
/** Words that only say where a step stands. */
const ORDINAL = /^(?:(?:first|firstly|second|secondly|next|finally|lastly|and)\b[,:]?\s+)+/iu;

export function stepsIn(goal: string): readonly string[] {
  const items = goal.split('\n').flatMap((line) => ITEM.exec(line)?.[1] ?? []);
  const pieces = items.length > 1 ? items : sentences(goal).map((piece) => piece.replace(ORDINAL, ''));
  const steps = pieces
    .map((piece) => piece.replace(/[\s,.;]+$/u, '').trim())
    .filter((piece) => /[\p{L}\p{N}]/u.test(piece));
  return steps.length === 0 ? [goal.trim()] : steps;
}

function sentences(text: string): readonly string[] {
  // Quotes are put aside, each as one character that no text holds, and put back into the pieces.
  const quotes: string[] = [];
  const bare = text.replaceAll('\uE000', ' ').replace(QUOTED, (quote) => {
    quotes.push(quote);
    return '\uE000';
  });
  let at = 0;
  return bare.split(BREAK).map((piece) => piece.replaceAll('\uE000', () => quotes[at++] ?? ''));
}
