/** Bodies of the Run Store (contract arp §2): records are wrapped, and carry the six bare keys (D2). */
import { INTERNAL_NODE_RUN, INTERNAL_RUN } from '../wire/runs.ts';
import { list, object, TEXT } from '../../wire-schema.ts';

export const RUN_CREATE = object({ run: INTERNAL_RUN }, { idempotency_key: TEXT });
export const RUN_RECORD = object({ run: INTERNAL_RUN }, {});
export const NODE_RUN_CREATE = object({ node_run: INTERNAL_NODE_RUN }, { idempotency_key: TEXT });
export const NODE_RUN_RECORD = object({ node_run: INTERNAL_NODE_RUN }, {});
export const RUN_PAGE = object({ items: list(INTERNAL_RUN) }, { next_token: TEXT });
export const NODE_RUN_PAGE = object({ items: list(INTERNAL_NODE_RUN) }, { next_token: TEXT });
