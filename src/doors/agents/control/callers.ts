/** Who asks, as the routes of all parts see it. */
import type { HttpRequest } from '../../http.ts';
import type { Principal } from '../../../policy/auth/principal.ts';
import { AgentsFailure } from '../wire/errors.ts';
import { DEFAULT_TENANT } from '../ids.ts';
import type { Caller, Role } from './ports.ts';

type Asking = Pick<HttpRequest, 'principal'>;

/** Who asks for one of the original calls where those need no token. */
export const ANONYMOUS: Principal = {
  via: 'anonymous',
  subject: undefined,
  claims: {},
  tenant: DEFAULT_TENANT,
  token: undefined,
};

/** How the service's own authentication tells handlers who asks. */
export function principalOf({ tenant, actor, role }: Caller): Principal {
  return { via: 'token', subject: actor, tenant, claims: { role }, token: undefined };
}

/** Who asks, if the role may. @throws AgentsFailure 401, 403 */
export function callerOf({ principal }: Asking, ...roles: readonly Role[]): Caller {
  const { subject: actor, tenant, claims } = principal ?? {};
  const role = claims?.['role'] as Role | undefined;
  if (actor === undefined || tenant === undefined || role === undefined) throw unauthorized(undefined);
  if (roles.includes(role)) return { tenant, actor, role };
  throw new AgentsFailure(
    403,
    'forbidden',
    `this is for ${roles.join(' or ')} tokens, not for ${role} tokens`,
    {
      role,
    },
  );
}

/** The same for an original call: without a token, where none is needed, whoever asks is taken as `role`. */
export function callerOrAnonymous(asking: Asking, role: Role, ...roles: readonly Role[]): Caller {
  if (asking.principal?.via === 'anonymous') return { tenant: DEFAULT_TENANT, actor: 'anonymous', role };
  return callerOf(asking, role, ...roles);
}

/** A body's tenant, where it names one, is the caller's own. @throws AgentsFailure 403 */
export function requireTenant(caller: Caller, tenant: string | undefined): void {
  if (tenant === undefined || tenant === caller.tenant) return;
  throw new AgentsFailure(403, 'forbidden', 'the token is of another tenant', { field: 'tenant' });
}

export function unauthorized(header: string | undefined): AgentsFailure {
  return new AgentsFailure(
    401,
    'unauthorized',
    header === undefined
      ? 'a token is missing: Authorization: Bearer <token>'
      : 'the token is not known here',
    { header: 'authorization' },
    { 'www-authenticate': 'Bearer' },
  );
}
