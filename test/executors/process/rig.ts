/** A place for process executor tests: records, a work directory, executors, and everything gone afterwards. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeWork, RuntimeStatus } from '../../../src/engine/executor.ts';
import type { JsonObject } from '../../../src/model/json.ts';
import { isAlive } from '../../../src/executors/process/processes.ts';
import type { ProcessExecutorOptions } from '../../../src/executors/process/process-executor.ts';
import { ProcessExecutor } from '../../../src/executors/process/process-executor.ts';
import type { Claim, Started } from '../../../src/executors/process/record.ts';
import { expectFinished, lastStatus, workOf } from '../../contracts/executor.ts';
import { until } from '../../support/waiting.ts';

export { isAlive as alive, until } from '../../support/waiting.ts';

export class Rig {
  readonly dir: string;
  readonly recordsDir: string;
  readonly #executors: ProcessExecutor[] = [];

  static async open(): Promise<Rig> {
    return new Rig(await mkdtemp(join(tmpdir(), 'reeve-process-')));
  }

  constructor(dir: string) {
    this.dir = dir;
    this.recordsDir = join(dir, 'records');
  }

  executor(options: Omit<ProcessExecutorOptions, 'recordsDir'> = {}): ProcessExecutor {
    const executor = new ProcessExecutor({ recordsDir: this.recordsDir, ...options });
    this.#executors.push(executor);
    return executor;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  record(effectKey: string, file: string): string {
    return join(this.recordsDir, effectKey, file);
  }

  claim(effectKey: string): Extract<Claim, { by: 'supervisor' }> {
    const claim = JSON.parse(readFileSync(this.record(effectKey, 'claim'), 'utf8')) as Claim;
    if (claim.by !== 'supervisor') throw new Error(`${effectKey} was claimed by ${claim.by}`);
    return claim;
  }

  async started(effectKey: string): Promise<Started> {
    await until(() => existsSync(this.record(effectKey, 'started.json')), `start of ${effectKey}`);
    return JSON.parse(readFileSync(this.record(effectKey, 'started.json'), 'utf8')) as Started;
  }

  work(effectKey: string, argv: readonly string[], more: JsonObject = {}): NodeWork {
    return workOf(effectKey, { argv, cwd: this.dir, ...more });
  }

  shell(effectKey: string, script: string, more: JsonObject = {}): NodeWork {
    return this.work(effectKey, ['/bin/sh', '-c', script], more);
  }

  /** Submits and waits for the end. */
  async run(
    executor: ProcessExecutor,
    work: NodeWork,
  ): Promise<Extract<RuntimeStatus, { phase: 'finished' }>> {
    await executor.submit(work);
    return expectFinished(await lastStatus(executor, work.effectKey));
  }

  /** Stops what still runs, and waits until no supervisor of these records is left. */
  async close(): Promise<void> {
    const keys = existsSync(this.recordsDir) ? readdirSync(this.recordsDir) : [];
    for (const effectKey of keys) {
      const closer = this.#executors[0];
      await closer?.cancel({ executor: 'process', effectKey }, 'canceled');
      if (closer !== undefined) await lastStatus(closer, effectKey);
    }
    const claims = keys.map((key) => JSON.parse(readFileSync(this.record(key, 'claim'), 'utf8')) as Claim);
    for (const executor of this.#executors) await executor.close();
    for (const claim of claims) {
      if (claim.by === 'supervisor')
        await until(() => !isAlive(claim.supervisor), 'the end of the supervisors');
    }
    await rm(this.dir, { recursive: true, force: true });
  }
}

export function pidIn(path: string): number {
  return Number(readFileSync(path, 'utf8').trim());
}
