/** What is kept of an agent, as a row and as it is used. */
import type { AgentAbout, RegisterRequest } from '../wire/agents.ts';

export const AGENTS_SCHEMA = `create table agents (
  tenant text not null,
  id text not null,
  token_hash text not null unique,
  enrolled_by text,
  about text not null,
  drained integer not null,
  registered_ms integer not null,
  seen_ms integer not null,
  primary key (tenant, id)
) without rowid`;

export interface Agent {
  readonly tenant: string;
  readonly id: string;
  readonly tokenHash: string;
  /** The call that enrolled it: who repeats it never got the token. */
  readonly enrolledBy: string | null;
  readonly about: AgentAbout;
  readonly drained: boolean;
  readonly registeredMs: number;
}

export interface AgentRow {
  readonly tenant: string;
  readonly id: string;
  readonly token_hash: string;
  readonly enrolled_by: string | null;
  readonly about: string;
  readonly drained: number;
  readonly registered_ms: number;
  readonly seen_ms: number;
}

export function agentOf(row: AgentRow): Agent {
  return {
    tenant: row.tenant,
    id: row.id,
    tokenHash: row.token_hash,
    enrolledBy: row.enrolled_by,
    about: JSON.parse(row.about) as AgentAbout,
    drained: row.drained === 1,
    registeredMs: row.registered_ms,
  };
}

export function aboutOf({
  hostname,
  agent_version,
  os,
  labels,
  skills,
  max_parallel,
  public_key,
}: RegisterRequest) {
  return {
    labels: labels ?? {},
    skills: skills ?? [],
    max_parallel: max_parallel ?? 1,
    ...(hostname === undefined ? {} : { hostname }),
    ...(agent_version === undefined ? {} : { agent_version }),
    ...(os === undefined ? {} : { os }),
    ...(public_key === undefined ? {} : { public_key }),
  } satisfies AgentAbout;
}
