/** Selection, asked over HTTP. */
import type { Selection } from '../ports.ts';
import { CANDIDATE_SET } from '../wire/core.ts';
import type { CandidateSet } from '../wire/requests.ts';
import { post, type ServiceAddress } from './http-client.ts';

/** Of one try, milliseconds: behind the answer may stand a language model that is asked three times. */
const TIMEOUT_MS = 120_000;

export function selectionClient(address: Omit<ServiceAddress, 'name'>): Selection {
  const service: ServiceAddress = { timeoutMs: TIMEOUT_MS, ...address, name: 'selection_service' };
  return {
    async candidates(request) {
      const call = { path: '/v1/candidate-sets', schema: CANDIDATE_SET, body: request, repeatable: true };
      return (await post(service, call)) as CandidateSet;
    },
  };
}
