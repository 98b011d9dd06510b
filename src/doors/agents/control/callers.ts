/** Who asks, as the routes of all parts see it. */
import type { HttpRequest } from '../../http.ts';
import type { Principal } from '../../../policy/auth/principal.ts';
import { AgentsFailure } from '../wire/errors.ts';
import type { Caller, Role } from './ports.ts';

/** How the service's own authentication tells handlers who asks. */
export function principalOf({ tenant, actor, role }: Caller): Principal {
  return { via: 'token', subject: actor, tenant, claims: { role }, token: undefined };
}

/** Who asks, if the role may. @throws AgentsFailure 401, 403 */
export function callerOf({ principal }: Pick<HttpRequest, 'principal'>, ...roles: readonly Role[]): Caller {
  const { subject: actor, tenant, claims } = principal ?? {};
  const role = claims?.['role'] as Role | undefined;
  if (actor === undefined || tenant === undefined || role === undefined) throw unauthorized(undefined);
  if (roles.includes(role)) return { tenant, actor, role };
  throw new AgentsFailure(403, 'forbidden', `this is for ${roles.join(' or ')} tokens, not for ${role} tokens`, {
    role,
  });
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
