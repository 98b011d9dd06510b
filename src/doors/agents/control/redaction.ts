/** Secrets in what agents and people send are replaced before anything of it is kept (I9; contract agents §6). */
import { SecretRedactor } from '../../../policy/redaction/secret-redactor.ts';
import type { Meter } from '../../../telemetry/meter.ts';

export class Redaction {
  readonly #meter: Meter | undefined;

  constructor(meter?: Meter) {
    this.#meter = meter;
  }

  text(_tenant: string, text: string): string {
    const redactor = new SecretRedactor();
    const bytes = Buffer.from(text);
    const kept = Buffer.concat([redactor.push(bytes), redactor.end()]);
    if (!redactor.hasRedacted) return text;
    for (const [type, count] of Object.entries(redactor.counts))
      this.#meter?.count('jarvas_redactions_total', { type }, count);
    return kept.toString('utf8');
  }

  /** Every text of a JSON value, names of fields too; and what is a secret only beside its field's name. */
  value<T>(tenant: string, value: T): T {
    if (value === undefined) return value;
    const texts = this.#each(tenant, value);
    const before = JSON.stringify(texts);
    const after = this.text(tenant, before);
    if (after === before) return texts as T;
    try {
      return JSON.parse(after) as T;
    } catch {
      return after as T; // safe as a text, and no JSON any more
    }
  }

  /** Whether a value holds a secret. */
  finds(tenant: string, value: unknown): boolean {
    return JSON.stringify(this.value(tenant, value)) !== JSON.stringify(value);
  }

  #each(tenant: string, value: unknown): unknown {
    if (typeof value === 'string') return this.text(tenant, value);
    if (Array.isArray(value)) return value.map((item) => this.#each(tenant, item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([name, item]) => [this.text(tenant, name), this.#each(tenant, item)]),
    );
  }
}
