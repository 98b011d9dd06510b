/** Whether a node type is atomic or composite (contract arp §4.2). */
import type { NodeType } from '../wire/core.ts';

export type Kind = NodeType['kind'];

/** What the registry says, else what the id says; undefined: nobody knows. */
export function kindOf(nodeTypeId: string, nodeType: NodeType | undefined): Kind | undefined {
  return (
    nodeType?.kind ?? (/^(atomic|composite)\./i.exec(nodeTypeId)?.[1]?.toLowerCase() as Kind | undefined)
  );
}
