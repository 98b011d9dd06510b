/** `config.json` in CONFIG_DIR, as far as running is concerned: what this machine allows, whatever it is asked for. */
import { readFile } from 'node:fs/promises';
import { isErrno } from '../../../executors/process/record.ts';
import { ReeveError } from '../../../model/errors.ts';

export interface LocalConfig {
  /** Commands that are no skills may run, when they are on the allow-list. Default false. */
  readonly allowRaw: boolean;
  /** Signatures that an allow-list needs. Default 1. */
  readonly threshold: number;
  /** Skills do not run where a protection is missing. Default false. */
  readonly sandboxRequired: boolean;
  /** Where the control plane is, unless CONTROL_URL says so. */
  readonly controlUrl?: string;
  /** Where secrets come from, by their name: `env:<variable>`, `file:<path>`, `vault:<mount>/<path>#<key>`. */
  readonly secrets: Readonly<Record<string, string>>;
}

const DEFAULTS: LocalConfig = { allowRaw: false, threshold: 1, sandboxRequired: false, secrets: {} };

/** The file also holds what others read. @throws ReeveError E_INVALID_INPUT_SCHEMA {path, field} */
export async function readLocalConfig(path: string | undefined): Promise<LocalConfig> {
  const text = path === undefined ? undefined : await readText(path);
  if (path === undefined || text === undefined) return DEFAULTS;
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw invalid(path, '', 'is no JSON');
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw invalid(path, '', 'is no object');
  const fields = document as Readonly<Record<string, unknown>>;
  const { threshold = DEFAULTS.threshold } = fields;
  if (typeof threshold !== 'number' || !Number.isSafeInteger(threshold) || threshold < 1)
    throw invalid(path, 'threshold', 'must be a whole number from 1');
  const { control_url: controlUrl, secrets = {} } = fields;
  if (controlUrl !== undefined && typeof controlUrl !== 'string')
    throw invalid(path, 'control_url', 'must be a URL');
  if (!isTexts(secrets)) throw invalid(path, 'secrets', 'must be an object of texts');
  return {
    ...(controlUrl === undefined ? {} : { controlUrl }),
    secrets,
    allowRaw: flag(path, fields, 'allow_raw'),
    threshold,
    sandboxRequired: flag(path, fields, 'sandbox_required'),
  };
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) => typeof each === 'string');
}

function flag(path: string, fields: Readonly<Record<string, unknown>>, field: string): boolean {
  const value = fields[field] ?? false;
  if (typeof value !== 'boolean') throw invalid(path, field, 'must be true or false');
  return value;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw invalid(path, '', `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function invalid(path: string, field: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} ${field === '' ? '' : `${field} `}${problem}`, {
    path,
    field,
    problem,
  });
}
