/** Secrets in what agents and people send are replaced before anything of it is kept (I9; contract agents §6). */
import type { RE2JS } from 're2js';
import { linearPattern } from '../../../policy/linear-pattern.ts';
import { SecretRedactor } from '../../../policy/redaction/secret-redactor.ts';
import type { Meter } from '../../../telemetry/meter.ts';
import { invalidField } from '../wire/errors.ts';
import type { TenantSettings } from '../wire/settings.ts';
import type { SettingsOfTenants } from './ports.ts';

/** What the patterns of a tenant match, in metrics and in place of it. */
const TENANT_TYPE = 'TENANT';

export class Redaction {
  readonly #settings: Pick<SettingsOfTenants, 'get'>;
  readonly #meter: Meter | undefined;
  readonly #patterns = new WeakMap<TenantSettings, readonly RE2JS[]>();

  constructor(settings: Pick<SettingsOfTenants, 'get'>, meter?: Meter) {
    this.#settings = settings;
    this.#meter = meter;
  }

  text(tenant: string, text: string): string {
    const settings = this.#settings.get(tenant);
    const exceptions = [...(settings.redaction?.exceptions ?? [])]
      .filter((one) => text.includes(one))
      .toSorted((a, b) => b.length - a.length);
    // What is said to be no secret is set aside, in a form that nothing takes for one.
    let open = text;
    for (const [index, one] of exceptions.entries()) open = open.replaceAll(one, aside(index));
    const redactor = new SecretRedactor();
    const bytes = Buffer.concat([redactor.push(Buffer.from(open)), redactor.end()]);
    let kept = redactor.hasRedacted ? bytes.toString('utf8') : open;
    for (const [type, count] of Object.entries(redactor.counts)) this.#count(type, count);
    for (const pattern of this.#patternsOf(settings)) {
      const before = kept;
      kept = pattern.matcher(kept).replaceAll(`[REDACTED:${TENANT_TYPE}]`);
      if (kept !== before) this.#count(TENANT_TYPE, 1);
    }
    for (const [index, one] of exceptions.entries()) kept = kept.replaceAll(aside(index), () => one);
    return kept;
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

  /** @throws AgentsFailure 422 for a pattern that does not take linear time */
  check({ redaction }: TenantSettings): void {
    for (const [index, pattern] of (redaction?.patterns ?? []).entries()) {
      const field = `/redaction/patterns/${index}`;
      try {
        if (linearPattern(pattern, field).matcher('').find())
          throw invalidField(field, 'matches the empty text');
      } catch (error) {
        throw invalidField(field, `cannot be taken: ${(error as Error).message}`);
      }
    }
  }

  #patternsOf(settings: TenantSettings): readonly RE2JS[] {
    let patterns = this.#patterns.get(settings);
    if (patterns === undefined) {
      patterns = (settings.redaction?.patterns ?? []).map((pattern) => linearPattern(pattern, 'pattern'));
      this.#patterns.set(settings, patterns);
    }
    return patterns;
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

  #count(type: string, count: number): void {
    this.#meter?.count('jarvas_redactions_total', { type }, count);
  }
}

/** `<…>` stands for a place to fill in, and no pattern for secrets takes that for one. */
function aside(index: number): string {
  return `<\uE000${index}\uE001>`;
}
