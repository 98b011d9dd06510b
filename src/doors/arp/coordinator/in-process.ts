/** What a composite executor asks of a coordinator in the same process. */
import type { CompositeCallbacks } from '../ports.ts';
import { namespacedOnly } from '../wire/common.ts';
import type { InternalNodeRun, NodeRun } from '../wire/runs.ts';
import { OURSELVES } from './access.ts';
import type { Coordinator } from './coordinator.ts';

export function inProcessCallbacks(coordinator: Coordinator): CompositeCallbacks {
  return {
    create: async (request) => (await coordinator.create(request, OURSELVES)).map(asSent),
    nodeRun: (id) => coordinator.nodeRun(id, OURSELVES),
    waitTerminal: (id, signal) => coordinator.waitTerminal(id, OURSELVES, signal),
    evaluate: (id, report) => coordinator.evaluate(id, report, OURSELVES),
    complete: (id, report) => coordinator.complete(id, report, OURSELVES),
  };
}

function asSent({ extensions, ...nodeRun }: InternalNodeRun): NodeRun {
  return extensions === undefined ? nodeRun : { ...nodeRun, extensions: namespacedOnly(extensions) };
}
