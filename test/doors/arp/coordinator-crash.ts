// kill -9 of a coordinator with work queued and running (G30).
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { openEvents } from '../../../src/engine/event-codec.ts';
import { openStore } from '../../../src/store/open-store.ts';
import type { Task } from './coordinator-process.ts';
import type { Stack } from './support.ts';

const PROGRAM = fileURLToPath(new URL('./coordinator-process.ts', import.meta.url));

export async function crashAndRecover(stack: Stack, runs: number, running: number): Promise<void> {
  const task = { root: stack.path('store'), ledger: stack.path('ledger'), runs, running };
  const filling = start({ ...task, mode: 'fill' });
  await said(filling, 'created', 'full');
  filling.kill('SIGKILL');
  await new Promise((resolve) => filling.once('exit', resolve));
  await said(start({ ...task, mode: 'finish' }), 'over');
  await audit(task.root, task.ledger, runs);
}

function start(task: Task): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return child;
}

/** Resolves once all of these lines have come. */
async function said(child: ChildProcess, ...lines: string[]): Promise<void> {
  const awaited = new Set(lines);
  const output = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  for await (const line of output) {
    if (!awaited.delete(line)) throw new Error(`the coordinator says: ${line}`);
    if (awaited.size === 0) return;
  }
  throw new Error('the coordinator ended early');
}

async function audit(root: string, ledger: string, runs: number): Promise<void> {
  const begun = new Map<string, number>();
  for (const id of (await readFile(ledger, 'utf8')).split('\n').filter((line) => line !== ''))
    begun.set(id, (begun.get(id) ?? 0) + 1);
  const store = await openStore(root);
  try {
    const known = new Set<string>();
    for (let at = 0; at < runs; at += 1) {
      const head = await store.runs.head(`run-${at}`);
      expect(['succeeded', 'failed']).toContain(head?.phase);
      const events = await openEvents(await store.runs.events(`run-${at}`, 0, 10_000), store.blobs);
      const starts = new Map<string, { attempts: number; unknown: number; isWrite: boolean }>();
      const writes = new Set<string>();
      for (const { event } of events) {
        const specs =
          event.type === 'run_created' ? [event.spec.root] : event.type === 'nodes_added' ? event.nodes : [];
        for (const { id, sideEffect } of specs) if (sideEffect === 'write') writes.add(id);
        if (event.type !== 'attempt_started' && event.type !== 'attempt_ended') continue;
        const of = starts.get(event.node) ?? { attempts: 0, unknown: 0, isWrite: writes.has(event.node) };
        if (event.type === 'attempt_started') of.attempts += 1;
        else if (event.outcome === 'unknown') of.unknown += 1;
        starts.set(event.node, of);
      }
      for (const [node, { attempts, unknown, isWrite }] of starts) {
        known.add(node);
        const times = begun.get(node) ?? 0;
        expect(times, `${node} began more often than is on record`).toBeLessThanOrEqual(attempts);
        // I5: once, or the run says that nobody knows how it went before it was done again.
        expect(times, `${node} was repeated silently`).toBeLessThanOrEqual(1 + unknown);
        if (isWrite) expect(times, `${node} is not repeated`).toBeLessThanOrEqual(1);
      }
    }
    for (const id of begun.keys()) expect(known, 'nothing began off the record').toContain(id);
  } finally {
    await store.close();
  }
}
