/** Agents on the wire (contract agents §2.1, §2.2). */
import { COUNT, list, object, TEXT, TIME, word, YES_OR_NO, type TypeOf } from '../../wire-schema.ts';
import { DIGEST, LABELS, NAME, SEMVER, SHORT_TEXT, SKILL_NAME, UUID } from './common.ts';

export const POLL_INTERVAL_S = 10;
export const LEASE_S = 60;
/** An agent is offline after so many intervals without a sign of it. */
export const MISSED_INTERVALS = 3;
export const WAIT_MAX_S = 30;

const HELD_SKILL = object({ name: SKILL_NAME, version: SEMVER }, { digest: DIGEST });
const ABOUT_AGENT = {
  hostname: SHORT_TEXT,
  agent_version: SHORT_TEXT,
  os: SHORT_TEXT,
  labels: LABELS,
  skills: { type: 'array', items: HELD_SKILL, maxItems: 1000 } as const,
  max_parallel: { type: 'integer', minimum: 1, maximum: 1000 } as const,
  public_key: { type: 'string', maxLength: 4096 } as const,
};

/** Any JSON with an `agent_id`: what nobody here knows is passed over, as in the original call. */
export const REGISTER_REQUEST = {
  type: 'object',
  required: ['agent_id'],
  properties: { agent_id: NAME, tenant: NAME, ...ABOUT_AGENT },
} as const;
export interface AgentAbout {
  readonly hostname?: string;
  readonly agent_version?: string;
  readonly os?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly skills: readonly TypeOf<typeof HELD_SKILL>[];
  /** Tasks that it takes at a time. */
  readonly max_parallel: number;
  readonly public_key?: string;
}
export type RegisterRequest = Partial<AgentAbout> & { readonly agent_id: string; readonly tenant?: string };
export const REGISTER_REPLY = object(
  { status: word('ok'), agent_id: NAME, poll_interval_s: COUNT, lease_s: COUNT, allowlist_serial: COUNT },
  { agent_token: TEXT },
);
export type RegisterReply = TypeOf<typeof REGISTER_REPLY>;

export const AGENT_STATES = ['online', 'offline', 'drained'] as const;
export type AgentState = (typeof AGENT_STATES)[number];
export interface AgentView extends AgentAbout {
  readonly agent_id: string;
  readonly tenant: string;
  /** `drained`: it is to take no new task, whether it is there or not. */
  readonly state: AgentState;
  readonly registered_at: string;
  readonly last_seen_at: string;
  /** Tasks under its leases. */
  readonly running: readonly string[];
}
export const AGENT_VIEW = object(
  {
    agent_id: NAME,
    tenant: NAME,
    state: word(...AGENT_STATES),
    registered_at: TIME,
    last_seen_at: TIME,
    running: list(UUID),
    labels: LABELS,
    skills: ABOUT_AGENT.skills,
    max_parallel: COUNT,
  },
  { hostname: SHORT_TEXT, agent_version: SHORT_TEXT, os: SHORT_TEXT, public_key: TEXT },
);
export const AGENT_LIST = object({ agents: list(AGENT_VIEW) }, { next_cursor: SHORT_TEXT });

export const HEARTBEAT_REQUEST = object(
  { running: { type: 'array', items: UUID, maxItems: 1000 } as const },
  { load: { type: 'number' } as const, disk_free: COUNT },
);
export type HeartbeatRequest = TypeOf<typeof HEARTBEAT_REQUEST>;
/** `cancel`: of the tasks that it runs, those that it is to stop. */
export const HEARTBEAT_REPLY = object({ cancel: list(UUID), allowlist_serial: COUNT, drain: YES_OR_NO }, {});
export type HeartbeatReply = TypeOf<typeof HEARTBEAT_REPLY>;
