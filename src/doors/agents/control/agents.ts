/** The agents of every tenant: who they are, whether they are there, and the hashes of their tokens. */
import type { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import { MISSED_INTERVALS, type AgentState, type AgentView, type RegisterRequest } from '../wire/agents.ts';
import { timestamp } from '../ids.ts';
import { conflict, notFound } from '../wire/errors.ts';
import type { AgentDirectory, Audit, Caller, Ledger } from './ports.ts';
import type { TenantRedaction } from './redaction.ts';
import { aboutOf, agentOf, type Agent, type AgentRow } from './agent-rows.ts';
import { newToken, tokenHash } from './tokens.ts';

/** How much of the time of its last sign may be lost with the process, milliseconds. */
const SEEN_KEPT_MS = 60_000;

interface Seen {
  ms: number;
  keptMs: number;
  /** Polls that wait for work: it is there. */
  waiting: number;
}

interface AgentsOptions {
  readonly rows: ServiceDatabase;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly redaction: TenantRedaction;
  nowMs(): number;
  readonly pollMs: number;
  /** Tasks under leases of an agent. */
  running(tenant: string, id: string): readonly string[];
}

export class Agents implements AgentDirectory {
  readonly #options: AgentsOptions;
  readonly #tenants = new Map<string, Map<string, Agent>>();
  readonly #byToken = new Map<string, Agent>();
  readonly #seen = new WeakMap<Agent, Seen>();
  readonly #put;
  readonly #remove;
  readonly #sign;
  readonly #load;

  constructor(options: AgentsOptions) {
    this.#options = options;
    const { rows } = options;
    this.#put = rows.prepare<(string | number | null)[]>(
      'insert or replace into agents (tenant, id, token_hash, enrolled_by, about, drained, registered_ms, seen_ms) values (?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#remove = rows.prepare<[string, string]>('delete from agents where tenant = ? and id = ?');
    this.#sign = rows.prepare<[number, string, string]>(
      'update agents set seen_ms = ? where tenant = ? and id = ?',
    );
    this.#load = rows.prepare<[string, string], AgentRow>('select * from agents where tenant = ? and id = ?');
    for (const row of rows.prepare<[], AgentRow>('select * from agents').all())
      this.#use(agentOf(row), { ms: row.seen_ms, keptMs: row.seen_ms, waiting: 0 });
  }

  /**
   * @param by `agent`: itself, by its token. Others enrol an agent that nobody knows.
   * @param trusting nobody has a token: who says to be an agent is believed.
   * @param call that is answered once: the same one again is from who has not heard of the token, and gets another.
   * @returns its token, the first time.
   * @throws AgentsFailure 409 `agent_exists`: somebody else has the id.
   */
  async register(
    by: Caller,
    request: RegisterRequest,
    trusting: boolean,
    call: string | null,
  ): Promise<string | undefined> {
    const { agent_id: id } = request;
    const isItself = by.role === 'agent' && by.actor === id;
    const { redaction, nowMs } = this.#options;
    const about = redaction.value(by.tenant, aboutOf(request));
    const token = newToken('agent');
    const { agent, isGiven } = await this.#options.ledger.write(() => {
      // Looked up here, where nothing comes between: of two that enrol one id, one is the first.
      const row = this.#load.get(by.tenant, id);
      const known = row === undefined ? undefined : agentOf(row);
      const isAgain = call !== null && known?.enrolledBy === call;
      if (known === undefined ? by.role === 'agent' : !isItself && !trusting && !isAgain)
        throw conflict('agent_exists', `the agent id ${id} is taken, and this is not its token`, {
          agent_id: id,
        });
      const ms = nowMs();
      const isNew = known === undefined || isAgain;
      const kept: Agent = {
        tenant: by.tenant,
        id,
        drained: false,
        registeredMs: ms,
        ...known,
        about,
        tokenHash: isNew ? tokenHash(token) : known.tokenHash,
        enrolledBy: isNew ? call : known.enrolledBy,
      };
      this.#save(kept, ms);
      this.#options.audit.append({
        ...by,
        action: known === undefined ? 'agent.register' : 'agent.update',
        object: `agent/${id}`,
        ...(known === undefined ? {} : { before: known.about }),
        after: about,
      });
      return { agent: kept, isGiven: isNew };
    });
    const before = this.#find(by.tenant, id);
    if (before !== undefined) this.#byToken.delete(before.tokenHash);
    this.#use(agent, this.#seenOf(before) ?? { ms: 0, keptMs: nowMs(), waiting: 0 });
    this.touch(agent);
    return isGiven ? token : undefined;
  }

  /** @throws AgentsFailure 404 */
  async setDrained(by: Caller, id: string, drained: boolean): Promise<AgentView> {
    const agent = await this.#options.ledger.write(() => {
      const row = this.#load.get(by.tenant, id);
      if (row === undefined) throw notFound('agent', id);
      const known = agentOf(row);
      this.#save({ ...known, drained }, row.seen_ms);
      this.#options.audit.append({
        ...by,
        action: drained ? 'agent.drain' : 'agent.resume',
        object: `agent/${id}`,
        before: { drained: known.drained },
        after: { drained },
      });
      return { ...known, drained };
    });
    this.#use(agent, this.#seenOf(this.#find(by.tenant, id)) ?? { ms: 0, keptMs: 0, waiting: 0 });
    return this.#view(agent);
  }

  /** Its token is worth nothing from then on; its leases run out. @throws AgentsFailure 404 */
  async remove(by: Caller, id: string): Promise<void> {
    const agent = this.require(by.tenant, id);
    await this.#options.ledger.write(() => {
      if (this.#remove.run(by.tenant, id).changes === 0) throw notFound('agent', id);
      this.#options.audit.append({
        ...by,
        action: 'agent.delete',
        object: `agent/${id}`,
        before: agent.about,
      });
    });
    this.#byToken.delete(agent.tokenHash);
    this.#tenants.get(by.tenant)?.delete(id);
  }

  byToken(sha256: string): Agent | undefined {
    return this.#byToken.get(sha256);
  }

  /** @throws AgentsFailure 404 */
  require(tenant: string, id: string): Agent {
    const agent = this.#find(tenant, id);
    if (agent === undefined) throw notFound('agent', id);
    return agent;
  }

  find(tenant: string, id: string): Agent | undefined {
    return this.#find(tenant, id);
  }

  /** A sign of it. */
  touch(agent: Agent): void {
    const seen = this.#seenOf(agent);
    if (seen === undefined) return;
    const { nowMs, ledger } = this.#options;
    seen.ms = nowMs();
    if (seen.ms - seen.keptMs < SEEN_KEPT_MS) return;
    seen.keptMs = seen.ms;
    void ledger.write(() => this.#sign.run(seen.ms, agent.tenant, agent.id)).catch(() => undefined);
  }

  /** As long as a poll of it waits, it is there. @returns to be called when it waits no more */
  waits(agent: Agent): () => void {
    const seen = this.#seenOf(agent);
    if (seen === undefined) return () => undefined;
    seen.waiting += 1;
    return () => {
      seen.waiting -= 1;
      seen.ms = this.#options.nowMs();
    };
  }

  /** How many of its polls wait. */
  waitingPolls(agent: Agent): number {
    return this.#seenOf(agent)?.waiting ?? 0;
  }

  get(tenant: string, id: string): AgentView | undefined {
    const agent = this.#find(tenant, id);
    return agent === undefined ? undefined : this.#view(agent);
  }

  list(tenant: string): readonly AgentView[] {
    const all = [...(this.#tenants.get(tenant)?.values() ?? [])];
    return all.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((agent) => this.#view(agent));
  }

  counts(): Readonly<Record<AgentState, number>> {
    const counts = { online: 0, offline: 0, drained: 0 };
    for (const agents of this.#tenants.values())
      for (const agent of agents.values()) counts[this.#state(agent)] += 1;
    return counts;
  }

  #view(agent: Agent): AgentView {
    const { tenant, id, about, registeredMs } = agent;
    return {
      agent_id: id,
      tenant,
      state: this.#state(agent),
      ...about,
      registered_at: timestamp(registeredMs),
      last_seen_at: timestamp(this.#seenMs(agent)),
      running: this.#options.running(tenant, id),
    };
  }

  #state(agent: Agent): AgentState {
    if (agent.drained) return 'drained';
    const { nowMs, pollMs } = this.#options;
    return nowMs() - this.#seenMs(agent) <= MISSED_INTERVALS * pollMs ? 'online' : 'offline';
  }

  #seenMs(agent: Agent): number {
    const seen = this.#seenOf(agent);
    return seen === undefined ? 0 : seen.waiting > 0 ? this.#options.nowMs() : seen.ms;
  }

  #seenOf(agent: Agent | undefined): Seen | undefined {
    return agent === undefined ? undefined : this.#seen.get(agent);
  }

  #find(tenant: string, id: string): Agent | undefined {
    return this.#tenants.get(tenant)?.get(id);
  }

  #save(agent: Agent, seenMs: number): void {
    const { tenant, id, tokenHash: hash, enrolledBy, about, drained, registeredMs } = agent;
    this.#put.run(tenant, id, hash, enrolledBy, JSON.stringify(about), drained ? 1 : 0, registeredMs, seenMs);
  }

  #use(agent: Agent, seen: Seen): void {
    let agents = this.#tenants.get(agent.tenant);
    if (agents === undefined) {
      agents = new Map();
      this.#tenants.set(agent.tenant, agents);
    }
    agents.set(agent.id, agent);
    this.#byToken.set(agent.tokenHash, agent);
    this.#seen.set(agent, seen);
  }
}
