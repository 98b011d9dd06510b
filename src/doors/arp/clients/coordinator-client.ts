/** The coordinator, as a composite executor asks it over HTTP. All of it may be repeated: children carry keys, ends stay ends. */
import type { CompositeCallbacks } from '../ports.ts';
import { INTERNAL_NODE_RUNS_CREATE_RESPONSE } from '../wire/requests.ts';
import { INTERNAL_NODE_RUN, type InternalNodeRun, type NodeRun } from '../wire/runs.ts';
import { get, post, type ServiceAddress } from './http-client.ts';

export function coordinatorClient(address: Omit<ServiceAddress, 'name'>): CompositeCallbacks {
  const service: ServiceAddress = { ...address, name: 'run_coordinator' };
  const at = (nodeRunId: string): string => `/v1/node-runs/${encodeURIComponent(nodeRunId)}`;
  return {
    async create(request) {
      const repeatable = request.node_runs.every(({ idempotency_key: key }) => key !== undefined);
      const schema = INTERNAL_NODE_RUNS_CREATE_RESPONSE;
      const call = { path: '/v1/node-runs', schema, body: request, repeatable };
      return ((await post(service, call)) as { readonly node_runs: readonly NodeRun[] }).node_runs;
    },
    async nodeRun(nodeRunId) {
      return (await get(service, { path: at(nodeRunId), schema: INTERNAL_NODE_RUN })) as InternalNodeRun;
    },
    async evaluate(nodeRunId, report) {
      await post(service, {
        path: `${at(nodeRunId)}:evaluation`,
        schema: {},
        body: report,
        repeatable: true,
      });
    },
    async complete(nodeRunId, report) {
      await post(service, { path: `${at(nodeRunId)}:complete`, schema: {}, body: report, repeatable: true });
    },
  };
}
