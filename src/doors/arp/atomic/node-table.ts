/** All nodes of an executor by id: each has one handler, and an input schema that can be checked. */
import { ReeveError } from '../../../model/errors.ts';
import { inputSchemaOf } from './inputs.ts';
import type { AtomicNode } from './node.ts';

export interface SourcedNode extends AtomicNode {
  /** Where it comes from, for messages. */
  readonly source: string;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: an id has two handlers, or a schema is none */
export async function nodeTable(nodes: readonly SourcedNode[]): Promise<ReadonlyMap<string, AtomicNode>> {
  const table = new Map<string, SourcedNode>();
  for (const node of nodes) {
    const { node_type_id: id } = node.nodeType;
    const other = table.get(id);
    if (other !== undefined) {
      const message = `${id} has two handlers: ${other.source} and ${node.source}`;
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', message, { node_type_id: id });
    }
    try {
      await inputSchemaOf(node);
    } catch (error) {
      const message = `the input schema of ${id} (${node.source}) is none: ${(error as Error).message}`;
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', message, { node_type_id: id });
    }
    table.set(id, node);
  }
  return table;
}
