/** `doctor` (contract wrkr §j): looks and tells. It makes nothing, not even a probe file (W72). */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ACCEPT_CONFIG_SCHEMA } from '../../evidence/accept/config.ts';
import { loadSigningKey, signsByItself, variable } from '../../policy/key-source.ts';
import {
  ACCEPT_RESULT_SCHEMA,
  APPROVAL_RECORD_SCHEMA,
  CHECKPOINT_SCHEMA,
  ERROR_ENVELOPE_SCHEMA,
  GITHUB_SUMMARY_SCHEMA,
  LEASE_SCHEMA,
  RUNTIME_CONFIG_SCHEMA,
  STATUS_RESPONSE_SCHEMA,
  WORK_ITEM_SCHEMA,
} from './response-schemas.ts';
import { JOBSPEC_SCHEMA, STEPS_SCHEMA } from './schema.ts';
import { serveProblems, type ServeRules } from '../serve-rules.ts';
import { problemsOf } from '../validate.ts';
import { formatTime } from './time.ts';

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly severity: 'critical' | 'warning';
  readonly details?: string;
  readonly remediation?: string;
}

export interface DoctorReport {
  readonly checked_at: string;
  readonly profile: 'default' | 'production-readiness';
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

export interface DoctorOptions {
  readonly nowMs: number;
  readonly production: boolean;
  readonly storeRoot: string;
  /** Of a store in a database: where it is. */
  readonly storeName?: string;
  readonly outDir: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Inputs of `serve`, from flags; the environment fills what is absent. */
  readonly serve: ServeRules;
  /** Opens the store for reading when there is one, and says what is wrong with it. */
  readonly inspectStore: () => Promise<string | undefined>;
}

export async function doctor(options: DoctorOptions): Promise<DoctorReport> {
  const { production, nowMs } = options;
  const checks = production ? await productionChecks(options) : await defaultChecks(options);
  return {
    checked_at: formatTime(nowMs),
    profile: production ? 'production-readiness' : 'default',
    ok: checks.every(({ ok, severity }) => ok || severity !== 'critical'),
    checks,
  };
}

async function defaultChecks(options: DoctorOptions): Promise<Check[]> {
  return [
    await storeRoot(options),
    await outputLayout(options),
    await schemas(),
    ...(await gitHook(options)),
  ];
}

async function storeRoot({ storeRoot: root, storeName, inspectStore }: DoctorOptions): Promise<Check> {
  const writable = await writableOrCreatable(root);
  const problem = writable ?? (await inspectStore());
  return check(
    'store_root',
    problem,
    storeName === undefined ? root : `${storeName}, with files of this machine in ${root}`,
    storeName === undefined
      ? 'Make the directory writable for you, or name another with --store or REEVE_HOME.'
      : 'Check the URL, the password and the rights in the database; the first command that writes makes the tables.',
  );
}

async function outputLayout({ outDir }: DoctorOptions): Promise<Check> {
  return check(
    'output_layout',
    await writableOrCreatable(outDir),
    outDir,
    'Run from a directory that you may write to, or give --out-dir.',
  );
}

async function schemas(): Promise<Check> {
  const all = [
    JOBSPEC_SCHEMA,
    STEPS_SCHEMA,
    STATUS_RESPONSE_SCHEMA,
    CHECKPOINT_SCHEMA,
    APPROVAL_RECORD_SCHEMA,
    ACCEPT_CONFIG_SCHEMA,
    ACCEPT_RESULT_SCHEMA,
    GITHUB_SUMMARY_SCHEMA,
    WORK_ITEM_SCHEMA,
    ERROR_ENVELOPE_SCHEMA,
    LEASE_SCHEMA,
    RUNTIME_CONFIG_SCHEMA,
  ];
  try {
    for (const schema of all) await problemsOf(schema, {});
    return check('schemas', undefined, `compiled=${all.length}`, '');
  } catch (error) {
    return check('schemas', (error as Error).message, '', 'Install reeve again: its files are damaged.');
  }
}

/** Only where the checkout keeps its hooks in `.githooks`. */
async function gitHook({ cwd }: DoctorOptions): Promise<Check[]> {
  if (!(await exists(join(cwd, '.githooks')))) return [];
  const hook = join(cwd, '.githooks', 'pre-push');
  const problem = await access(hook, constants.X_OK).then(
    () => undefined,
    () => 'there is no executable .githooks/pre-push',
  );
  return [
    {
      ...check(
        'git_hook_pre_push',
        problem,
        hook,
        'Add the hook and run: git config core.hooksPath .githooks',
      ),
      severity: 'warning',
    },
  ];
}

async function productionChecks(options: DoctorOptions): Promise<Check[]> {
  const { env, inspectStore } = options;
  const key = await signingKey(options);
  const positive = (name: string): string | undefined =>
    /^[1-9]\d{0,8}$/.test(env[name] ?? '') ? undefined : `${name} must be a positive whole number of days`;
  return [
    check(
      'strict_config_profile',
      env['WRKR_PROFILE'] === 'strict' ? undefined : 'WRKR_PROFILE is not strict',
      'strict',
      'Set WRKR_PROFILE=strict.',
    ),
    check('signing_mode', signingMode(env), 'ed25519', 'Set WRKR_SIGNING_MODE=ed25519.'),
    check(
      'signing_key_source',
      key.problem,
      key.details,
      'Set WRKR_SIGNING_KEY_SOURCE to file and WRKR_SIGNING_KEY_PATH to the file of an Ed25519 private key, or the source to env and WRKR_SIGNING_KEY to the key.',
    ),
    check('store_lock_health', await inspectStore(), 'free', 'See the details; store check says more.'),
    check(
      'retention_settings',
      positive('WRKR_RETENTION_DAYS') ?? positive('WRKR_OUTPUT_RETENTION_DAYS'),
      'set',
      'Set WRKR_RETENTION_DAYS and WRKR_OUTPUT_RETENTION_DAYS.',
    ),
    check(
      'unsafe_defaults',
      unsafeDefaults(options),
      'none',
      'Unset WRKR_ALLOW_UNSAFE; give a server that others can reach a token and a body limit.',
    ),
  ];
}

/** Loads the key and signs with it, for nothing: what the variables say is what `export` will do. */
async function signingKey({ env, cwd }: DoctorOptions): Promise<{ problem?: string; details: string }> {
  const { name, value: source = '' } = variable(env, 'SIGNING_KEY_SOURCE');
  if (source === '') return { problem: `${name} is not set`, details: '' };
  try {
    const { key, from, warning } = await loadSigningKey(env, cwd);
    const test = Buffer.from('reeve doctor');
    const { publicKey } = key;
    if (!publicKey.verifies(test, key.sign(test))) return { problem: `${from} does not sign`, details: '' };
    const noted = warning === undefined ? '' : `; ${warning}`;
    return { details: `${source} key=${publicKey.keyId}${noted}` };
  } catch (error) {
    return { problem: (error as Error).message, details: '' };
  }
}

function signingMode(env: DoctorOptions['env']): string | undefined {
  try {
    return signsByItself(env) ? undefined : 'WRKR_SIGNING_MODE is not ed25519';
  } catch (error) {
    return (error as Error).message;
  }
}

function unsafeDefaults({ env, serve }: DoctorOptions): string | undefined {
  if (['1', 'true'].includes((env['WRKR_ALLOW_UNSAFE'] ?? '').toLowerCase()))
    return 'WRKR_ALLOW_UNSAFE is set';
  return serveProblems(serve)[0];
}

/** Whether a directory could be used: it is writable, or its nearest existing parent is. */
async function writableOrCreatable(path: string): Promise<string | undefined> {
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at).catch((error: NodeJS.ErrnoException) => error);
    if (found instanceof Error) {
      if (found.code === 'ENOENT' && dirname(at) !== at) continue;
      return `${at} cannot be used (${found.code})`;
    }
    if (!found.isDirectory()) return `${at} is not a directory`;
    return access(at, constants.W_OK | constants.X_OK).then(
      () => undefined,
      () => `${at} is not writable`,
    );
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function check(name: string, problem: string | undefined, details: string, remediation: string): Check {
  const said = problem ?? details;
  return {
    name,
    ok: problem === undefined,
    severity: 'critical',
    ...(said === '' ? {} : { details: said }),
    ...(problem === undefined ? {} : { remediation }),
  };
}
