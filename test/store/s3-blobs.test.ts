// S3Blobs where the network and the server are not well, and where it is told to look.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { S3Blobs } from '../../src/store/blobs/s3-blobs.ts';
import { parseS3Url, s3Credentials, shownS3 } from '../../src/store/blobs/s3-address.ts';
import { openBlobStreams } from '../../src/store/open-blob-streams.ts';
import { pieces } from '../contracts/blob-streams.ts';
import { ACCOUNT, BUCKET, S3Server } from '../s3/s3-server.ts';

const MIB = 1024 * 1024;
let server: S3Server;
beforeEach(async () => {
  server = await S3Server.start();
});
afterEach(() => server.close());

function open(account = ACCOUNT, bucket = BUCKET): Promise<S3Blobs> {
  const address = parseS3Url(`s3://${bucket}/some/place?endpoint=${server.endpoint}&region=eu-west-1`, {});
  return S3Blobs.open(address, account, { retryMs: 1, answerMs: 5000 });
}

async function put(blobs: S3Blobs, bytes: Uint8Array): Promise<string> {
  const received = await blobs.receive(pieces(bytes, MIB));
  await received.keep();
  return received.sha256;
}

test('small bytes are one request that may not replace anything; the key is below the prefix', async () => {
  const sha256 = await put(await open(), Buffer.from('x'));
  expect(server.asked).toEqual([`PUT /${BUCKET}/some/place/${sha256.slice(0, 2)}/${sha256}`]);
  expect([...server.objects.keys()]).toEqual([`some/place/${sha256.slice(0, 2)}/${sha256}`]);
  const [written] = server.objects.values();
  await put(await open(), Buffer.from('x'));
  expect([...server.objects.values()][0]).toBe(written);
});

test('a server that fails in passing, or whose answer is lost, is asked again', async () => {
  for (const failure of [500, 503, 'reset'] as const) {
    const seen = new Set<string>();
    // Each request fails once.
    server.interfere = (method, url) => {
      const request = `${method} ${url.replace(/uploadId=[^&]*/, '')} ${failure}`;
      if (seen.has(request)) return undefined;
      seen.add(request);
      return failure;
    };
    const blobs = await open();
    for (const size of [10, 17 * MIB]) {
      const bytes = Buffer.alloc(size, String(failure));
      const sha256 = await put(blobs, bytes);
      const got: Uint8Array[] = [];
      for await (const piece of blobs.read(sha256)) got.push(piece);
      expect(Buffer.compare(Buffer.concat(got), bytes)).toBe(0);
      await blobs.delete(sha256);
    }
    expect([...server.objects.keys()]).toEqual([]);
  }
});

test('a server that stays away, a wrong secret, and a bucket that is not there are told as such', async () => {
  const wrong = await open({ ...ACCOUNT, secretAccessKey: 'another' });
  await expect(put(wrong, Buffer.from('x'))).rejects.toMatchObject({
    code: 'E_STORE_UNAVAILABLE',
    message: 'the bucket cannot be used: S3 answered 403 SignatureDoesNotMatch',
    details: { status: 403 },
  });
  const none = await open(ACCOUNT, 'nothing-here');
  await expect(put(none, Buffer.from('x'))).rejects.toMatchObject({
    details: { status: 404, cause: 'NoSuchBucket' },
  });
  await expect(none.list()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'E_STORE_UNAVAILABLE',
  });
  const blobs = await open();
  server.interfere = () => 507;
  await expect(put(blobs, Buffer.from('x'))).rejects.toMatchObject({ code: 'E_STORE_FULL' });
  server.interfere = () => 503;
  await expect(put(blobs, Buffer.from('x'))).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' });
  server.interfere = () => undefined;
  const away = await S3Blobs.open(parseS3Url(`s3://${BUCKET}?endpoint=http://127.0.0.1:1`, {}), ACCOUNT, {
    retryMs: 1,
  });
  await expect(put(away, Buffer.from('x'))).rejects.toMatchObject({
    code: 'E_STORE_UNAVAILABLE',
    message: expect.stringMatching(/^the bucket cannot be reached \(/),
  });
});

test('an upload that a crash left half done is given up once it is old enough', async () => {
  const blobs = await open();
  const begun = Promise.withResolvers<void>();
  // Never ends, as far as the server can tell.
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(17 * MIB);
    begun.resolve();
    await new Promise(() => undefined);
  }
  void blobs.receive(endless());
  await begun.promise;
  expect(server.uploads.size).toBe(1);
  expect(await blobs.removeLeftovers(Date.now() - 60_000)).toBe(0);
  expect(await blobs.removeLeftovers(Date.now() + 60_000)).toBe(1);
  expect(server.uploads.size).toBe(0);
});

test('lists of any length are read page by page', async () => {
  const blobs = await open();
  for (let at = 0; at < 2500; at += 1) {
    const name = at.toString(16).padStart(64, '0');
    server.objects.set(`some/place/00/${name}`, { bytes: Buffer.alloc(0), etag: '"x"', modifiedMs: at });
  }
  server.objects.set('some/place/00/readme', { bytes: Buffer.alloc(0), etag: '"x"', modifiedMs: 0 });
  server.objects.set(`elsewhere/00/${'0'.repeat(64)}`, {
    bytes: Buffer.alloc(0),
    etag: '"x"',
    modifiedMs: 0,
  });
  const found = new Set<string>();
  for await (const { sha256 } of blobs.list()) found.add(sha256);
  expect(found.size).toBe(2500);
});

test('the URL says where, and never as whom', () => {
  const env = { AWS_REGION: 'eu-central-1' };
  expect(parseS3Url('s3://my-bucket/a/b/', env)).toEqual({
    bucket: 'my-bucket',
    prefix: 'a/b/',
    endpoint: 'https://s3.eu-central-1.amazonaws.com',
    region: 'eu-central-1',
  });
  const address = parseS3Url('s3://my-bucket?endpoint=http://127.0.0.1:7480&region=x', env);
  expect(address).toEqual({
    bucket: 'my-bucket',
    prefix: '',
    endpoint: 'http://127.0.0.1:7480',
    region: 'x',
  });
  expect(shownS3(address)).toBe('s3://my-bucket/?endpoint=http://127.0.0.1:7480');
  expect(parseS3Url('s3://my-bucket', { AWS_ENDPOINT_URL_S3: 'https://s3.here/' }).endpoint).toBe(
    'https://s3.here',
  );
  for (const url of [
    's3://',
    's3://x',
    'http://my-bucket',
    's3://key:secret@my-bucket',
    's3://my-bucket:9000',
    's3://my-bucket/a//b',
    's3://my-bucket/a b',
    's3://my-bucket?bucket=x',
    's3://my-bucket?endpoint=nonsense',
    's3://my-bucket?endpoint=ftp://x',
    's3://my-bucket?endpoint=https://u:p@x',
    's3://my-bucket?endpoint=https://x/path',
    's3://my-bucket?region=A%20B',
  ]) {
    expect(() => parseS3Url(url, {}), url).toThrow(
      expect.objectContaining({ code: 'E_INVALID_INPUT_SCHEMA' }),
    );
    expect(() => parseS3Url(url, {}), url).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('secret') }),
    );
  }
});

test('credentials come from the environment or from files, and are named in no message', () => {
  expect(s3Credentials({ AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 's' })).toEqual({
    accessKeyId: 'AK',
    secretAccessKey: 's',
  });
  for (const env of [
    {},
    { AWS_ACCESS_KEY_ID: 'AK' },
    { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 'with blank' },
    { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 's', AWS_SECRET_ACCESS_KEY_FILE: 'f' },
    { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY_FILE: '/nonexistent/file' },
    { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 's', AWS_SESSION_TOKEN: 't' },
  ])
    expect(() => s3Credentials(env)).toThrow(expect.objectContaining({ code: 'E_INVALID_INPUT_SCHEMA' }));
});

test('a place is a directory, or a bucket; any other URL is refused', async () => {
  const env = { AWS_ACCESS_KEY_ID: ACCOUNT.accessKeyId, AWS_SECRET_ACCESS_KEY: ACCOUNT.secretAccessKey };
  expect((await openBlobStreams('files', { cwd: '/somewhere', env: {} })).shown).toBe('/somewhere/files');
  const { blobs, shown } = await openBlobStreams(`s3://${BUCKET}/p?endpoint=${server.endpoint}`, {
    cwd: '/',
    env,
  });
  expect(shown).toBe(`s3://${BUCKET}/p/?endpoint=${server.endpoint}`);
  expect(await blobs.sizeOf('0'.repeat(64))).toBeUndefined();
  for (const place of ['', 'gs://bucket', 'https://host/x', 'a\0b'])
    await expect(openBlobStreams(place, { cwd: '/', env })).rejects.toMatchObject({
      code: 'E_INVALID_INPUT_SCHEMA',
    });
});
