/** The Run Store, asked over HTTP. Nothing is tried twice here. */
import type { InternalNodeRun, InternalRun } from '../wire/runs.ts';
import { getOnce, post, put, type ServiceAddress } from './http-client.ts';

export interface RunStoreClient {
  /** @throws ArpError 409: it is there already */
  createRun(run: InternalRun, signal: AbortSignal): Promise<void>;
  /** @throws ArpError 404 */
  replaceRun(run: InternalRun, signal: AbortSignal): Promise<void>;
  /** @returns the root of a run. @throws ArpError 404 */
  rootOf(runId: string, signal: AbortSignal): Promise<string>;
  /** @throws ArpError 409: it is there already */
  createNodeRun(nodeRun: InternalNodeRun, signal: AbortSignal): Promise<void>;
  /** @throws ArpError 404 */
  replaceNodeRun(nodeRun: InternalNodeRun, signal: AbortSignal): Promise<void>;
}

/** Stores of others answer with a null for whatever is unset (D3): only what is needed of an answer is looked at. */
const WHATEVER = {};
const ROOT = {
  type: 'object',
  required: ['run'],
  properties: {
    run: {
      type: 'object',
      required: ['root_node_run_id'],
      properties: { root_node_run_id: { type: 'string' } },
    },
  },
};

export function runStoreClient(address: Omit<ServiceAddress, 'name' | 'isStore'>): RunStoreClient {
  const service: ServiceAddress = { ...address, name: 'run_store', isStore: true };
  const runAt = (id: string): string => `/v1/runs/${encodeURIComponent(id)}`;
  const nodeRunAt = (id: string): string => `/v1/node-runs/${encodeURIComponent(id)}`;
  return {
    async createRun(run, signal) {
      await post(service, { path: '/v1/runs', schema: WHATEVER, body: { run }, signal });
    },
    async replaceRun(run, signal) {
      await put(service, { path: runAt(run.run_id), schema: WHATEVER, body: { run }, signal });
    },
    async rootOf(runId, signal) {
      const found = await getOnce(service, { path: runAt(runId), schema: ROOT, signal });
      return (found as { readonly run: InternalRun }).run.root_node_run_id;
    },
    async createNodeRun(nodeRun, signal) {
      await post(service, {
        path: '/v1/node-runs',
        schema: WHATEVER,
        body: { node_run: nodeRun },
        signal,
      });
    },
    async replaceNodeRun(nodeRun, signal) {
      const path = nodeRunAt(nodeRun.node_run_id);
      await put(service, { path, schema: WHATEVER, body: { node_run: nodeRun }, signal });
    },
  };
}
