/** What every executor promises the engine. Run by each implementation with a harness of its own. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Executor, NodeWork, RuntimeStatus } from '../../src/engine/executor.ts';
import type { Json } from '../../src/model/json.ts';

export interface ExecutorHarness {
  readonly executor: Executor;
  /** Work that succeeds, fails, or goes on until somebody stops it. */
  readonly input: (kind: 'succeed' | 'fail' | 'hang') => Json;
  /** How often the effect of a key began, counted where the effect happens. */
  readonly starts: (effectKey: string) => Promise<number>;
  /** Another executor that knows only what survives a crash of the first one's process. */
  readonly another: () => Promise<Executor>;
  /** Closes all executors and stops what still runs. */
  readonly close: () => Promise<void>;
}

export function executorContract(name: string, open: () => Promise<ExecutorHarness>): void {
  describe(`${name}: executor contract`, () => {
    const opened: ExecutorHarness[] = [];
    const harness = async (): Promise<ExecutorHarness> => {
      const fresh = await open();
      opened.push(fresh);
      return fresh;
    };
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });

    test('work that succeeds is finished as succeeded, with its times', async () => {
      const { executor, input } = await harness();
      const ref = await executor.submit(workOf('k1', input('succeed')));
      expect(ref).toEqual({ executor: executor.name, effectKey: 'k1' });
      const status = expectFinished(await lastStatus(executor, 'k1'));
      expect(status).toMatchObject({ outcome: 'succeeded' });
      expect(status.error).toBeUndefined();
      expect(status.finishedAtMs).toBeGreaterThanOrEqual(status.startedAtMs);
      expect(await executor.status(ref)).toEqual(status);
    });

    test('work that fails is finished as failed, with a reason', async () => {
      const { executor, input } = await harness();
      await executor.submit(workOf('k1', input('fail')));
      const status = expectFinished(await lastStatus(executor, 'k1'));
      expect(status.outcome).toBe('failed');
      expect(status.error?.code).toMatch(/^E_[A-Z_]+$/);
      expect(status.error?.message).not.toBe('');
    });

    test('I5: submitting a key again, at once or later, starts nothing', async () => {
      const { executor, input, starts, another } = await harness();
      const work = workOf('k1', input('succeed'));
      const refs = await Promise.all([executor.submit(work), executor.submit(work), executor.submit(work)]);
      expect(new Set(refs.map((ref) => JSON.stringify(ref))).size).toBe(1);
      const status = await lastStatus(executor, 'k1');
      expect(await executor.submit(work)).toEqual(refs[0]);
      expect(await (await another()).submit(work)).toEqual(refs[0]);
      expect(await executor.status(refs[0])).toEqual(status);
      expect(await starts('k1')).toBe(1);
    });

    test('I5: asking for an unknown key makes sure that it never starts', async () => {
      const { executor, input, starts, another } = await harness();
      expect(await executor.status(refTo(executor, 'k1'))).toEqual({ phase: 'not_started' });
      const other = await another();
      expect(await other.status(refTo(other, 'k1'))).toEqual({ phase: 'not_started' });
      await other.submit(workOf('k1', input('succeed')));
      expect(await lastStatus(other, 'k1')).toEqual({ phase: 'not_started' });
      expect(await starts('k1')).toBe(0);
    });

    test('cancel ends the work as it was asked to, and may be repeated', async () => {
      const { executor, input } = await harness();
      for (const reason of ['canceled', 'over_budget'] as const) {
        const ref = await executor.submit(workOf(reason, input('hang')));
        expect(await executor.status(ref)).toMatchObject({ phase: 'running' });
        await executor.cancel(ref, reason);
        await executor.cancel(ref, 'canceled');
        expect(expectFinished(await lastStatus(executor, reason)).outcome).toBe(reason);
        await executor.cancel(ref, 'canceled');
        expect(await executor.status(ref)).toMatchObject({ outcome: reason });
      }
    });

    test('cancel of work that ended or never was is success', async () => {
      const { executor, input } = await harness();
      const ref = await executor.submit(workOf('k1', input('succeed')));
      await lastStatus(executor, 'k1');
      await executor.cancel(ref, 'canceled');
      expect(await executor.status(ref)).toMatchObject({ outcome: 'succeeded' });
      await executor.cancel(refTo(executor, 'never'), 'canceled');
      expect(await executor.status(refTo(executor, 'never'))).toEqual({ phase: 'not_started' });
    });

    test('another executor finds running work, may cancel it, and sees its end', async () => {
      const { executor, input, another } = await harness();
      const ref = await executor.submit(workOf('k1', input('hang')));
      const other = await another();
      expect(await other.status(ref)).toMatchObject({ phase: 'running' });
      const seen = Promise.all([lastStatus(executor, 'k1'), lastStatus(other, 'k1')]);
      await other.cancel(ref, 'canceled');
      for (const status of await seen) expect(expectFinished(status).outcome).toBe('canceled');
    });

    test('work that outlasts its limit is timed out', async () => {
      const { executor, input } = await harness();
      await executor.submit({ ...workOf('k1', input('hang')), timeoutMs: 50 });
      expect(expectFinished(await lastStatus(executor, 'k1')).outcome).toBe('timed_out');
    });

    test('watch ends after the final status, and when it is aborted', async () => {
      const { executor, input } = await harness();
      const ref = await executor.submit(workOf('k1', input('hang')));
      const abort = new AbortController();
      const seen: RuntimeStatus[] = [];
      for await (const status of executor.watch(ref, abort.signal)) {
        seen.push(status);
        abort.abort();
      }
      expect(seen.map((status) => status.phase)).toEqual(['running']);
      await executor.cancel(ref, 'canceled');
      const phases: string[] = [];
      for await (const status of executor.watch(ref, AbortSignal.timeout(20_000))) phases.push(status.phase);
      expect(phases.at(-1)).toBe('finished');
    });

    test('forget may be repeated, and also for work that never was', async () => {
      const { executor, input } = await harness();
      const ref = await executor.submit(workOf('k1', input('succeed')));
      await lastStatus(executor, 'k1');
      await executor.forget(ref);
      await expect(executor.forget(ref)).resolves.toBeUndefined();
      await expect(executor.forget(refTo(executor, 'never'))).resolves.toBeUndefined();
    });
  });
}

export function workOf(effectKey: string, input: Json): NodeWork {
  return { runId: 'run-1', nodeId: 'node-1', attempt: 1, effectKey, input };
}

export function refTo(executor: Executor, effectKey: string): { executor: string; effectKey: string } {
  return { executor: executor.name, effectKey };
}

/** The status a watch ends with. */
export async function lastStatus(executor: Executor, effectKey: string): Promise<RuntimeStatus> {
  let last: RuntimeStatus | undefined;
  for await (const status of executor.watch(refTo(executor, effectKey), AbortSignal.timeout(25_000)))
    last = status;
  if (last === undefined || last.phase === 'running')
    throw new Error(`watch of ${effectKey} ended with ${last?.phase}`);
  return last;
}

export function expectFinished(status: RuntimeStatus): Extract<RuntimeStatus, { phase: 'finished' }> {
  if (status.phase !== 'finished')
    throw new Error(`expected a finished attempt, got ${JSON.stringify(status)}`);
  return status;
}
