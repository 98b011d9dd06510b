/** Tells the registry which nodes an executor has. What is published never changes: a node that did needs a new version. */
import { canonicalJson } from '../../../model/canonical.ts';
import { ReeveError } from '../../../model/errors.ts';
import type { NodeTypes } from '../registry/node-types.ts';
import type { NodeType } from '../wire/core.ts';
import { ArpError } from '../wire/errors.ts';

export interface Published {
  readonly published: number;
  /** Were there already, word by word. */
  readonly known: number;
}

/**
 * @throws ReeveError E_INVALID_INPUT_SCHEMA: a version is published already and is another; ArpError when the registry cannot
 * be asked, or refuses
 */
export async function publishTypes(
  registry: Pick<NodeTypes, 'get' | 'publish'>,
  types: readonly NodeType[],
): Promise<Published> {
  let published = 0;
  const others: string[] = [];
  for (const type of types) {
    try {
      await registry.publish(type);
      published += 1;
    } catch (error) {
      if (!(error instanceof ArpError) || error.wireCode !== 'node_type_already_exists') throw error;
      const there = await registry.get(type.node_type_id, type.version);
      if (canonicalJson(there) !== canonicalJson(type)) others.push(`${type.node_type_id} ${type.version}`);
    }
  }
  if (others.length > 0) {
    const message = `the registry has other node types under ${others.join(', ')}: give these a new version`;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', message, { node_types: others });
  }
  return { published, known: types.length - published };
}
