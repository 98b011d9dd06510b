/** What the parts of the control plane ask of each other. Tests of one part bring small ones of their own. */
import type { AgentView } from '../wire/agents.ts';
import type { Page, PageQuery } from '../wire/common.ts';
import type { Retention, TenantSettings } from '../wire/settings.ts';
import type { NewTask, TaskStatus, TaskView } from '../wire/tasks.ts';

export type Role = 'operator' | 'agent' | 'enrolment';

/** Who asks: nobody gets further than `tenant`. */
export interface Caller {
  readonly tenant: string;
  /** An agent's id, or the name of a token. */
  readonly actor: string;
  readonly role: Role;
}

/** Ids that the caller has chosen, so that asking again makes nothing new. */
export interface TaskIds {
  readonly taskId: string;
  readonly runId: string;
}

export interface TaskQuery extends PageQuery {
  readonly status?: TaskStatus;
  readonly agent?: string;
  readonly action?: string;
  readonly rollout?: string;
}

export interface TaskBoard {
  /**
   * Idempotent where ids are given and the same task is asked for again.
   * @throws AgentsFailure 409 `duplicate_run_id`, 422 `unverified_command`, `invalid_field`
   */
  create(by: Caller, task: NewTask, ids?: TaskIds): Promise<TaskView>;
  /** Whether there may be such a task. @throws AgentsFailure 422 `unverified_command`, `invalid_field` */
  check(tenant: string, task: NewTask): void;
  get(tenant: string, taskId: string): Promise<TaskView | undefined>;
  /** Newest first. */
  list(tenant: string, query: TaskQuery): Promise<Page<TaskView>>;
  /** All of them, oldest first. */
  ofRollout(tenant: string, rolloutId: string): Promise<readonly TaskView[]>;
  /** The task with this run; for who knows runs only. */
  ofRun(tenant: string, runId: string): Promise<TaskView | undefined>;
  /** @throws AgentsFailure 404; 409 `task_finished` */
  cancel(by: Caller, taskId: string, reason?: string): Promise<TaskView>;
  /** Told after a change is durable. @returns how to stop */
  subscribe(listener: (task: TaskView) => void): () => void;
  /** The live lease of a run, for uploads: undefined when there is none. */
  lease(tenant: string, runId: string): LiveLease | undefined;
  /** Whether tasks of this rollout may be handed out (paused, aborting: no). Set by rollouts; default: always. */
  mayHandOut: (rolloutId: string) => boolean;
  /** Whether somebody has approved of a destructive task. Set by packages; default: always, since agents decide. */
  isApproved: (tenant: string, taskId: string) => boolean;
  /** Looks at what waits once more: `mayHandOut` or `isApproved` answers otherwise by now. */
  wake(): void;
}

export interface LiveLease {
  readonly taskId: string;
  readonly leaseId: string;
  readonly attempt: number;
  readonly agentId: string;
}

export interface AgentDirectory {
  list(tenant: string): readonly AgentView[];
  get(tenant: string, id: string): AgentView | undefined;
}

/** What a state-changing call did; `tenant` and `actor` are the caller's. */
export interface AuditNote {
  readonly actor: string;
  readonly tenant: string;
  /** Such as `task.create`. */
  readonly action: string;
  /** Such as `task/<id>`. */
  readonly object: string;
  readonly before?: unknown;
  readonly after?: unknown;
  readonly reason?: string;
}

/** The audit chain of each tenant. Texts are redacted before they are chained. */
export interface Audit {
  /** Within a transaction of the service database (`Ledger.write`): kept, or lost, with the rows that it is about. */
  append(note: AuditNote): void;
}

/**
 * Writes to the service database: what waits goes into one transaction with one sync, each work on its own savepoint. It
 * resolves once that is durable (I1).
 */
export interface Ledger {
  /** @throws what `work` throws, which is then undone; ReeveError E_STORE_* */
  write<T>(work: () => T): Promise<T>;
}

export interface SettingsOfTenants {
  /** With defaults. */
  retention(tenant: string): Retention & { readonly artifact_days: number; readonly log_days: number };
  get(tenant: string): TenantSettings;
  /** Tenants that anything is known of. */
  tenants(): readonly string[];
}

export type FileKind = 'raw' | 'summary' | 'meta' | 'log' | 'report' | 'other';

export interface RunFile {
  readonly path: string;
  readonly size: number;
  /** 64 hex digits. */
  readonly sha256: string;
  readonly kind: FileKind;
}

export interface Upload {
  readonly tenant: string;
  readonly runId: string;
  readonly attempt: number;
  readonly path: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** SHA-256 of the whole file, 64 hex digits. */
  readonly digest: string;
  /** Bytes `from` to `to`, inclusive, of `total`. */
  readonly range?: { readonly from: number; readonly to: number; readonly total: number };
  /** Text of an agent, in which secrets are replaced once more. */
  readonly redact: boolean;
}

export interface RunFiles {
  /** @throws AgentsFailure 409, 413, 422 */
  put(upload: Upload): Promise<'created' | 'present' | 'partial'>;
  list(tenant: string, runId: string): Promise<readonly RunFile[]>;
  open(
    tenant: string,
    runId: string,
    path: string,
    range?: { readonly from: number; readonly to: number },
  ): Promise<{ readonly file: RunFile; readonly bytes: AsyncIterable<Uint8Array> } | undefined>;
}
