/**
 * Packages of skills as operators publish them and agents fetch them, and approvals of what is destructive. Neither is
 * believed by an agent: its own allow-list knows the digest, and its own keys the approver (contract agents §5).
 */
import { createHash } from 'node:crypto';
import type { BlobStore } from '../../../../store/blob-store.ts';
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import { readPackage } from '../../skills/read-package.ts';
import { timestamp } from '../../ids.ts';
import { AgentsFailure, conflict, invalidField, notFound } from '../../wire/errors.ts';
import type { PublishedSkill } from '../../wire/skills.ts';
import type { Audit, Caller, Ledger, TaskBoard } from '../ports.ts';
import { isFinal } from '../../wire/tasks.ts';

export const PACKAGES_SCHEMA = `
create table skill_packages (
  tenant text not null,
  name text not null,
  version text not null,
  digest text not null,
  size integer not null,
  blob text not null,
  published_at_ms integer not null,
  published_by text not null,
  primary key (tenant, name, version)
) without rowid;
create table task_approvals (
  tenant text not null,
  task_id text not null,
  envelope blob not null,
  primary key (tenant, task_id)
) without rowid
`;

interface Row {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  readonly size: number;
  readonly blob: string;
  readonly published_at_ms: number;
  readonly published_by: string;
}

export interface PackagesOptions {
  readonly rows: ServiceDatabase;
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly board: TaskBoard;
  nowMs(): number;
}

export class Packages {
  readonly #options: PackagesOptions;
  readonly #add;
  readonly #one;
  readonly #all;
  readonly #approve;
  readonly #approval;

  constructor(options: PackagesOptions) {
    this.#options = options;
    const { rows } = options;
    this.#add = rows.prepare<[Row & { readonly tenant: string }]>(
      `insert into skill_packages (tenant, name, version, digest, size, blob, published_at_ms, published_by)
       values (@tenant, @name, @version, @digest, @size, @blob, @published_at_ms, @published_by)`,
    );
    this.#one = rows.prepare<[string, string, string], Row>(
      'select * from skill_packages where tenant = ? and name = ? and version = ?',
    );
    this.#all = rows.prepare<[string], Row>(
      'select * from skill_packages where tenant = ? order by name, published_at_ms',
    );
    this.#approve = rows.prepare<[string, string, Buffer]>(
      'insert or replace into task_approvals (tenant, task_id, envelope) values (?, ?, ?)',
    );
    this.#approval = rows.prepare<[string, string], { readonly envelope: Buffer }>(
      'select envelope from task_approvals where tenant = ? and task_id = ?',
    );
  }

  /**
   * A version is published once: the same bytes again change nothing.
   * @throws AgentsFailure 409 other bytes of the same version; 422 no package, or another skill's
   */
  async publish(by: Caller, name: string, version: string, bytes: Buffer): Promise<PublishedSkill> {
    const { blobs, ledger, audit, nowMs } = this.#options;
    requirePackageOf(bytes, name, version);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const blob = await blobs.put(bytes);
    return ledger.write(() => {
      const there = this.#one.get(by.tenant, name, version);
      if (there !== undefined && there.digest !== digest)
        throw conflict(
          'already_published',
          `${name} ${version} is published with other bytes; raise its version`,
          {
            published: there.digest,
            digest,
          },
        );
      if (there !== undefined) return viewOf(there);
      const row: Row = {
        name,
        version,
        digest,
        size: bytes.length,
        blob,
        published_at_ms: nowMs(),
        published_by: by.actor,
      };
      this.#add.run({ ...row, tenant: by.tenant });
      audit.append({ ...by, action: 'skill.publish', object: `skill/${name}@${version}`, after: { digest } });
      return viewOf(row);
    });
  }

  list(tenant: string): readonly PublishedSkill[] {
    return this.#all.all(tenant).map(viewOf);
  }

  /** @throws AgentsFailure 404; ReeveError E_STORE_CORRUPT */
  async bytes(tenant: string, name: string, version: string): Promise<{ digest: string; bytes: Uint8Array }> {
    const row = this.#one.get(tenant, name, version);
    if (row === undefined) throw notFound('package', `${name}@${version}`);
    return { digest: row.digest, bytes: await this.#options.blobs.get(row.blob) };
  }

  /**
   * Leaves a signed approval for the agent that gets the task.
   * @throws AgentsFailure 404; 409 the task is over; 422 it is no envelope of this task
   */
  async approve(by: Caller, taskId: string, bytes: Buffer): Promise<void> {
    const { board, ledger, audit } = this.#options;
    const task = await board.get(by.tenant, taskId);
    if (task === undefined) throw notFound('task', taskId);
    if (isFinal(task.status))
      throw conflict('task_finished', `task ${taskId} has ${task.status} already`, { status: task.status });
    const { approver } = approvalIn(bytes, taskId);
    await ledger.write(() => {
      this.#approve.run(by.tenant, taskId, bytes);
      audit.append({ ...by, action: 'task.approve', object: `task/${taskId}`, after: { approver } });
    });
    board.wake();
  }

  /** @throws AgentsFailure 404 */
  approval(tenant: string, taskId: string): Buffer {
    const row = this.#approval.get(tenant, taskId);
    if (row === undefined) throw notFound('approval of task', taskId);
    return row.envelope;
  }

  isApproved(tenant: string, taskId: string): boolean {
    return this.#approval.get(tenant, taskId) !== undefined;
  }
}

function viewOf({ name, version, digest, size, published_at_ms, published_by }: Row): PublishedSkill {
  return { name, version, digest, size, published_at: timestamp(published_at_ms), published_by };
}

function requirePackageOf(bytes: Buffer, name: string, version: string): void {
  let manifest: { readonly name?: unknown; readonly version?: unknown };
  try {
    const file = readPackage(bytes).find(({ path }) => path === 'skill.json');
    manifest = JSON.parse(file?.bytes.toString() ?? 'null') as typeof manifest;
  } catch (error) {
    throw new AgentsFailure(422, 'bad_package', `it is no package of a skill: ${(error as Error).message}`);
  }
  if (manifest?.name !== name || manifest.version !== version)
    throw new AgentsFailure(422, 'bad_package', `its skill.json is not of ${name} ${version}`);
}

/** Only its form and its task are looked at: who may approve is decided by the agent's keys. */
function approvalIn(bytes: Buffer, taskId: string): { readonly approver: string } {
  let document: { readonly task_id?: unknown; readonly approver?: unknown } | undefined;
  try {
    ({ document } = JSON.parse(bytes.toString()) as { readonly document?: typeof document });
  } catch {}
  if (document?.task_id !== taskId || typeof document.approver !== 'string')
    throw invalidField('document.task_id', `is not of task ${taskId}, or this is no signed approval`);
  return { approver: document.approver };
}
