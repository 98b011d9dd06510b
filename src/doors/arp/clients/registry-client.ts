/** The Node Registry, asked over HTTP. */
import type { NodeTypes } from '../registry/node-types.ts';
import { NODE_TYPE, type NodeType } from '../wire/core.ts';
import { list } from '../../wire-schema.ts';
import { get, post, type ServiceAddress } from './http-client.ts';

const NODE_TYPES = list(NODE_TYPE);

export function registryClient(address: Omit<ServiceAddress, 'name'>): NodeTypes {
  const service: ServiceAddress = { ...address, name: 'node_registry' };
  return {
    async get(nodeTypeId, version) {
      const query = version === undefined ? '' : `?version=${encodeURIComponent(version)}`;
      const path = `/v1/node-types/${encodeURIComponent(nodeTypeId)}${query}`;
      return (await get(service, { path, schema: NODE_TYPE })) as NodeType;
    },
    async list(query) {
      const text = new URLSearchParams(Object.entries(query)).toString();
      const path = `/v1/node-types${text === '' ? '' : `?${text}`}`;
      return (await get(service, { path, schema: NODE_TYPES })) as readonly NodeType[];
    },
    async publish(nodeType) {
      const call = { path: '/v1/node-types', schema: NODE_TYPE, body: { node_type: nodeType } };
      return (await post(service, call)) as NodeType;
    },
  };
}
