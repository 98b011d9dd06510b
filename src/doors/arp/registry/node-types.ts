/** What the registry can do; the same for whoever holds it in this process and for whoever asks over HTTP. */
import type { NodeType } from '../wire/core.ts';

export interface NodeTypeQuery {
  /** Part of the id, in any case; blanks around it do not count. */
  readonly q?: string;
  readonly kind?: NodeType['kind'];
}

export interface NodeTypes {
  /**
   * @param version without it, the highest.
   * @throws ArpError 404 `node_type_not_found`; over HTTP also 502 `node_registry_unavailable`
   */
  get(nodeTypeId: string, version?: string): Promise<NodeType>;
  /** Ordered by id, then by the text of the version. @throws ArpError over HTTP */
  list(query: NodeTypeQuery): Promise<readonly NodeType[]>;
  /** @throws ArpError 409 `node_type_already_exists`, also for the very same document */
  publish(nodeType: NodeType): Promise<NodeType>;
}
