import { PatternRedactor, type TextPattern } from './pattern-redactor.ts';
import { redactSecrets, SecretRedactor, type KnownValues, type RedactionCounts } from './secret-redactor.ts';

/** What stands between a stream and everything that keeps it: first what is known to be secret, then what a user named. */
export class Redactor {
  readonly #secrets: SecretRedactor;
  readonly #patterns: PatternRedactor | undefined;

  /** @param patterns expressions with the `g` flag; what they match becomes `[REDACTED]`. */
  constructor(patterns: readonly (RegExp | TextPattern)[] = [], known?: KnownValues) {
    this.#secrets = new SecretRedactor(known);
    this.#patterns = patterns.length === 0 ? undefined : new PatternRedactor(patterns, known?.count);
  }

  /** Whether anything was replaced so far. */
  get hasRedacted(): boolean {
    return this.#secrets.hasRedacted || this.#patterns?.hasRedacted === true;
  }

  /** By type; what expressions matched has none. */
  get counts(): RedactionCounts {
    return { ...this.#secrets.counts, ...this.#patterns?.counts };
  }

  /** What may be kept by now; an unfinished line is held back. */
  push(chunk: Uint8Array): Buffer {
    const kept = this.#secrets.push(chunk);
    return this.#patterns?.push(kept) ?? kept;
  }

  end(): Buffer {
    const rest = this.#secrets.end();
    if (this.#patterns === undefined) return rest;
    return Buffer.concat([this.#patterns.push(rest), this.#patterns.end()]);
  }
}

/** The same for a text that is there as a whole. */
export function redactText(text: string, patterns: readonly RegExp[] = []): string {
  const known = redactSecrets(text);
  return patterns.length === 0 ? known : new PatternRedactor(patterns).redact(known);
}
