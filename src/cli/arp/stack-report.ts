/** How the services of ARP are: those that the environment names, or those of one URL. Each is asked for health and version. */
import { Unavailable } from '../../doors/arp/clients/failures.ts';
import { baseUrlOf, get } from '../../doors/arp/clients/http-client.ts';
import { SERVICES, type ServiceKey } from '../../doors/arp/services.ts';
import { ArpError } from '../../doors/arp/wire/errors.ts';
import { fieldErrors } from '../../doors/arp/wire/validate.ts';
import { formatTime } from '../../doors/jobs/time.ts';
import { ReeveError } from '../../model/errors.ts';
import { shownUrl } from './client.ts';
import { URL_VARIABLES, urlOf } from './settings.ts';
import type { CliContext } from '../command.ts';

export interface StackCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly severity: 'critical' | 'warning';
  readonly url: string;
  /** As the service says it; `down` also where nobody answers. */
  readonly status: string;
  readonly version?: string;
  /** Until health was answered. */
  readonly latency_ms?: number;
  /** What the service found of those that it depends on. */
  readonly checks: readonly { readonly name: string; readonly status: string; readonly message?: string }[];
  readonly details?: string;
  readonly remediation?: string;
}

export interface StackReport {
  readonly checked_at: string;
  readonly profile: 'stack';
  readonly ok: boolean;
  readonly checks: readonly StackCheck[];
}

interface Asked {
  readonly name: ServiceKey;
  readonly url: string;
  /** Where the URL stands, for what to do about it. */
  readonly from: string;
}

/** Of one try, milliseconds. */
const ANSWER_MS = 3000;
const KEYS = Object.keys(SERVICES) as ServiceKey[];

/** @param url of a stack in one process; undefined: what the environment names. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function stackReport(ctx: CliContext, url: string | undefined): Promise<StackReport> {
  await fieldErrors({}, {}); // loads what checks answers, so that no service seems slow for it
  const checks =
    url === undefined
      ? await Promise.all(inEnvironment(ctx).map(checkOf))
      : await checksBelow(baseUrlOf(url, '--url'));
  return {
    checked_at: formatTime(Date.now()),
    profile: 'stack',
    ok: checks.every(({ ok, severity }) => ok || severity !== 'critical'),
    checks,
  };
}

function inEnvironment(ctx: CliContext): readonly Asked[] {
  const all = KEYS.flatMap((name): Asked[] => {
    const found = urlOf(ctx, name);
    return found === undefined ? [] : [{ name, url: found.baseUrl, from: found.variable }];
  });
  if (all.length > 0) return all;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `no service is named: set ${URL_VARIABLES['run-gateway'][0]} and the like, or give the --url of a stack`,
    { flag: '--url', variables: KEYS.map((name) => URL_VARIABLES[name][0]) },
  );
}

/** Every service below its path, and what answers at the URL itself, unless it is one of them. */
async function checksBelow(base: string): Promise<readonly StackCheck[]> {
  const from = '--url';
  const versions = await Promise.all(
    KEYS.map(async (name) => ({ name, version: await versionAt(`${base}/${name}`) })),
  );
  const mounted = versions.filter(({ version }) => version.kind === 'told');
  const itself = await versionAt(base);
  const own = KEYS.find((name) => itself.kind === 'told' && SERVICES[name].name === itself.service);
  const asked: Asked[] = mounted.map(({ name }) => ({ name, url: `${base}/${name}`, from }));
  if (own !== undefined && !mounted.some(({ name }) => name === own))
    asked.push({ name: own, url: base, from });
  if (asked.length > 0) return Promise.all(asked.map(checkOf));
  return [
    {
      name: 'stack',
      ok: false,
      severity: 'critical',
      url: shownUrl(base),
      status: 'down',
      checks: [],
      details: itself.kind === 'none' ? itself.reason : 'what answers there is no service of ARP',
      remediation: 'start the services, or correct --url',
    },
  ];
}

type Version =
  | { readonly kind: 'told'; readonly service: string; readonly version: string }
  | { readonly kind: 'none'; readonly reason: string };

async function versionAt(baseUrl: string): Promise<Version> {
  try {
    // As little as possible is asked of the answer: this is to say what is wrong with services, also with those of others.
    const told = await get(
      { name: 'service', baseUrl, timeoutMs: ANSWER_MS },
      { path: '/v1/version', schema: {} },
    );
    const { service_name: service, service_version: version } = recordOf(told);
    if (typeof service === 'string') return { kind: 'told', service, version: textOf(version) };
    return { kind: 'none', reason: 'its version is not that of a service of ARP' };
  } catch (error) {
    return { kind: 'none', reason: reasonOf(error) };
  }
}

async function checkOf({ name, url, from }: Asked): Promise<StackCheck> {
  const startMs = performance.now();
  const shown = shownUrl(url);
  const failed = { name, ok: false, severity: 'critical', url: shown, status: 'down', checks: [] } as const;
  let health: Readonly<Record<string, unknown>>;
  try {
    health = recordOf(
      await get({ name: 'service', baseUrl: url, timeoutMs: ANSWER_MS }, { path: '/v1/health', schema: {} }),
    );
  } catch (error) {
    return {
      ...failed,
      details: reasonOf(error),
      remediation: `start it (reeve serve ${name}), or correct ${from}`,
    };
  }
  const latency = Math.round(performance.now() - startMs);
  const version = await versionAt(url);
  const status = textOf(health['status']);
  const checks = checksIn(health['checks']);
  const found = {
    name,
    url: shown,
    status,
    latency_ms: latency,
    checks,
    ...(version.kind === 'told' ? { version: version.version } : {}),
  };
  if (version.kind === 'told' && version.service !== SERVICES[name].name)
    return {
      ...found,
      ok: false,
      severity: 'critical',
      details: `${version.service} answers there`,
      remediation: `let ${from} name the ${name}, whose service_name is ${SERVICES[name].name}`,
    };
  if (status === 'ok') return { ...found, ok: true, severity: 'critical' };
  const bad = checks.filter((check) => check.status !== 'ok');
  return {
    ...found,
    ok: false,
    severity: status === 'degraded' ? 'warning' : 'critical',
    details: bad.map(({ name: what, message = '' }) => `${what} ${message}`.trim()).join(', ') || status,
    remediation:
      bad.length === 0
        ? 'look at what it writes to stderr'
        : `look at ${bad.map((check) => check.name).join(', ')}`,
  };
}

function checksIn(given: unknown): StackCheck['checks'] {
  if (!Array.isArray(given)) return [];
  return given.map((entry: unknown) => {
    const { name, status, message } = recordOf(entry);
    return {
      name: textOf(name),
      status: textOf(status),
      ...(typeof message === 'string' ? { message } : {}),
    };
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof Unavailable) return error.reason;
  return error instanceof ArpError ? `${error.wireCode}: ${error.message}` : (error as Error).message;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown';
}
