/**
 * What a composite executor shows when it calls back about the run that it works on (H3): made with a key of the store,
 * good for that run and nothing else.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Authenticate } from '../../http.ts';
import type { Principal } from '../../../policy/auth/principal.ts';

const PREFIX = 'reeve-assignment';
const BEARER = new RegExp(`^bearer +${PREFIX}\\.([A-Za-z0-9_-]+)\\.([A-Za-z0-9_-]{43})$`, 'i');

export class AssignmentTokens {
  readonly #key: Uint8Array;

  /** @param key 32 random bytes, the same for every coordinator of a store. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  mint(runId: string): string {
    const run = Buffer.from(runId).toString('base64url');
    return `${PREFIX}.${run}.${this.#seal(run)}`;
  }

  /** @returns the run that the header opens; undefined when it is no assignment of ours. */
  runIn(authorization: string | undefined): string | undefined {
    const [, run, seal] = BEARER.exec(authorization ?? '') ?? [];
    if (run === undefined || seal === undefined) return undefined;
    // As texts: several of them are one seal in bytes, and only ours is good.
    if (!timingSafeEqual(Buffer.from(seal), Buffer.from(this.#seal(run)))) return undefined;
    return Buffer.from(run, 'base64url').toString();
  }

  #seal(run: string): string {
    return createHmac('sha256', this.#key).update(`${PREFIX}.${run}`).digest('base64url');
  }
}

/** Lets assignments in beside whoever is let in anyway. */
export function withAssignments(tokens: AssignmentTokens, others: Authenticate): Authenticate {
  return (headers, path) => {
    const run = tokens.runIn(headers['authorization'] as string | undefined);
    if (run === undefined) return others(headers, path);
    const principal: Principal = {
      via: 'token',
      subject: undefined,
      claims: {},
      tenant: undefined,
      token: undefined,
      run,
    };
    return principal;
  };
}
