/** Whose is what: a valid token alone is no leave to touch what belongs to another tenant (H33). */
import type { Principal } from '../policy/auth/principal.ts';
import { HttpFailure } from './http.ts';

export interface Belonging {
  /** Of the resource; undefined: it belongs to no tenant. */
  readonly tenant: string | undefined;
  /** As whom the caller says to act; undefined: it does not say. */
  readonly actor?: string | undefined;
}

/**
 * Lets pass who belongs to the resource's tenant, and acts as nobody else. Who has no tenant reaches what has none. Without
 * a principal, as on an exempt path, nobody is known; where nothing is checked, everybody may.
 * @throws HttpFailure 403
 */
export function requireAccess(principal: Principal | undefined, { tenant, actor }: Belonging): void {
  if (principal?.via === 'disabled') return;
  if (principal?.tenant !== tenant)
    throw forbidden('tenant', 'this belongs to another tenant than the token');
  if (actor !== undefined && actor !== principal?.subject)
    throw forbidden('actor', 'the token does not let act as somebody else');
}

/** It does not name the other side's tenant: that is not the caller's to know. */
function forbidden(field: string, message: string): HttpFailure {
  return new HttpFailure(403, 'E_UNSAFE_OPERATION', message, { field });
}
