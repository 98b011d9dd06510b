/** What an agent is told by its machine: nothing of it can be changed by a control plane (contract agents §3, §5). */
import type { ControlAddress } from '../client/control-client.ts';

export interface AgentSettings {
  /** Its token comes later: by registration, or from `agentToken`. */
  readonly control: Omit<ControlAddress, 'token'>;
  readonly agentId: string;
  readonly tenant: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Lets it register for the first time. */
  readonly enrolToken?: string;
  /** Given instead of one that a registration brought. */
  readonly agentToken?: string;
  /** Between polls that were answered at once, seconds. */
  readonly pollS: number;
  /** Tasks at a time. */
  readonly maxParallel: number;
  /** Spool, token, allow-list, packages: for this agent alone. */
  readonly dataDir: string;
  readonly runsDir: string;
  readonly trustPaths: readonly string[];
  /** Keys that must have signed an allow-list. */
  readonly threshold: number;
  readonly allowRaw: boolean;
  readonly sandboxRequired: boolean;
  /** A skill that does not apply exits with 3. */
  readonly isStrict: boolean;
  /** Where secrets come from that the environment does not name, by their name: `file:<path>`, `vault:<path>#<key>`. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs that were delivered stay so long, days. */
  readonly keepDays: number;
  /** How long commands may go on when the agent is told to stop, seconds. */
  readonly drainS: number;
  readonly version: string;
}
