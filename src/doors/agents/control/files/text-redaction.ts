/** Secrets in what agents upload are replaced before it is kept, wherever it looks like text (I9; contract agents §6). */
import type { FileKind } from '../ports.ts';

/** Takes bytes in pieces; what comes out has the secrets replaced. */
export interface StreamRedactor {
  push(chunk: Uint8Array): Buffer;
  end(): Buffer;
  /** How many of each type were replaced. */
  readonly counts: Readonly<Partial<Record<string, number>>>;
}

/** Enough to tell text from an archive or an image, bytes. */
const HEAD_BYTES = 64 * 1024;

/**
 * What the runner writes is redacted byte by byte, also where it is no text. Anything else is left alone unless it begins
 * as text does: in an archive, what looks like a secret is chance, and replacing it would destroy the archive.
 */
export async function* redacted(
  bytes: AsyncIterable<Uint8Array>,
  kind: FileKind,
  redactor: StreamRedactor,
): AsyncGenerator<Uint8Array> {
  let isText = kind === 'other' ? undefined : true;
  let head: Uint8Array[] = [];
  let headBytes = 0;
  for await (let piece of bytes) {
    if (isText === undefined) {
      head.push(piece);
      headBytes += piece.length;
      if (headBytes < HEAD_BYTES) continue;
      piece = Buffer.concat(head);
      head = [];
      isText = looksLikeText(piece);
    }
    yield isText ? redactor.push(piece) : piece;
  }
  if (isText === undefined) {
    const whole = Buffer.concat(head);
    isText = looksLikeText(whole);
    yield isText ? redactor.push(whole) : whole;
  }
  if (isText) yield redactor.end();
}

/** No NUL, and UTF-8 as far as it goes; the last character may be cut. */
function looksLikeText(bytes: Uint8Array): boolean {
  if (bytes.includes(0)) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
