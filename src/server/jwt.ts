/** Requests carry a token of an issuer: `Authorization: Bearer <JWT>` (contract arp §5.1). */
import { HttpFailure, type Authenticate } from '../doors/http.ts';
import type { Principal } from '../policy/auth/principal.ts';
import type { AuthSettings } from '../policy/auth/settings.ts';
import { TokenDefect, TokenVerifier, type VerifierOptions } from '../policy/auth/verify-token.ts';

/** The issuer is not asked before the first token comes. */
export function jwtAuthentication(settings: AuthSettings, options: VerifierOptions): Authenticate {
  const { keys, mode, exemptPaths } = settings;
  if (keys === undefined) {
    const dev = withoutToken('disabled', settings.devSubject);
    return (_headers, path) => (exemptPaths.has(path) ? undefined : dev);
  }
  const verifier = new TokenVerifier(settings, keys, options);
  const anonymous = withoutToken('anonymous', settings.anonymousSubject);
  return async ({ authorization }, path) => {
    if (exemptPaths.has(path)) return undefined;
    if (authorization === undefined) {
      if (mode === 'optional') return anonymous;
      throw challenge('invalid_request', 'Missing Authorization header');
    }
    try {
      return await verifier.verify(tokenIn(String(authorization)));
    } catch (error) {
      throw error instanceof TokenDefect ? challenge('invalid_token', error.message) : error;
    }
  };
}

/** Exactly two words, of which the first is the scheme. @throws HttpFailure 401 */
function tokenIn(header: string): string {
  const [scheme, token, ...more] = header.split(/[ \t]+/);
  if (scheme?.toLowerCase() === 'bearer' && token !== undefined && token !== '' && more.length === 0)
    return token;
  throw challenge('invalid_request', 'Invalid Authorization header');
}

function withoutToken(via: Principal['via'], subject: string): Principal {
  return { via, subject, claims: {}, tenant: undefined, token: undefined };
}

function challenge(error: 'invalid_request' | 'invalid_token', message: string): HttpFailure {
  return new HttpFailure(
    401,
    'E_UNSAFE_OPERATION',
    message,
    { header: 'authorization', error },
    { 'www-authenticate': `Bearer error="${error}", error_description="${message}"` },
  );
}
