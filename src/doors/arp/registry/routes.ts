/** The Node Registry over HTTP (contract arp §2). */
import type { RouteGroup } from '../../http.ts';
import { arpService, checked } from '../services.ts';
import { NODE_TYPE, type NodeType } from '../wire/core.ts';
import { NODE_TYPE_PUBLISH_REQUEST } from '../wire/requests.ts';
import { list } from '../../wire-schema.ts';
import type { NodeRegistry } from './registry.ts';

const BODY_BYTES_MAX = 1_048_576;

export function registryService(
  registry: NodeRegistry,
  world: { readonly version: string; nowMs(): number },
): RouteGroup {
  return arpService({
    ...world,
    service: 'node-registry',
    bodyBytesMax: BODY_BYTES_MAX,
    checks: async () => [await checked('database', () => registry.probe())],
    routes: [
      {
        method: 'GET',
        path: '/v1/node-types',
        operation: 'listNodeTypes',
        summary: 'All node types, by id and the text of the version.',
        query: {
          q: { description: 'Part of the id, in any case', schema: { type: 'string' } },
          kind: {
            description: 'Only this kind',
            schema: { type: 'string', enum: ['atomic', 'composite'] },
          },
        },
        responses: { 200: { description: 'Node types', schema: list(NODE_TYPE) } },
        handle: async ({ query }) => ({ json: await registry.list(query) }),
      },
      {
        method: 'POST',
        path: '/v1/node-types',
        operation: 'publishNodeType',
        summary: 'Publishes a version of a node type, for good.',
        body: { schema: NODE_TYPE_PUBLISH_REQUEST, required: true },
        responses: { 200: { description: 'As it was published', schema: NODE_TYPE } },
        handle: async ({ body }) => ({
          json: await registry.publish((body as { readonly node_type: NodeType }).node_type),
        }),
      },
      {
        method: 'GET',
        path: '/v1/node-types/{node_type_id}',
        operation: 'getNodeType',
        summary: 'A node type in one version; without one, in the highest.',
        query: { version: { description: 'Exactly this version', schema: { type: 'string' } } },
        responses: { 200: { description: 'The node type', schema: NODE_TYPE } },
        async handle({ params, query }) {
          const version = query['version'] as string | undefined;
          return { json: await registry.get(params['node_type_id'] ?? '', version) };
        },
      },
    ],
  });
}
