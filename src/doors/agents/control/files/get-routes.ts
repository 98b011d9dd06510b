/** GET and HEAD /runs/{run_id}/files/{path}: what a run produced, as bytes nobody's browser will run (contract agents §2.2). */
import type { HttpReply, HttpRequest, Route } from '../../../http.ts';
import { ReeveError } from '../../../../model/errors.ts';
import type { BlobStreams } from '../../../../store/blob-streams.ts';
import { timestamp } from '../../ids.ts';
import { AgentsFailure, notFound } from '../../wire/errors.ts';
import { callerOf } from '../callers.ts';
import { wantedOf } from './conditions.ts';
import type { FileIndex, FileRow } from './index-tables.ts';
import { requirePath } from './paths.ts';
import { FILE_ROUTE } from './put-route.ts';

export interface GetRouteOptions {
  readonly index: FileIndex;
  readonly blobs: BlobStreams;
}

export function getRoutes(options: GetRouteOptions): readonly Route[] {
  const description = 'The bytes, or the part that Range names; the ETag is their SHA-256';
  return [
    {
      method: 'GET',
      path: FILE_ROUTE,
      operation: 'getRunFile',
      summary: 'Bytes of a file of a run; with one range of them, and conditions.',
      responses: {
        200: { description, type: '*/*' },
        206: { description, type: '*/*' },
        304: { description: 'If-None-Match names what is there', schema: 'none' },
      },
      handle: (request) => answer(options, request, 'GET'),
    },
    {
      method: 'HEAD',
      path: FILE_ROUTE,
      operation: 'headRunFile',
      summary: 'Size and hash of a file of a run.',
      responses: { 200: { description: 'As headers', schema: 'none' } },
      handle: (request) => answer(options, request, 'HEAD'),
    },
  ];
}

async function answer(
  { index, blobs }: GetRouteOptions,
  request: HttpRequest,
  method: 'GET' | 'HEAD',
): Promise<HttpReply> {
  const { tenant } = callerOf(request, 'operator');
  const { run_id: runId = '', path = '' } = request.params;
  const file = index.file(tenant, runId, requirePath(path));
  if (file === undefined) throw notFound('file', `${runId}/${path}`);
  if (file.removed_ms !== null) throw removed(file, file.removed_ms);
  const etag = `"${file.sha256}"`;
  const { 'content-type': type, ...common } = headersOf(file, etag);
  // Ranges are defined for GET alone.
  const { range: _, ...unranged } = request.headers;
  const wanted = wantedOf(method === 'GET' ? request.headers : unranged, etag, file.size);
  if (wanted.what === 'nothing') return { status: 304, headers: { etag }, empty: true };
  if (wanted.what === 'outside')
    throw new AgentsFailure(
      416,
      'range_not_satisfiable',
      `the file has ${file.size} bytes`,
      { size: file.size },
      {
        'content-range': `bytes */${file.size}`,
      },
    );
  if (method === 'HEAD')
    return {
      status: 200,
      headers: { ...common, 'content-type': type, 'content-length': String(file.size) },
      empty: true,
    };
  // Whoever begins to answer 200 cannot take it back.
  if ((await blobs.sizeOf(file.sha256)) !== file.size)
    throw new ReeveError('E_STORE_CORRUPT', 'the bytes of the file are missing or damaged', {
      blob: file.sha256,
    });
  if (wanted.what === 'all')
    return {
      headers: { ...common, 'content-length': String(file.size) },
      type,
      stream: blobs.read(file.sha256),
    };
  const { from, to } = wanted.range;
  const headers = {
    ...common,
    'content-length': String(to - from + 1),
    'content-range': `bytes ${from}-${to}/${file.size}`,
  };
  return { status: 206, headers, type, stream: blobs.read(file.sha256, wanted.range) };
}

/** A run writes what it likes: it is saved, never shown, and nothing in it is run. */
function headersOf({ path }: FileRow, etag: string) {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const plain = name.replaceAll(/[^A-Za-z0-9._ -]/g, '_');
  const encoded = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return {
    'content-type': typeOf(path),
    'content-disposition': `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`,
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'accept-ranges': 'bytes',
    etag,
  } as const;
}

function typeOf(path: string): string {
  if (path.endsWith('.json')) return 'application/json';
  return path.endsWith('.log') ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

function removed({ path, size, sha256 }: FileRow, removedMs: number): AgentsFailure {
  const at = timestamp(removedMs);
  return new AgentsFailure(
    404,
    'removed',
    'retention removed the bytes of this file; its digest stays on record',
    {
      path,
      size,
      sha256,
      removed_at: at,
    },
  );
}
