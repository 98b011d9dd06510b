// Rollouts on a real engine and database, with a board of tasks in memory whose agents do as a test says.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';
import { ROLLOUTS_SCHEMA } from '../../../../src/doors/agents/control/rollouts/rollout-index.ts';
import { TenantRedaction } from '../../../../src/doors/agents/control/redaction.ts';
import { Rollouts } from '../../../../src/doors/agents/control/rollouts/rollouts.ts';
import type { Rollout } from '../../../../src/doors/agents/control/rollouts/record.ts';
import type { AuditNote, RunFile, TaskBoard } from '../../../../src/doors/agents/control/ports.ts';
import type { AgentView } from '../../../../src/doors/agents/wire/agents.ts';
import type { NewRollout } from '../../../../src/doors/agents/wire/rollouts.ts';
import {
  isFinal,
  TASK_DEFAULTS,
  type TaskStatus,
  type TaskView,
} from '../../../../src/doors/agents/wire/tasks.ts';
import { Engine } from '../../../../src/engine/engine.ts';
import { systemChance, systemClock } from '../../../../src/engine/system.ts';
import { openStore } from '../../../../src/store/open-store.ts';
import { ServiceDatabase } from '../../../../src/store/sqlite/service-database.ts';

export const OPERATOR = { tenant: 'default', actor: 'op', role: 'operator' } as const;
const TIME = '2026-01-31T12:00:00Z';

/** Tasks in memory: created once, ended by the test. */
export class MemoryBoard implements TaskBoard {
  readonly tasks = new Map<string, TaskView>();
  readonly #listeners = new Set<(task: TaskView) => void>();
  mayHandOut: TaskBoard['mayHandOut'] = () => true;
  isApproved: TaskBoard['isApproved'] = () => true;
  /** What a new task becomes at once; undefined: it stays queued. */
  outcome: (task: TaskView) => TaskStatus | undefined = () => undefined;

  async create(...[by, task, ids]: Parameters<TaskBoard['create']>): Promise<TaskView> {
    const id = ids?.taskId ?? '';
    const known = this.tasks.get(id);
    if (known !== undefined) return known;
    const view: TaskView = {
      task_id: id,
      run_id: ids?.runId ?? '',
      attempt: 0,
      status: 'queued',
      created_at: TIME,
      created_by: by.actor,
      ...TASK_DEFAULTS,
      ...task,
      tenant: by.tenant,
      args: task.args ?? {},
      env_refs: [],
      target: task.target ?? { any: true },
    };
    this.tasks.set(id, view);
    const outcome = this.outcome(view);
    if (outcome !== undefined) this.end(id, outcome);
    return view;
  }

  end(id: string, status: TaskStatus): void {
    const task = this.tasks.get(id);
    if (task === undefined) throw new Error(`no task ${id}`);
    const ended = { ...task, status, ...(isFinal(status) ? { finished_at: TIME } : {}) };
    this.tasks.set(id, ended);
    for (const listener of this.#listeners) listener(ended);
  }

  check(): void {}
  async get(_tenant: string, id: string): Promise<TaskView | undefined> {
    return this.tasks.get(id);
  }
  async ofRun(): Promise<undefined> {}
  async list(): Promise<{ items: readonly TaskView[] }> {
    return { items: [...this.tasks.values()] };
  }
  async ofRollout(_tenant: string, rolloutId: string): Promise<readonly TaskView[]> {
    return [...this.tasks.values()].filter(({ rollout_id }) => rollout_id === rolloutId);
  }
  async cancel(...[, id, reason]: Parameters<TaskBoard['cancel']>): Promise<TaskView> {
    const task = this.tasks.get(id);
    if (task === undefined) throw new Error(`no task ${id}`);
    const asked = { ...task, cancel_requested: true as const, ...(reason === undefined ? {} : { reason }) };
    this.tasks.set(id, asked);
    if (task.status === 'queued') this.end(id, 'cancelled');
    return asked;
  }
  subscribe(listener: (task: TaskView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  lease(): undefined {}
  wake(): void {}
}

export interface Rig {
  readonly board: MemoryBoard;
  readonly notes: AuditNote[];
  readonly agents: AgentView[];
  readonly engine: Engine;
  /** By `<run id> <path>`. */
  readonly files: Map<string, string>;
  /** The one that works now. */
  rollouts(): Rollouts;
  start(request?: Partial<NewRollout>): Promise<Rollout>;
  reaches(id: string, state: Rollout['state']): Promise<Rollout>;
  /** As after a crash: everything is read again. */
  restart(): Promise<void>;
  readonly clock: { aheadMs: number };
}

function agentView(agent_id: string, more: Partial<AgentView> = {}): AgentView {
  return { agent_id, tenant: 'default', state: 'online', labels: {}, ...more } as AgentView;
}

export async function openRig(agentCount = 10): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-rollouts-'));
  const store = await openStore(folder);
  const database = new ServiceDatabase(':memory:', {
    format: { application: 1, version: 1 },
    schema: ROLLOUTS_SCHEMA,
    sharing: 'exclusive',
  });
  const engine = new Engine({
    store: store.runs,
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
  });
  const board = new MemoryBoard();
  const notes: AuditNote[] = [];
  const files = new Map<string, string>();
  const agents = Array.from({ length: agentCount }, (_, index) => agentView(`agent-${index}`));
  const clock = { aheadMs: 0 };
  const redaction = new TenantRedaction({ get: () => ({}) });
  const open = async (): Promise<Rollouts> => {
    const opened = new Rollouts({
      engine,
      database,
      board,
      agents: { list: () => agents, get: (_, id) => agents.find(({ agent_id }) => agent_id === id) },
      files: {
        async open(_tenant, runId, path) {
          const text = files.get(`${runId} ${path}`);
          if (text === undefined) return undefined;
          const bytes = Buffer.from(text);
          const file: RunFile = { path, size: bytes.length, sha256: '', kind: 'other' };
          return {
            file,
            bytes: (async function* () {
              yield bytes;
            })(),
          };
        },
      },
      audit: { append: (note) => notes.push(note) },
      ledger: { write: async (work) => database.transaction(work) },
      redaction,
      nowMs: () => Date.now() + clock.aheadMs,
      note: (text) => notes.push({ actor: 'note', tenant: '', action: text, object: '' }),
    });
    await opened.open();
    return opened;
  };
  let rollouts = await open();
  onTestFinished(async () => {
    await rollouts.close();
    database.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    board,
    notes,
    agents,
    engine,
    files,
    clock,
    rollouts: () => rollouts,
    start: (request = {}) =>
      rollouts.create(OPERATOR, {
        name: 'r',
        skill: { name: 'probe', version: '1.0.0' },
        target: {},
        ...request,
      }),
    reaches: (id, state) =>
      vi.waitFor(async () => {
        const rollout = await rollouts.get('default', id);
        expect(rollout.state).toBe(state);
        return rollout;
      }),
    async restart() {
      await rollouts.close();
      rollouts = await open();
    },
  };
}
