/** `doctor` (contract wrkr §j): looks and tells. It makes nothing, not even a probe file (W72). */
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { createPrivateKey } from 'node:crypto';
import { dirname, join } from 'node:path';
import { ACCEPT_CONFIG_SCHEMA } from '../../evidence/accept/config.ts';
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

async function storeRoot({ storeRoot: root, inspectStore }: DoctorOptions): Promise<Check> {
  const writable = await writableOrCreatable(root);
  const problem = writable ?? (await inspectStore());
  return check(
    'store_root',
    problem,
    root,
    'Make the directory writable for you, or name another with --store or REEVE_HOME.',
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
  const positive = (name: string): string | undefined =>
    /^[1-9]\d{0,8}$/.test(env[name] ?? '') ? undefined : `${name} must be a positive whole number of days`;
  return [
    check(
      'strict_config_profile',
      env['WRKR_PROFILE'] === 'strict' ? undefined : 'WRKR_PROFILE is not strict',
      'strict',
      'Set WRKR_PROFILE=strict.',
    ),
    check(
      'signing_mode',
      env['WRKR_SIGNING_MODE'] === 'ed25519' ? undefined : 'WRKR_SIGNING_MODE is not ed25519',
      'ed25519',
      'Set WRKR_SIGNING_MODE=ed25519.',
    ),
    check(
      'signing_key_source',
      await signingKey(env),
      env['WRKR_SIGNING_KEY_SOURCE'] ?? '',
      'Set WRKR_SIGNING_KEY_SOURCE to env, kms or file; with file, WRKR_SIGNING_KEY_PATH names an Ed25519 private key.',
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

async function signingKey(env: DoctorOptions['env']): Promise<string | undefined> {
  const source = env['WRKR_SIGNING_KEY_SOURCE'] ?? '';
  if (source === 'kms') return undefined;
  try {
    if (source === 'env')
      return env['WRKR_SIGNING_KEY'] === undefined ? undefined : testKey(env['WRKR_SIGNING_KEY']);
    if (source === 'file') return testKey(await readFile(env['WRKR_SIGNING_KEY_PATH'] ?? '', 'utf8'));
  } catch (error) {
    return `the signing key cannot be used: ${(error as Error).message}`;
  }
  return `WRKR_SIGNING_KEY_SOURCE is '${source}', not env, kms or file`;
}

/** A key that is there must be an Ed25519 private key. */
function testKey(pem: string): string | undefined {
  const type = createPrivateKey(pem).asymmetricKeyType;
  return type === 'ed25519' ? undefined : `the signing key is ${type ?? 'of no known type'}, not ed25519`;
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
