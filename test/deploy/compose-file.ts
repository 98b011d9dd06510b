/** deploy/compose.yaml as a container engine would understand it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));

export interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly secrets?: readonly string[];
  /** `name-or-path:target[:ro]` */
  readonly volumes?: readonly string[];
  readonly profiles?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string; readonly required?: boolean }>>;
  readonly read_only?: boolean;
  readonly user?: string;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly mem_limit?: string;
  readonly pids_limit?: number;
  readonly restart?: string;
}
export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

export const COMPOSE_TEXT = readFileSync(`${DEPLOY}compose.yaml`, 'utf8');
export const AGENTS_TEXT = readFileSync(`${DEPLOY}agents.yaml`, 'utf8');
export const ENV_EXAMPLE = readFileSync(`${DEPLOY}.env.example`, 'utf8');
const VARIABLE = /\$\{([A-Z_]+)(?::-([^}]*))?\}/g;

/** Variables that the file asks for, with the default of each. */
export function variablesOf(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(VARIABLE)].map(([, name = '', otherwise = '']) => [name, otherwise]));
}

export function composeFile(text: string = COMPOSE_TEXT): ComposeFile {
  return filled(parse(text, { merge: true })) as ComposeFile;
}

/** With every variable at its default. Engines do it in this order too: what a variable holds is never YAML. */
function filled(value: unknown): unknown {
  if (typeof value === 'string')
    return value.replace(VARIABLE, (_, _name, otherwise: string = '') => otherwise);
  if (Array.isArray(value)) return value.map(filled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filled(one)]));
}

/** The services of a plain `up`. */
export function servicesWithoutProfile({ services }: ComposeFile): readonly (readonly [string, Service])[] {
  return Object.entries(services).filter(([, { profiles }]) => profiles === undefined);
}
