/** A composite executor, asked over HTTP. */
import type { CompositeExecution } from '../ports.ts';
import { COMPOSITE_BEGIN_RESPONSE, type CompositeBeginResponse } from '../wire/requests.ts';
import { post, postCancel, type ServiceAddress } from './http-client.ts';

export function compositeClient(address: Omit<ServiceAddress, 'name'>): CompositeExecution {
  const service: ServiceAddress = { ...address, name: 'composite_executor' };
  return {
    async begin(request) {
      // A second begin of what is in progress is accepted without a second run.
      const call = { path: '/v1/composite-node-runs:begin', schema: COMPOSITE_BEGIN_RESPONSE };
      return (await post(service, { ...call, body: request, repeatable: true })) as CompositeBeginResponse;
    },
    cancel: (nodeRunId) => postCancel(service, 'composite', nodeRunId),
  };
}
