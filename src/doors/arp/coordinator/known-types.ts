/** What the registry knows of node types. A published version never changes, so it is asked once for each (H16). */
import type { NodeTypes } from '../registry/node-types.ts';
import type { NodeType } from '../wire/core.ts';

export interface TypeRef {
  readonly node_type_id: string;
  readonly version: string;
}

const KEPT_MAX = 1000;

export class KnownTypes {
  readonly #registry: Pick<NodeTypes, 'get'> | undefined;
  readonly #kept = new Map<string, Promise<NodeType | undefined>>();

  /** @param registry undefined: there is none, and nothing is known. */
  constructor(registry: Pick<NodeTypes, 'get'> | undefined) {
    this.#registry = registry;
  }

  /** @returns undefined when the registry does not know it, or cannot be asked (contract arp §4.2). */
  get({ node_type_id: id, version }: TypeRef): Promise<NodeType | undefined> {
    if (this.#registry === undefined) return Promise.resolve(undefined);
    const key = JSON.stringify([id, version]);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const asked = this.#registry.get(id, version).catch(() => {
      this.#kept.delete(key); // it may be published later, or the registry come back
      return undefined;
    });
    this.#kept.set(key, asked);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX) break;
      this.#kept.delete(oldest);
    }
    return asked;
  }
}
