/** Settings of each tenant: what else is secret there, and how long files are kept (contract agents §6, §8). */
import type { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { RETENTION_DEFAULTS, type TenantSettings } from '../wire/settings.ts';
import type { SettingsOfTenants } from './ports.ts';

export const SETTINGS_SCHEMA = `create table settings (
  tenant text primary key,
  document text not null
) without rowid`;

export class Settings implements SettingsOfTenants {
  readonly #known = new Map<string, TenantSettings>();
  readonly #put;
  readonly #tenants;

  constructor(rows: ServiceDatabase) {
    this.#put = rows.prepare<[string, string]>(
      'insert into settings (tenant, document) values (?, ?) on conflict (tenant) do update set document = excluded.document',
    );
    this.#tenants = rows.prepare<[], { readonly tenant: string }>(
      'select tenant from settings union select tenant from tasks union select tenant from agents order by tenant',
    );
    const all = rows.prepare<[], { readonly tenant: string; readonly document: string }>(
      'select tenant, document from settings',
    );
    for (const { tenant, document } of all.all()) this.#known.set(tenant, JSON.parse(document));
  }

  get(tenant: string): TenantSettings {
    return this.#known.get(tenant) ?? {};
  }

  retention(tenant: string): ReturnType<SettingsOfTenants['retention']> {
    return { ...RETENTION_DEFAULTS, ...this.get(tenant).retention };
  }

  tenants(): readonly string[] {
    return this.#tenants.all().map(({ tenant }) => tenant);
  }

  /** Within a transaction; `use` them once that is durable. */
  put(tenant: string, settings: TenantSettings): void {
    this.#put.run(tenant, JSON.stringify(settings));
  }

  use(tenant: string, settings: TenantSettings): void {
    this.#known.set(tenant, settings);
  }
}
