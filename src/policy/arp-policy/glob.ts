/** Globs over whole strings: `*` also crosses `/` and `:`, `?` is one character, `[abc]` one of some, `[!abc]` any other. */

type Piece =
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'exactly'; readonly char: string }
  | {
      readonly kind: 'set';
      readonly ranges: readonly (readonly [string, string])[];
      readonly negated: boolean;
    };

/** @returns whether a text fits; takes time proportional to text × pattern at most, whatever they are. */
export function glob(pattern: string): (text: string) => boolean {
  const pieces = parse(Array.from(pattern));
  return (text) => matches(pieces, Array.from(text));
}

function parse(pattern: readonly string[]): readonly Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at] ?? '';
    if (char === '*') {
      if (pieces.at(-1)?.kind !== 'any') pieces.push({ kind: 'any' });
    } else if (char === '?') {
      pieces.push({ kind: 'one' });
    } else if (char === '[') {
      const end = endOfSet(pattern, at);
      if (end === undefined) {
        pieces.push({ kind: 'exactly', char }); // never closed: it stands for itself
      } else {
        pieces.push(set(pattern.slice(at + 1, end)));
        at = end;
      }
    } else {
      pieces.push({ kind: 'exactly', char });
    }
  }
  return pieces;
}

/** A `]` right after the opening is one of the characters. */
function endOfSet(pattern: readonly string[], opening: number): number | undefined {
  const first = opening + (pattern[opening + 1] === '!' ? 2 : 1);
  const end = pattern.indexOf(']', first + 1);
  return end < 0 ? undefined : end;
}

function set(inside: readonly string[]): Piece {
  const negated = inside[0] === '!';
  const chars = negated ? inside.slice(1) : inside;
  const ranges: [string, string][] = [];
  for (let at = 0; at < chars.length; at += 1) {
    const from = chars[at] ?? '';
    const to = chars[at + 1] === '-' ? chars[at + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) at += 2;
  }
  return { kind: 'set', ranges, negated };
}

/** Only the last `*` is ever taken back: what an earlier one took cannot help a later one. */
function matches(pieces: readonly Piece[], text: readonly string[]): boolean {
  let piece = 0;
  let char = 0;
  let star = -1;
  let starChar = 0;
  while (char < text.length) {
    const current = pieces[piece];
    if (current?.kind === 'any') {
      star = piece;
      starChar = char;
      piece += 1;
    } else if (current !== undefined && fits(current, text[char] ?? '')) {
      piece += 1;
      char += 1;
    } else if (star >= 0) {
      starChar += 1;
      char = starChar;
      piece = star + 1;
    } else {
      return false;
    }
  }
  return pieces.slice(piece).every(({ kind }) => kind === 'any');
}

function fits(piece: Piece, char: string): boolean {
  switch (piece.kind) {
    case 'any':
    case 'one':
      return true;
    case 'exactly':
      return piece.char === char;
    case 'set': {
      const code = char.codePointAt(0) ?? 0;
      const isIn = piece.ranges.some(
        ([from, to]) => (from.codePointAt(0) ?? 0) <= code && code <= (to.codePointAt(0) ?? 0),
      );
      return isIn !== piece.negated;
    }
  }
}
