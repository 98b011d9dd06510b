/** The files of runs on a real socket and a real place, with small parts in place of the rest of the control plane. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { principalOf, unauthorized } from '../../../../src/doors/agents/control/callers.ts';
import { SCHEMA } from '../../../../src/doors/agents/control/files/index-tables.ts';
import {
  filesPart,
  type FilesPart,
  type FilesPartOptions,
} from '../../../../src/doors/agents/control/files/part.ts';
import type { AuditNote, Caller, LiveLease, TaskBoard } from '../../../../src/doors/agents/control/ports.ts';
import { ERROR_ENVELOPE } from '../../../../src/doors/agents/wire/common.ts';
import { agentsFailure } from '../../../../src/doors/agents/wire/errors.ts';
import { RETENTION_DEFAULTS, type Retention } from '../../../../src/doors/agents/wire/settings.ts';
import { engineRunId } from '../../../../src/doors/agents/ids.ts';
import type { TaskView } from '../../../../src/doors/agents/wire/tasks.ts';
import type { RouteGroup } from '../../../../src/doors/http.ts';
import { startServer, type RunningServer } from '../../../../src/server/server.ts';
import type { BlobStreams } from '../../../../src/store/blob-streams.ts';
import { DirectoryBlobStreams } from '../../../../src/store/blobs/directory-blob-streams.ts';
import type { StoredEvent } from '../../../../src/store/run-store.ts';
import { ServiceDatabase } from '../../../../src/store/sqlite/service-database.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { ask, type Answer } from '../../../server/client.ts';

export const START_MS = Date.parse('2026-03-01T00:00:00Z');
export const DAY_MS = 86_400_000;
const FORMAT = { application: 0x5265_4167, version: 1 };

export const sha256 = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

/** Runs, leases and what they were: as much of the board as files ask for. */
class SmallBoard {
  readonly tasks = new Map<string, TaskView>();
  readonly live = new Map<string, LiveLease>();
  readonly #events = new Map<string, StoredEvent[]>();

  /** A run under way: its next attempt is `agentId`'s. */
  lend(tenant: string, runId: string, agentId: string, leaseId: string): void {
    const key = engineRunId(tenant, runId);
    const events = this.#events.get(key) ?? [];
    this.#events.set(key, events);
    const attempt = events.length + 1;
    const lease = { worker: agentId, leaseId, epoch: attempt };
    const body = JSON.stringify({ event: { type: 'attempt_started', attempt, lease } });
    events.push({ seq: attempt, atMs: START_MS, type: 'attempt_started', body, hash: '' });
    this.live.set(key, { taskId: `task-${runId}`, leaseId, attempt, agentId });
    this.task(tenant, runId, { status: 'running', attempt, agent_id: agentId });
  }

  end(tenant: string, runId: string, about: Partial<TaskView>): void {
    this.live.delete(engineRunId(tenant, runId));
    this.task(tenant, runId, about);
  }

  task(tenant: string, runId: string, about: Partial<TaskView>): void {
    const key = engineRunId(tenant, runId);
    const before = this.tasks.get(key);
    this.tasks.set(key, {
      task_id: `00000000-0000-4000-8000-${String(this.tasks.size).padStart(12, '0')}`,
      run_id: runId,
      tenant,
      action: 'check',
      status: 'queued',
      attempt: 0,
      max_attempts: 2,
      args: {},
      target: {},
      timeout_s: 300,
      max_output_bytes: 1,
      priority: 0,
      env_refs: [],
      created_at: '2026-03-01T00:00:00Z',
      created_by: 'ops',
      ...before,
      ...about,
    });
  }

  readonly board: Pick<TaskBoard, 'lease' | 'ofRun' | 'list'> = {
    lease: (tenant, runId) => this.live.get(engineRunId(tenant, runId)),
    ofRun: (tenant, runId) => Promise.resolve(this.tasks.get(engineRunId(tenant, runId))),
    list: (tenant, { limit }) =>
      Promise.resolve({
        items: [...this.tasks.values()].filter((task) => task.tenant === tenant).slice(0, limit),
      }),
  };
  readonly store: FilesPartOptions['store'] = {
    events: (runId, after, limit) =>
      Promise.resolve((this.#events.get(runId) ?? []).filter(({ seq }) => seq > after).slice(0, limit)),
  };
}

export type RigOptions = Partial<Omit<FilesPartOptions, 'board' | 'store' | 'rows'>>;

export class FilesRig {
  readonly dir: string;
  readonly runs = new SmallBoard();
  readonly clock = new ManualClock(START_MS);
  readonly audit: AuditNote[] = [];
  readonly retention = new Map<string, Retention>();
  readonly openRollouts = new Set<string>();
  readonly stored: unknown[] = [];
  blobs: BlobStreams;
  #rows!: ServiceDatabase;
  #server!: RunningServer;
  part!: FilesPart;

  static async open(dir: string, options: RigOptions = {}): Promise<FilesRig> {
    const rig = new FilesRig(dir, options.blobs);
    await rig.start(options);
    return rig;
  }

  private constructor(dir: string, blobs?: BlobStreams) {
    this.dir = dir;
    this.blobs = blobs ?? new DirectoryBlobStreams(join(dir, 'files'));
  }

  async start(options: RigOptions = {}): Promise<void> {
    const rows = new ServiceDatabase(join(this.dir, 'agents.sqlite'), {
      format: FORMAT,
      schema: SCHEMA,
      sharing: 'exclusive',
    });
    this.#rows = rows;
    this.part = filesPart({
      rows,
      blobs: this.blobs,
      ledger: { write: (work) => Promise.resolve().then(() => rows.transaction(work)) },
      audit: { append: (note) => void this.audit.push(note) },
      board: this.runs.board,
      store: this.runs.store,
      settings: {
        tenants: () => [...this.retention.keys()],
        retention: (tenant) => ({ ...RETENTION_DEFAULTS, ...this.retention.get(tenant) }),
      },
      isRolloutOpen: (_tenant, id) => Promise.resolve(this.openRollouts.has(id)),
      clock: this.clock,
      onStored: (stored) => void this.stored.push(stored),
      ...options,
    });
    this.#server = await startServer({
      groups: [groupOf(this.part)],
      failures: { schema: ERROR_ENVELOPE, answer: agentsFailure },
      title: 'files',
      version: '9.9.9',
      listen: { host: '127.0.0.1', port: 0 },
      tokens: [],
      names: [],
      bodyBytesMax: 65_536,
      isReady: () => Promise.resolve(true),
      note: (text) => void this.notes.push(text),
    });
  }
  readonly notes: string[] = [];

  async stop(): Promise<void> {
    await this.#server.stop(0);
    this.#rows.close();
  }

  get address(): string {
    return this.#server.address;
  }

  url(runId: string, path: string): string {
    return `http://${this.address}/runs/${runId}/files/${path}`;
  }

  /** As agent `a1` of the tenant, with the lease `l1`, unless said otherwise. */
  async put(
    path: string,
    body: string | Uint8Array,
    { runId = 'r1', as = 'agent:default:a1', headers = {} }: PutOptions = {},
  ): Promise<PutAnswer> {
    const answer = await fetch(this.url(runId, path), {
      method: 'PUT',
      body: Buffer.from(body as string),
      headers: {
        authorization: `Bearer ${as}`,
        'x-lease-id': 'l1',
        digest: `sha-256=${sha256(body)}`,
        ...headers,
      },
    });
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      code: text === '' ? undefined : JSON.parse(text).error.code,
      text,
    };
  }

  /** A part of `whole`, as the bytes `from` to `to` of it. */
  chunk(
    path: string,
    whole: Uint8Array,
    from: number,
    to: number,
    options: PutOptions = {},
  ): Promise<PutAnswer> {
    const headers = {
      digest: `sha-256=${sha256(whole)}`,
      'content-range': `bytes ${from}-${to}/${whole.length}`,
      ...options.headers,
    };
    return this.put(path, whole.subarray(from, to + 1), { ...options, headers });
  }

  get(
    path: string,
    headers: Readonly<Record<string, string>> = {},
    tenant = 'default',
    method = 'GET',
  ): Promise<Answer> {
    return ask(this.address, method, path, { token: `operator:${tenant}:ops`, headers });
  }

  /** Everything that is on disk, as one text. */
  async everything(): Promise<string> {
    const entries = await readdir(this.dir, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n');
  }

  /** Blobs that have a name. */
  async names(): Promise<string[]> {
    const found: string[] = [];
    for await (const { sha256: name } of this.blobs.list()) found.push(name);
    return found.toSorted();
  }
}

interface PutOptions {
  readonly runId?: string;
  readonly as?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface PutAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly code: string | undefined;
  readonly text: string;
}

/** A token such as `agent:default:a1` says who asks. */
function groupOf(part: FilesPart): RouteGroup {
  return {
    name: 'files',
    description: 'Files of runs',
    prefix: '/',
    routes: part.routes,
    failures: { schema: ERROR_ENVELOPE, answer: agentsFailure },
    authenticate: ({ authorization }) => {
      const [, role, tenant, actor] =
        /^Bearer (operator|agent):(\w+):(\w+)$/.exec(String(authorization)) ?? [];
      if (role === undefined || tenant === undefined || actor === undefined) throw unauthorized(undefined);
      return principalOf({ role: role as Caller['role'], tenant, actor });
    },
  };
}
