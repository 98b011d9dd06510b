/** Requests to an Atomic Executor, and nodes whose end a test decides. */
import { expect } from 'vitest';
import type { AtomicNode, NodeCall } from '../../../src/doors/arp/atomic/node.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import { ERROR_ENVELOPE } from '../../../src/doors/arp/wire/common.ts';
import { ATOMIC_EXECUTE_RESULT } from '../../../src/doors/arp/wire/requests.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import type { Answer } from '../../server/client.ts';
import type { Served } from './support.ts';

export const NOW = '2026-01-02T03:04:05.678Z';
export const NOBODY = new AbortController().signal;

export function asked(type: string, inputs: object = {}, more: object = {}) {
  const node_type_ref = { node_type_id: type, version: '7.7.7' };
  return { node_run_id: 'node_run_1', run_id: 'run_1', node_type_ref, inputs: { ...inputs }, ...more };
}

export async function execute(served: Served, request: object): Promise<Answer> {
  const answer = await served.send('POST', '/v1/atomic-node-runs:execute', request);
  if (answer.status === 200) {
    expect(await fieldErrors(ATOMIC_EXECUTE_RESULT, answer.json)).toEqual([]);
    expect(answer.json).toMatchObject({ started_at: NOW, ended_at: NOW });
  } else expect(await fieldErrors(ERROR_ENVELOPE, answer.json)).toEqual([]);
  return answer;
}

export const cancel = (served: Served, id: string): Promise<Answer> =>
  served.send('POST', `/v1/atomic-node-runs/${encodeURIComponent(id)}:cancel`);

/** A node that runs until it is let go, and tells how often it was called. */
export class Held {
  calls: NodeCall[] = [];
  readonly #open = Promise.withResolvers<void>();
  readonly #called: (() => void)[] = [];
  readonly node: AtomicNode;

  constructor(id = 'test.held', deaf = false) {
    this.node = {
      nodeType: { node_type_id: id, version: '1', kind: 'atomic' },
      execute: async (_inputs, call) => {
        this.calls.push(call);
        for (const tell of this.#called.splice(0)) tell();
        const stopped = new Promise<void>((resolve) => {
          if (!deaf) call.signal.addEventListener('abort', () => resolve());
        });
        await Promise.race([this.#open.promise, stopped]);
        return { outputs: { call: this.calls.length } };
      },
    };
  }

  called(times = 1): Promise<void> {
    if (this.calls.length >= times) return Promise.resolve();
    return new Promise<void>((resolve) => this.#called.push(resolve)).then(() => this.called(times));
  }

  letGo(): void {
    this.#open.resolve();
  }
}

export function failing(fail: (call: NodeCall) => unknown): AtomicNode {
  const nodeType: NodeType = { node_type_id: 'test.bad', version: '1', kind: 'atomic' };
  return { nodeType, execute: async (_inputs, call) => fail(call) as never };
}
