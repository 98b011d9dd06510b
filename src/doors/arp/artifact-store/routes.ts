/** The Artifact Store over HTTP (contract arp §2). Beside it: links to runs, which keep artifacts, and deletion (H27). */
import type { HttpRequest, Route, RouteGroup } from '../../http.ts';
import { pageDocument, pageQuery, PAGING } from '../pages.ts';
import { arpService, checked } from '../services.ts';
import { validationFailed } from '../wire/errors.ts';
import { COUNT, list, object, TEXT, TIME, URI } from '../../wire-schema.ts';
import { artifactRecord, type Artifact, type Artifacts } from './artifacts.ts';

const ARTIFACT = object(
  { artifact_id: TEXT, uri: URI, size_bytes: COUNT, checksum_sha256: TEXT, created_at: TIME },
  { content_type: TEXT },
);
const ARTIFACT_PAGE = object({ items: list(ARTIFACT) }, { next_token: TEXT });

export interface ArtifactStoreOptions {
  readonly version: string;
  nowMs(): number;
  /** Where clients reach the service; undefined: under the name that they used. */
  readonly publicUrl?: string;
}

export function artifactStoreService(artifacts: Artifacts, options: ArtifactStoreOptions): RouteGroup {
  const { publicUrl, ...world } = options;
  const uriOf = (id: string, { headers, mount }: HttpRequest): string =>
    `${publicUrl ?? `http://${String(headers['host'])}${mount}`}/v1/artifacts/${id}`;
  return arpService({
    ...world,
    service: 'artifact-store',
    bodyBytesMax: Number.MAX_SAFE_INTEGER, // uploads are counted as they arrive
    checks: async () => [await checked('database', () => artifacts.probe())],
    routes: [...byteRoutes(artifacts, world, uriOf), ...linkRoutes(artifacts, uriOf)],
  });
}

type UriOf = (id: string, request: HttpRequest) => string;

function byteRoutes(artifacts: Artifacts, world: { nowMs(): number }, uriOf: UriOf): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/artifacts',
      operation: 'putArtifact',
      summary: 'Stores the bytes of the body, whole or not at all.',
      query: { run_id: { description: 'The run that it belongs to', schema: { type: 'string' } } },
      body: 'bytes',
      responses: { 200: { description: 'What is known of it', schema: ARTIFACT } },
      async handle(request) {
        const contentType = request.headers['content-type'];
        const runId = request.query['run_id'];
        const artifact = await artifacts.put({
          bytes: request.bytes,
          ...(typeof contentType === 'string' ? { contentType } : {}),
          ...(typeof runId === 'string' ? { runId } : {}),
          nowMs: world.nowMs(),
        });
        return { json: artifactRecord(artifact, uriOf(artifact.id, request)) };
      },
    },
    {
      method: 'GET',
      path: '/v1/artifacts/{artifact_id}',
      operation: 'getArtifact',
      summary: 'The bytes.',
      responses: { 200: { description: 'The bytes, with the type they came with', type: '*/*' } },
      async handle({ params }) {
        const artifact = await artifacts.get(plainName(params));
        const { 'content-type': type, ...headers } = headersOf(artifact);
        return { headers, type, stream: artifacts.read(artifact.id) };
      },
    },
    {
      method: 'HEAD',
      path: '/v1/artifacts/{artifact_id}',
      operation: 'headArtifact',
      summary: 'Size, type and hash of the bytes.',
      responses: { 200: { description: 'As headers', schema: 'none' } },
      handle: async ({ params }) => ({
        status: 200,
        headers: headersOf(await artifacts.get(plainName(params))),
        empty: true,
      }),
    },
    {
      method: 'GET',
      path: '/v1/artifacts/{artifact_id}/metadata',
      operation: 'getArtifactMetadata',
      summary: 'What is known of the artifact.',
      responses: { 200: { description: 'What is known of it', schema: ARTIFACT } },
      async handle(request) {
        const artifact = await artifacts.get(plainName(request.params));
        return { json: artifactRecord(artifact, uriOf(artifact.id, request)) };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/artifacts/{artifact_id}',
      operation: 'deleteArtifact',
      summary: 'Removes the artifact, also when runs are linked to it.',
      responses: { 204: { description: 'It is gone', schema: 'none' } },
      async handle({ params }) {
        await artifacts.remove(plainName(params));
        return { status: 204, empty: true };
      },
    },
  ];
}

function linkRoutes(artifacts: Artifacts, uriOf: UriOf): readonly Route[] {
  const path = '/v1/runs/{run_id}/artifacts/{artifact_id}';
  return [
    {
      method: 'GET',
      path: '/v1/runs/{run_id}/artifacts',
      operation: 'listRunArtifacts',
      summary: 'Artifacts of a run in the order of their uploads.',
      query: PAGING,
      responses: { 200: { description: 'A page', schema: ARTIFACT_PAGE } },
      async handle(request) {
        const found = artifacts.ofRun(request.params['run_id'] ?? '', pageQuery(request.query));
        const { items, ...more } = pageDocument(found);
        return {
          json: {
            items: items.map((artifact) => artifactRecord(artifact, uriOf(artifact.id, request))),
            ...more,
          },
        };
      },
    },
    {
      method: 'PUT',
      path,
      operation: 'linkRunArtifact',
      summary: 'Links an artifact to a run: retention leaves it alone.',
      responses: { 204: { description: 'It is linked', schema: 'none' } },
      async handle({ params }) {
        await artifacts.link(params['run_id'] ?? '', plainName(params));
        return { status: 204, empty: true };
      },
    },
    {
      method: 'DELETE',
      path,
      operation: 'unlinkRunArtifact',
      summary: 'Takes the link back.',
      responses: { 204: { description: 'It is not linked', schema: 'none' } },
      async handle({ params }) {
        artifacts.unlink(params['run_id'] ?? '', plainName(params));
        return { status: 204, empty: true };
      },
    },
  ];
}

/** The bytes may be anything: a browser that opens them runs nothing of it. */
function headersOf({ contentType = 'application/octet-stream', sizeBytes, sha256 }: Artifact) {
  return {
    'content-type': contentType,
    'content-length': String(sizeBytes),
    etag: `"${sha256}"`,
    'content-security-policy': "default-src 'none'; sandbox",
  } as const;
}

/** @throws ArpError 422 */
function plainName({ artifact_id: id = '' }: HttpRequest['params']): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(id)) return id;
  throw validationFailed([{ type: 'name', loc: ['path', 'artifact_id'], msg: 'is no plain name' }], 422);
}
