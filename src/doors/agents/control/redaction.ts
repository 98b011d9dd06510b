/** Secrets in what agents and people send are replaced before anything of it is kept (I9; contract agents §6). */
import type { Json } from '../../../model/json.ts';
import { Redaction } from '../../../policy/redaction/redaction.ts';
import type { Redactor } from '../../../policy/redaction/redactor.ts';
import type { Meter } from '../../../telemetry/meter.ts';
import type { TenantSettings } from '../wire/settings.ts';
import type { SettingsOfTenants } from './ports.ts';

interface OfTenant {
  readonly settings: TenantSettings;
  readonly redaction: Redaction;
  /** What the metrics know of already, by type. */
  readonly told: Map<string, number>;
}

/** The redaction of each tenant, by its settings. */
export class TenantRedaction {
  readonly #settings: Pick<SettingsOfTenants, 'get'>;
  readonly #meter: Meter | undefined;
  readonly #tenants = new Map<string, OfTenant>();

  constructor(settings: Pick<SettingsOfTenants, 'get'>, meter?: Meter) {
    this.#settings = settings;
    this.#meter = meter;
  }

  text(tenant: string, text: string): string {
    return this.#of(tenant).redaction.text(text);
  }

  /** For one stream of bytes. */
  stream(tenant: string): Redactor {
    return this.#of(tenant).redaction.stream();
  }

  /** Every text of a JSON value, names of fields, and what is secret by the name of its field. */
  value<T>(tenant: string, value: T): T {
    if (value === undefined) return value;
    const json = JSON.parse(JSON.stringify(value)) as Json;
    return this.#of(tenant).redaction.json(json) as T;
  }

  /** Whether a value holds a secret. */
  finds(tenant: string, value: Json): boolean {
    return JSON.stringify(this.#of(tenant).redaction.json(value)) !== JSON.stringify(value);
  }

  /** Tells the metrics what was replaced. */
  measure(): void {
    for (const tenant of this.#tenants.values()) this.#tell(tenant);
  }

  #of(tenant: string): OfTenant {
    const settings = this.#settings.get(tenant);
    const known = this.#tenants.get(tenant);
    if (known?.settings === settings) return known;
    if (known !== undefined) this.#tell(known);
    const made = { settings, redaction: new Redaction(settings.redaction), told: new Map<string, number>() };
    this.#tenants.set(tenant, made);
    return made;
  }

  #tell({ redaction, told }: OfTenant): void {
    for (const [type, count] of Object.entries(redaction.counts)) {
      this.#meter?.count('jarvas_redactions_total', { type }, count - (told.get(type) ?? 0));
      told.set(type, count);
    }
  }
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for patterns that cannot be taken */
export function checkRedaction({ redaction }: TenantSettings): void {
  new Redaction(redaction); // oxlint-disable-line no-new -- it looks at them
}
