/**
 * Steps out of the words of a goal, without a model (contract arp §7.3): the items of a list, else what stands between line
 * breaks, sentence ends, semicolons and the word "then". What is in quotes stays whole. Pure; equal texts give equal steps.
 */

/** `1.`, `2)`, `-`, `*`, `•` at the beginning of a line. */
const ITEM = /^(?:\d{1,3}[.)]|[-*•])\s+(\S.*)$/;
const QUOTED = /"[^"\n]*"|“[^“”\n]*”|`[^`\n]*`|(?<![\p{L}\p{N}])'[^'\n]*'(?![\p{L}\p{N}])/gu;
/** Ends of a piece, in a text without quotes. */
const BREAK =
  /\s*(?:\n+|;|(?<=[.!?])\s+(?=\P{Ll})|[,.]?\s*\b(?:and\s+)?(?:then|afterwards|after that)\b[,:]?)\s*/giu;
/** Words that only say where a step stands. */
const ORDINAL = /^(?:(?:first|firstly|second|secondly|next|finally|lastly|and)\b[,:]?\s+)+/iu;

export function stepsIn(goal: string): readonly string[] {
  const items = goal.split('\n').flatMap((line) => ITEM.exec(line.trim())?.[1] ?? []);
  const pieces = items.length > 1 ? items : sentences(goal).map((piece) => piece.replace(ORDINAL, ''));
  const steps = pieces
    .map((piece) => withoutEnd(piece, ' ,.;\n').trim())
    .filter((piece) => /[\p{L}\p{N}]/u.test(piece));
  return steps.length === 0 ? [goal.trim()] : steps;
}

/** A text without those of the characters that stand at its end; in one pass, however many they are. */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1] ?? '')) end -= 1;
  return text.slice(0, end);
}

function sentences(text: string): readonly string[] {
  // Quotes are put aside, each as one character that no text holds, and put back into the pieces.
  const quotes: string[] = [];
  const bare = text.replaceAll('\uE000', ' ').replace(QUOTED, (quote) => {
    quotes.push(quote);
    return '\uE000';
  });
  // Runs of blanks are one: the expression would go through long ones again and again.
  const plain = bare.replaceAll(/[^\S\n]+/g, ' ').replaceAll(/ ?\n[ \n]*/g, '\n');
  let at = 0;
  return plain.split(BREAK).map((piece) => piece.replaceAll('\uE000', () => quotes[at++] ?? ''));
}
