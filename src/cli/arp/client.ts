/** Services of ARP as our commands ask them: where they are, with which token, and how their failures are told. */
import { resolve } from 'node:path';
import { Unavailable } from '../../doors/arp/clients/failures.ts';
import { baseUrlOf, type ServiceAddress } from '../../doors/arp/clients/http-client.ts';
import type { ServiceKey } from '../../doors/arp/services.ts';
import { ArpError } from '../../doors/arp/wire/errors.ts';
import { ReeveError, type ErrorCode } from '../../model/errors.ts';
import { setting } from '../environment.ts';
import { audienceOf, tokenSource, urlOf, type NamedUrl } from './settings.ts';
import type { CliContext, Flags } from '../command.ts';
import { requireToken, tokenIn } from '../serve/settings.ts';
import { serviceToken } from './service-token.ts';

const DEFAULTS = { runs: 'http://127.0.0.1:8080', registry: 'http://127.0.0.1:8084' } as const;

export interface Place extends Omit<ServiceAddress, 'name'> {
  /** For people: `the run service`. */
  readonly what: string;
  /** What to start, or to set, when nobody is there. */
  readonly advice: string;
  /** The URL was named with `--url`. */
  readonly isGiven: boolean;
}

/** Where runs are started: a gateway, or the coordinator itself. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function runsPlace(ctx: CliContext, flags: Flags): Promise<Place> {
  const isNamed = flags.text('url') === undefined;
  const gateway = isNamed ? urlOf(ctx, 'run-gateway') : undefined;
  const coordinator = isNamed && gateway === undefined ? urlOf(ctx, 'run-coordinator') : undefined;
  return {
    ...placeOf(flags, () => gateway ?? coordinator, DEFAULTS.runs),
    what: 'the run service',
    advice:
      'start one (reeve serve run-coordinator), or say where it is with --url or JARVIS_RUN_GATEWAY_URL',
    ...(await tokens(ctx, flags, coordinator === undefined ? 'run-gateway' : 'run-coordinator')),
  };
}

/** The coordinator beside a gateway, which alone tells of NodeRuns; undefined: it is not known. */
export async function coordinatorBeside(
  ctx: CliContext,
  flags: Flags,
  place: Place,
): Promise<Place | undefined> {
  const beside = place.baseUrl.endsWith('/run-gateway')
    ? place.baseUrl.replace(/gateway$/, 'coordinator')
    : undefined;
  const baseUrl = beside ?? (place.isGiven ? undefined : urlOf(ctx, 'run-coordinator')?.baseUrl);
  if (baseUrl === undefined || baseUrl === place.baseUrl) return undefined;
  return { ...place, baseUrl, ...(await tokens(ctx, flags, 'run-coordinator')) };
}

/**
 * The registry that is named; of a stack in one process its registry, which stands below a path of its own there.
 * @throws ReeveError
 */
export async function askRegistry<Result>(
  ctx: CliContext,
  flags: Flags,
  ask: (place: Place) => Promise<Result>,
): Promise<Result> {
  const found = placeOf(flags, () => urlOf(ctx, 'node-registry'), DEFAULTS.registry);
  const place = await registryAt(ctx, flags, found);
  return asking(place, async () => {
    try {
      return await ask(place);
    } catch (error) {
      if (!(error instanceof ArpError) || error.wireCode !== 'not_found') throw error;
      return ask({ ...place, baseUrl: `${place.baseUrl}/node-registry` });
    }
  });
}

/**
 * Registries to ask about a run, the nearest first: beside a URL that was given, as `reeve up` has it, and the one that is
 * named.
 */
export async function registriesFor(ctx: CliContext, flags: Flags, place: Place): Promise<readonly Place[]> {
  const base = place.baseUrl.replace(/\/run-(gateway|coordinator)$/, '');
  const beside = { baseUrl: `${base}/node-registry` };
  const other = urlOf(ctx, 'node-registry');
  const found = place.isGiven ? [beside, ...(other === undefined ? [] : [other])] : [other ?? beside];
  return Promise.all(found.map(({ baseUrl }) => registryAt(ctx, flags, { baseUrl, isGiven: false })));
}

async function registryAt(
  ctx: CliContext,
  flags: Flags,
  found: Pick<Place, 'baseUrl' | 'isGiven'>,
): Promise<Place> {
  return {
    ...found,
    what: 'the node registry',
    advice:
      'start one (reeve serve node-registry), or say where it is with --url or JARVIS_NODE_REGISTRY_URL',
    ...(await tokens(ctx, flags, 'node-registry')),
  };
}

/** What `--url` says, else the environment, else where it is by default. @throws ReeveError E_INVALID_INPUT_SCHEMA */
function placeOf(
  flags: Flags,
  named: () => NamedUrl | undefined,
  standard: string,
): Pick<Place, 'baseUrl' | 'isGiven'> {
  const url = flags.text('url');
  if (url !== undefined) return { baseUrl: baseUrlOf(url, '--url'), isGiven: true };
  return { baseUrl: named()?.baseUrl ?? standard, isGiven: false };
}

/** `--token-file`, else what services ask each other with: `REEVE_ARP_TOKEN_FILE`, or client credentials of `ARP_AUTH_…`. */
async function tokens(
  ctx: CliContext,
  flags: Flags,
  service: ServiceKey,
): Promise<Pick<ServiceAddress, 'token'>> {
  const file = flags.text('token-file');
  if (file !== undefined) {
    const token = requireToken(await tokenIn(resolve(ctx.cwd, file), '--token-file'), '--token-file');
    return { token: async () => token };
  }
  const { CLIENT_SECRET_VARIABLE } = await import('../../policy/auth/client-settings.ts');
  if ([setting(ctx, 'ARP_AUTH_CLIENT_ID'), setting(ctx, CLIENT_SECRET_VARIABLE)].every((text) => !text))
    return serviceToken(ctx, undefined);
  const { callerSettings } = await import('../../policy/auth/settings.ts');
  const source = await tokenSource(ctx, callerSettings(ctx.env));
  const audience = flags.text('audience') ?? audienceOf(ctx, service);
  return serviceToken(ctx, () => source.own({ audience }));
}

/** What a service said or did not say, as an error of this program. @throws ReeveError */
export async function asking<Result>(place: Place, ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof ArpError ? clearError(place, error) : error;
  }
}

export function clearError({ baseUrl, what, advice }: Place, error: ArpError): ReeveError {
  const url = shownUrl(baseUrl);
  if (error instanceof Unavailable) {
    const { reason, answered } = error;
    const problem =
      answered === undefined
        ? `${what} at ${url} cannot be asked: ${reason}; ${advice}`
        : `what answers at ${url} (status ${answered}) is no service of ARP; ${advice}`;
    const status = answered === undefined ? {} : { status: answered };
    return new ReeveError('E_SERVICE_UNAVAILABLE', problem, { url, reason, ...status }, { cause: error });
  }
  const { status, wireCode, message, details, behind } = error;
  const problems = problemsIn(details?.['errors']);
  const [first] = problems;
  const more = first === undefined ? '' : `: ${first.field} ${first.problem}`;
  const cause = behind === undefined ? '' : ` (${behind.message})`;
  const token = status === 401 ? '; give one: --token-file, or REEVE_ARP_TOKEN_FILE' : '';
  return new ReeveError(
    codeOf(status),
    `${wireCode}: ${message}${more}${cause}${token}`,
    {
      url,
      status,
      service_code: wireCode,
      ...(details === undefined ? {} : { service_details: details }),
      ...(problems.length === 0 ? {} : { problems }),
    },
    { cause: error },
  );
}

/** Without a name and password that may stand in it. */
export function shownUrl(baseUrl: string): string {
  const url = new URL(baseUrl);
  url.username = '';
  url.password = '';
  return url.href.replace(/\/$/, '');
}

function codeOf(status: number): ErrorCode {
  if (status === 400 || status === 422) return 'E_INVALID_INPUT_SCHEMA';
  return status >= 500 ? 'E_SERVICE_UNAVAILABLE' : 'E_SERVICE_REFUSED';
}

/** `details.errors` of `invalid_request` (contract arp §2); whatever else stands there is not read. */
function problemsIn(errors: unknown): readonly { readonly field: string; readonly problem: string }[] {
  if (!Array.isArray(errors)) return [];
  return errors.flatMap((entry: unknown) => {
    const { loc, msg } = (entry ?? {}) as { readonly loc?: unknown; readonly msg?: unknown };
    return Array.isArray(loc) && typeof msg === 'string' ? [{ field: loc.join('.'), problem: msg }] : [];
  });
}
