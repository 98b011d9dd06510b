/** The Atomic Executor, asked over HTTP. */
import type { AtomicExecution } from '../ports.ts';
import { ATOMIC_EXECUTE_RESULT, type AtomicExecuteResult } from '../wire/requests.ts';
import { post, postCancel, type ServiceAddress } from './http-client.ts';

/** A node may take long: whoever runs it has limits of its own. Milliseconds. */
const EXECUTE_MS = 24 * 3_600_000;

/** @param address its `timeoutMs` is that of an execution. */
export function atomicClient(address: Omit<ServiceAddress, 'name'>): AtomicExecution {
  const { timeoutMs = EXECUTE_MS, ...rest } = address;
  const service: ServiceAddress = { ...rest, name: 'atomic_executor' };
  return {
    async execute(request, signal) {
      const call = {
        path: '/v1/atomic-node-runs:execute',
        schema: ATOMIC_EXECUTE_RESULT,
        body: request,
        signal,
      };
      // Not repeated: executors of others may run it twice.
      return (await post({ ...service, timeoutMs }, call)) as AtomicExecuteResult;
    },
    cancel: (nodeRunId) => postCancel(service, 'atomic', nodeRunId),
  };
}
