/**
 * Who has which token (contract agents §2). Only hashes are kept: those of operators and of enrolment come from the
 * configuration, those of agents stand beside the agents.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Authenticate } from '../../http.ts';
import { ANONYMOUS, principalOf, unauthorized } from './callers.ts';

export interface ConfiguredToken {
  readonly role: 'operator' | 'enrolment';
  readonly tenant: string;
  /** Whose it is: the actor of what is done with it. */
  readonly name: string;
  /** 64 hex digits. */
  readonly sha256: string;
}

export interface TokenOptions {
  readonly configured: readonly ConfiguredToken[];
  /** The agent whose token has this hash. */
  agentOf(sha256: string): { readonly tenant: string; readonly id: string } | undefined;
  /** The original calls need no token (loopback only). */
  readonly open: boolean;
}

/** The three original calls (contract agents §2.1). */
const ORIGINAL = /(?:^|\/)(?:register|task|tasks)$/;
const BEARER = /^bearer +([\x21-\x7e]{1,4096})$/i;

export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** 256 random bits. */
export function newToken(kind: 'agent' | 'operator' | 'enrolment'): string {
  return `jarvas_${kind}_${randomBytes(32).toString('base64url')}`;
}

export function authentication({ configured, agentOf, open }: TokenOptions): Authenticate {
  // Looked up by hash: how long that takes tells nothing of a token.
  const known = new Map(configured.map((token) => [token.sha256, token]));
  return ({ authorization }, path) => {
    if (authorization === undefined && open && ORIGINAL.test(path)) return ANONYMOUS;
    const header = authorization === undefined ? undefined : String(authorization);
    const token = BEARER.exec(header ?? '')?.[1];
    if (token === undefined) throw unauthorized(header);
    const sha256 = tokenHash(token);
    const person = known.get(sha256);
    if (person !== undefined)
      return principalOf({ tenant: person.tenant, actor: person.name, role: person.role });
    const agent = agentOf(sha256);
    if (agent === undefined) throw unauthorized(header);
    return principalOf({ tenant: agent.tenant, actor: agent.id, role: 'agent' });
  };
}
