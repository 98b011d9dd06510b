/** Selection over HTTP (contract arp §2). */
import type { RouteGroup } from '../../http.ts';
import { arpService, checked } from '../services.ts';
import type { HealthCheck } from '../wire/common.ts';
import { CANDIDATE_SET } from '../wire/core.ts';
import { CANDIDATE_SET_REQUEST, type CandidateSetRequest } from '../wire/requests.ts';
import { type SelectionOptions, selectionService } from './selection.ts';

const BODY_BYTES_MAX = 1_048_576;
/** In the id of hardly any node type: the registry is asked as it is for candidates, and has little to say. */
const NOTHING = 'no such node type';

export function selectionRoutes(options: SelectionOptions & { readonly version: string }): RouteGroup {
  const selection = selectionService(options);
  return arpService({
    version: options.version,
    nowMs: () => options.nowMs(),
    service: 'selection',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: async () => [await registryCheck(options), strategyCheck(options)],
    routes: [
      {
        method: 'POST',
        path: '/v1/candidate-sets',
        operation: 'createCandidateSet',
        summary: 'Node types that can carry out a subtask, best first.',
        body: { schema: CANDIDATE_SET_REQUEST, required: true },
        responses: { 200: { description: 'The candidates', schema: CANDIDATE_SET } },
        handle: async ({ body, signal }) => ({
          json: await selection.candidates(body as CandidateSetRequest, signal),
        }),
      },
    ],
  });
}

async function registryCheck({ nodeTypes }: SelectionOptions): Promise<HealthCheck> {
  if (nodeTypes !== undefined) return checked('node_registry', () => nodeTypes.list({ q: NOTHING }));
  return {
    name: 'node_registry',
    status: 'degraded',
    message: 'none is configured: nothing can be selected',
  };
}

/** Says by what it selects, and whether it can. */
function strategyCheck({ strategy, llm }: SelectionOptions): HealthCheck {
  const name = 'strategy';
  if (strategy === 'deterministic') return { name, status: 'ok', message: strategy };
  if (strategy !== 'llm')
    return { name, status: 'down', message: 'JARVIS_SELECTION_STRATEGY names none that exists' };
  if (llm === undefined) return { name, status: 'down', message: 'llm, and no language model is configured' };
  return { name, status: 'ok', message: `llm (${llm.provider}, ${llm.model})` };
}
