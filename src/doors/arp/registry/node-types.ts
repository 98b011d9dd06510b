/** What the registry can do; the same for whoever holds it in this process and for whoever asks over HTTP. */
import type { NodeType } from '../wire/core.ts';

export interface NodeTypes {
  /**
   * @param version without it, the highest.
   * @throws ArpError 404 `node_type_not_found`; over HTTP also 502 `node_registry_unavailable`
   */
  get(nodeTypeId: string, version?: string): Promise<NodeType>;
}
