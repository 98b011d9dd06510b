/** Verifies a token that came in (contract arp §5.1). */
import { errors, jwtVerify, type JWTPayload } from 'jose';
import { KeySet, NoKeys } from './key-set.ts';
import type { Principal } from './principal.ts';
import type { AuthSettings, KeyLocation } from './settings.ts';

const TOKEN_CHARS_MAX = 16_384;
/** Of a subject (OpenID Connect Core §2) and of a tenant. */
const NAME_CHARS_MAX = 255;

/** What is wrong with a token, in the contract's words. */
export class TokenDefect extends Error {
  override readonly name = 'TokenDefect';
}

export interface VerifierOptions {
  /** Wall clock, milliseconds. */
  nowMs(): number;
  /** A line for whoever runs the service. */
  note(text: string): void;
}

type Verification = Pick<AuthSettings, 'algorithms' | 'audience' | 'issuer' | 'skewSeconds' | 'tenantClaim'>;

export class TokenVerifier {
  readonly #settings: Verification;
  readonly #keys: KeySet;
  readonly #nowMs: () => number;

  constructor(settings: Verification, keys: KeyLocation, { nowMs, note }: VerifierOptions) {
    this.#settings = settings;
    this.#nowMs = nowMs;
    this.#keys = new KeySet(keys, nowMs, note);
  }

  /** @throws TokenDefect */
  async verify(token: string): Promise<Principal> {
    if (token.length > TOKEN_CHARS_MAX) throw new TokenDefect('Invalid token');
    const claims = await this.#claimsOf(token);
    const { sub, iat, [this.#settings.tenantClaim]: tenant } = claims;
    const latestIat = Math.floor(this.#nowMs() / 1000) + this.#settings.skewSeconds;
    if ((iat !== undefined && iat > latestIat) || (sub !== undefined && !isName(sub)))
      throw new TokenDefect('Invalid token');
    return { via: 'token', subject: sub, claims, tenant: isName(tenant) ? tenant : undefined, token };
  }

  async #claimsOf(token: string): Promise<JWTPayload> {
    const { algorithms, audience, issuer, skewSeconds } = this.#settings;
    try {
      const { payload } = await jwtVerify(token, (header) => this.#keys.find(header), {
        algorithms: [...algorithms],
        clockTolerance: skewSeconds,
        currentDate: new Date(this.#nowMs()),
        requiredClaims: ['exp'],
        ...(audience === undefined ? {} : { audience }),
        ...(issuer === undefined ? {} : { issuer }),
      });
      return payload;
    } catch (error) {
      throw new TokenDefect(messageOf(error), { cause: error });
    }
  }
}

function messageOf(error: unknown): string {
  if (error instanceof NoKeys) return 'Unable to fetch JWKS';
  if (error instanceof errors.JWTExpired) return 'Token expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return 'Invalid token audience';
    if (error.claim === 'iss') return 'Invalid token issuer';
  }
  return 'Invalid token';
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= NAME_CHARS_MAX;
}
