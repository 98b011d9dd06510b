/** The Node Registry, asked over HTTP. */
import type { NodeTypes } from '../registry/node-types.ts';
import { NODE_TYPE, type NodeType } from '../wire/core.ts';
import { get, type ServiceAddress } from './http-client.ts';

export function registryClient(address: Omit<ServiceAddress, 'name'>): NodeTypes {
  const service: ServiceAddress = { ...address, name: 'node_registry' };
  return {
    async get(nodeTypeId, version) {
      const query = version === undefined ? '' : `?version=${encodeURIComponent(version)}`;
      const path = `/v1/node-types/${encodeURIComponent(nodeTypeId)}${query}`;
      return (await get(service, { path, schema: NODE_TYPE })) as NodeType;
    },
  };
}
