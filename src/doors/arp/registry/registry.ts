/** Node types on SQLite. A published version never changes. */
import { ServiceDatabase } from '../../../store/sqlite/service-database.ts';
import type { NodeType } from '../wire/core.ts';
import { ArpError } from '../wire/errors.ts';
import type { NodeTypeQuery, NodeTypes } from './node-types.ts';
import { highest } from './semver.ts';

const FORMAT = { application: 0x5265_4e54, version: 1 };
const SCHEMA = `create table node_types (
  node_type_id text not null,
  version text not null,
  kind text not null,
  folded_id text not null,
  document text not null,
  primary key (node_type_id, version)
) without rowid`;

interface Found {
  readonly document: string;
}

export class NodeRegistry implements NodeTypes {
  readonly #database: ServiceDatabase;
  readonly #insert;
  readonly #exact;
  readonly #versions;
  readonly #list;

  /** @throws ReeveError E_STORE_* */
  constructor(file: string) {
    const database = new ServiceDatabase(file, { format: FORMAT, schema: SCHEMA, sharing: 'shared' });
    this.#database = database;
    this.#insert = database.prepare<(string | null)[]>(
      'insert into node_types (node_type_id, version, kind, folded_id, document) values (?, ?, ?, ?, ?) on conflict do nothing',
    );
    this.#exact = database.prepare<string[], Found>(
      'select document from node_types where node_type_id = ? and version = ?',
    );
    this.#versions = database.prepare<string[], { readonly version: string }>(
      'select version from node_types where node_type_id = ?',
    );
    this.#list = database.prepare<{ q: string; kind: string | null }, Found>(
      `select document from node_types where instr(folded_id, :q) > 0 and (:kind is null or kind = :kind)
       order by node_type_id, version`,
    );
  }

  async publish(nodeType: NodeType): Promise<NodeType> {
    const { node_type_id: id, version, kind } = nodeType;
    const { changes } = this.#database.transaction(() =>
      this.#insert.run(id, version, kind, fold(id), JSON.stringify(nodeType)),
    );
    if (changes > 0) return nodeType;
    throw new ArpError(409, 'node_type_already_exists', `node type ${id} ${version} is published already`, {
      details: { node_type_id: id, version },
    });
  }

  /** Publishes what is not there yet, all in one transaction. @returns how many. */
  seed(nodeTypes: readonly NodeType[]): number {
    return this.#database.transaction(() => {
      let added = 0;
      for (const nodeType of nodeTypes) {
        const { node_type_id: id, version, kind } = nodeType;
        added += this.#insert.run(id, version, kind, fold(id), JSON.stringify(nodeType)).changes;
      }
      return added;
    });
  }

  async get(nodeTypeId: string, version?: string): Promise<NodeType> {
    const wanted = version ?? highest(this.#versions.all(nodeTypeId).map((row) => row.version));
    const found = wanted === undefined ? undefined : this.#exact.get(nodeTypeId, wanted);
    if (found !== undefined) return JSON.parse(found.document);
    const which = version === undefined ? nodeTypeId : `${nodeTypeId} ${version}`;
    throw new ArpError(404, 'node_type_not_found', `there is no node type ${which}`, {
      details: { node_type_id: nodeTypeId, ...(version === undefined ? {} : { version }) },
    });
  }

  async list({ q = '', kind }: NodeTypeQuery): Promise<readonly NodeType[]> {
    return this.#list
      .all({ q: fold(q.trim()), kind: kind ?? null })
      .map(({ document }): NodeType => JSON.parse(document));
  }

  probe(): void {
    this.#database.probe();
  }

  close(): void {
    this.#database.close();
  }
}

function fold(text: string): string {
  return text.toLowerCase();
}
