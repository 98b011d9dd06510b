/**
 * S3 as far as Reeve speaks it, in memory, on loopback: signatures are checked, and whatever is not known is refused. The
 * suite that runs on it runs on Ceph's RGW as well (s3-ceph.slow.test.ts), which keeps it honest.
 */
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { signatureDefect, type Account } from './signature.ts';

interface StoredObject {
  readonly bytes: Buffer;
  readonly etag: string;
  modifiedMs: number;
}

interface Upload {
  readonly key: string;
  readonly parts: Map<number, StoredObject>;
  begunMs: number;
}

/** Every part but the last is at least so large. */
const PART_BYTES_MIN = 5 * 1024 * 1024;

export const ACCOUNT: Account = { accessKeyId: 'AKREEVETEST', secretAccessKey: 'not-a-secret-but-a-test' };
export const BUCKET = 'artifacts';

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

export class S3Server {
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  /** What was asked: method and path with query. */
  readonly asked: string[] = [];
  /** Consulted before anything else: answers of this status instead, or `reset` cuts the connection after the work. */
  interfere: (method: string, url: string) => number | 'reset' | undefined = () => undefined;
  readonly #http: Server;

  static async start(): Promise<S3Server> {
    const server = new S3Server();
    server.#http.listen(0, '127.0.0.1');
    await once(server.#http, 'listening');
    return server;
  }

  private constructor() {
    this.#http = createServer((request, response) => void this.#answer(request, response));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.asked.push(`${method} ${url}`);
    try {
      const body = await bodyOf(request);
      const interference = this.interfere(method, url);
      if (typeof interference === 'number') throw new Refusal(interference, 'InternalError');
      const defect = signatureDefect(request, ACCOUNT, Date.now());
      if (defect !== undefined) throw new Refusal(403, defect);
      const { status, headers = {}, bytes = '' } = this.#handle(request, body);
      if (interference === 'reset') return void request.socket.destroy();
      response.writeHead(status, { 'content-length': Buffer.byteLength(bytes), ...headers });
      response.end(method === 'HEAD' ? undefined : bytes);
    } catch (error) {
      const { status, code } = error instanceof Refusal ? error : new Refusal(500, 'InternalError');
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(method === 'HEAD' ? undefined : xml('Error', `<Code>${code}</Code>`));
    }
  }

  #handle(request: IncomingMessage, body: Buffer): Answer {
    const url = new URL(request.url ?? '', 'http://host');
    const [, bucket = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    if (bucket !== BUCKET) throw new Refusal(404, 'NoSuchBucket');
    const key = rest.join('/');
    const query = url.searchParams;
    const kind = ['uploads', 'uploadId', 'list-type'].find((name) => query.has(name)) ?? '';
    switch (`${request.method} ${key === '' ? 'bucket' : 'key'} ${kind}`.trimEnd()) {
      case 'PUT key':
        return request.headers['x-amz-copy-source'] === undefined
          ? this.#put(key, request, body)
          : this.#copy(key, request);
      case 'GET key':
        return this.#get(key, request.headers.range);
      case 'HEAD key':
        return { ...this.#get(key, undefined), status: 200 };
      case 'DELETE key':
        this.objects.delete(key);
        return { status: 204 };
      case 'GET bucket list-type':
        return this.#list(query);
      case 'GET bucket uploads':
        return this.#listUploads(query);
      case 'POST key uploads': {
        const id = randomUUID();
        this.uploads.set(id, { key, parts: new Map(), begunMs: Date.now() });
        return xmlAnswer('InitiateMultipartUploadResult', `<UploadId>${id}</UploadId>`);
      }
      case 'PUT key uploadId': {
        const part = objectOf(body);
        this.#upload(key, query).parts.set(Number(query.get('partNumber')), part);
        return { status: 200, headers: { etag: part.etag } };
      }
      case 'POST key uploadId':
        return this.#complete(key, query, body.toString());
      case 'DELETE key uploadId':
        this.#upload(key, query);
        this.uploads.delete(query.get('uploadId') ?? '');
        return { status: 204 };
      default:
        throw new Refusal(501, 'NotImplemented');
    }
  }

  #put(key: string, { headers }: IncomingMessage, body: Buffer): Answer {
    if (headers['content-length'] === undefined) throw new Refusal(411, 'MissingContentLength');
    if (headers['if-none-match'] === '*' && this.objects.has(key))
      throw new Refusal(412, 'PreconditionFailed');
    const object = objectOf(body);
    this.objects.set(key, object);
    return { status: 200, headers: { etag: object.etag } };
  }

  #copy(key: string, { headers }: IncomingMessage): Answer {
    const [, bucket, ...source] = decodeURIComponent(String(headers['x-amz-copy-source'])).split('/');
    const object = bucket === BUCKET ? this.objects.get(source.join('/')) : undefined;
    if (object === undefined) throw new Refusal(404, 'NoSuchKey');
    this.objects.set(key, { ...object, modifiedMs: Date.now() });
    return xmlAnswer('CopyObjectResult', `<ETag>${object.etag}</ETag>`);
  }

  #get(key: string, range: string | undefined): Answer {
    const object = this.objects.get(key);
    if (object === undefined) throw new Refusal(404, 'NoSuchKey');
    const { bytes, etag } = object;
    if (range === undefined) return { status: 200, headers: { etag }, bytes };
    const [, from, to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
    if (from === undefined || Number(from) >= bytes.length) throw new Refusal(416, 'InvalidRange');
    const last = Math.min(to === '' ? Infinity : Number(to), bytes.length - 1);
    return {
      status: 206,
      headers: { etag, 'content-range': `bytes ${from}-${last}/${bytes.length}` },
      bytes: bytes.subarray(Number(from), last + 1),
    };
  }

  #list(query: URLSearchParams): Answer {
    const after = query.get('continuation-token') ?? '';
    const prefix = query.get('prefix') ?? '';
    const found = [...this.objects].filter(([key]) => key.startsWith(prefix) && key > after).toSorted(byKey);
    const page = found.slice(0, Number(query.get('max-keys') ?? 1000));
    const isCut = page.length < found.length;
    return xmlAnswer(
      'ListBucketResult',
      `<IsTruncated>${isCut}</IsTruncated>${isCut ? `<NextContinuationToken>${page.at(-1)?.[0]}</NextContinuationToken>` : ''}` +
        page
          .map(
            ([key, { bytes, etag, modifiedMs }]) =>
              `<Contents><Key>${key}</Key><LastModified>${timeOf(modifiedMs)}</LastModified><ETag>${etag}</ETag><Size>${bytes.length}</Size></Contents>`,
          )
          .join(''),
    );
  }

  #listUploads(query: URLSearchParams): Answer {
    const found = [...this.uploads].filter(([, { key }]) => key.startsWith(query.get('prefix') ?? ''));
    return xmlAnswer(
      'ListMultipartUploadsResult',
      found
        .map(
          ([id, { key, begunMs }]) =>
            `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${timeOf(begunMs)}</Initiated></Upload>`,
        )
        .join(''),
    );
  }

  #complete(key: string, query: URLSearchParams, body: string): Answer {
    const { parts } = this.#upload(key, query);
    const wanted = [...body.matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag><\/Part>/g)];
    const bytes = wanted.map(([, number, etag], at) => {
      const part = parts.get(Number(number));
      if (part === undefined || part.etag.replaceAll('"', '') !== etag || Number(number) !== at + 1)
        throw new Refusal(400, 'InvalidPart');
      if (at < wanted.length - 1 && part.bytes.length < PART_BYTES_MIN)
        throw new Refusal(400, 'EntityTooSmall');
      return part.bytes;
    });
    const object = objectOf(Buffer.concat(bytes));
    this.objects.set(key, object);
    this.uploads.delete(query.get('uploadId') ?? '');
    return xmlAnswer('CompleteMultipartUploadResult', `<ETag>${object.etag}</ETag>`);
  }

  #upload(key: string, query: URLSearchParams): Upload {
    const upload = this.uploads.get(query.get('uploadId') ?? '');
    if (upload?.key !== key) throw new Refusal(404, 'NoSuchUpload');
    return upload;
  }
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly bytes?: Buffer | string;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

function objectOf(bytes: Buffer): StoredObject {
  return { bytes, etag: `"${createHash('md5').update(bytes).digest('hex')}"`, modifiedMs: Date.now() };
}

function xml(root: string, inner: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</${root}>`;
}

function xmlAnswer(root: string, inner: string): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml' }, bytes: xml(root, inner) };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
