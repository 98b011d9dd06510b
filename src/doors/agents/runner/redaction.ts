/** What of a run is secret, and how often it was found: one place for output, collected files, names and messages. */
import type { RedactionCounts } from '../../../policy/redaction/secret-redactor.ts';
import { SecretRedactor } from '../../../policy/redaction/secret-redactor.ts';

export class RunRedaction {
  readonly #streams: SecretRedactor[] = [];

  /** For one stream of bytes. */
  stream(): SecretRedactor {
    const stream = new SecretRedactor();
    this.#streams.push(stream);
    return stream;
  }

  text(text: string): string {
    const stream = this.stream();
    return Buffer.concat([stream.push(Buffer.from(text)), stream.end()]).toString();
  }

  /** How many of each type were replaced so far. */
  get counts(): RedactionCounts {
    const sums = new Map<string, number>();
    for (const { counts } of this.#streams)
      for (const [type, count] of Object.entries(counts)) sums.set(type, (sums.get(type) ?? 0) + count);
    return Object.fromEntries([...sums].toSorted());
  }
}
