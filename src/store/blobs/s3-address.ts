/** Where blobs are kept on S3, and as whom: `s3://bucket[/prefix][?endpoint=https://host[:port]&region=…]`. */
import { readFileSync } from 'node:fs';
import { ReeveError } from '../../model/errors.ts';

export interface S3Address {
  readonly bucket: string;
  /** In front of every key: empty, or with a slash at its end. */
  readonly prefix: string;
  /** Scheme, host and port; buckets are paths below it. */
  readonly endpoint: string;
  readonly region: string;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param env `AWS_REGION` is the default region, `AWS_ENDPOINT_URL_S3` the default endpoint; else Amazon's of the region.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA; its message never holds the URL, in which somebody may have put a password.
 */
export function parseS3Url(text: string, env: Environment): S3Address {
  const refuse = (problem: string, details: Record<string, unknown> = {}): never => {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the URL of the bucket ${problem}`, {
      field: 'artifacts',
      ...details,
    });
  };
  if (!URL.canParse(text))
    return refuse('cannot be read; it looks like s3://bucket/prefix?endpoint=https://host');
  const url = new URL(text);
  if (url.protocol !== 's3:') return refuse(`has the scheme '${url.protocol.slice(0, -1)}', not s3`);
  if (url.username !== '' || url.password !== '')
    return refuse('holds credentials; they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
  if (url.port !== '' || url.hash !== '')
    return refuse('has a port or a fragment; the server goes into endpoint=');
  for (const name of url.searchParams.keys()) {
    if (name !== 'endpoint' && name !== 'region')
      return refuse(`has a parameter '${name}' that is not known`, { parameter: name });
  }
  const bucket = url.hostname;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) return refuse('names no bucket', { bucket });
  const prefix = url.pathname.replaceAll(/^\/+|\/+$/g, '');
  if (prefix !== '' && !/^[A-Za-z0-9._-]{1,200}(\/[A-Za-z0-9._-]{1,200}){0,9}$/.test(prefix))
    return refuse('has a prefix that is not made of letters, digits and . _ - /', { prefix });
  const region = url.searchParams.get('region') ?? env['AWS_REGION'] ?? 'us-east-1';
  if (!/^[a-z0-9-]{1,64}$/.test(region)) return refuse('has a region that is none', { region });
  const endpoint =
    url.searchParams.get('endpoint') ?? env['AWS_ENDPOINT_URL_S3'] ?? `https://s3.${region}.amazonaws.com`;
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/`, endpoint: originOf(endpoint, refuse), region };
}

/** The same as people and messages may see it: there is no secret in it. */
export function shownS3({ bucket, prefix, endpoint }: S3Address): string {
  return `s3://${bucket}/${prefix}?endpoint=${endpoint}`;
}

/**
 * From `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the files that `…_FILE` names.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA; never with a value
 */
export function s3Credentials(env: Environment): S3Credentials {
  if ((env['AWS_SESSION_TOKEN'] ?? '') !== '')
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      'credentials with a session token are not supported: they end',
      {
        variable: 'AWS_SESSION_TOKEN',
      },
    );
  return {
    accessKeyId: secretOf('AWS_ACCESS_KEY_ID', env),
    secretAccessKey: secretOf('AWS_SECRET_ACCESS_KEY', env),
  };
}

function secretOf(variable: string, env: Environment): string {
  const file = env[`${variable}_FILE`] ?? '';
  const refuse = (problem: string): never => {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${variable} ${problem}`, { variable });
  };
  let value = env[variable] ?? '';
  if (value !== '' && file !== '') return refuse(`and ${variable}_FILE are both set`);
  if (file !== '') {
    try {
      value = readFileSync(file, 'utf8').trim();
    } catch (error) {
      return refuse(`cannot be read from its file (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  if (!/^[\x21-\x7e]{1,256}$/.test(value)) return refuse('is not set, or holds what is no key');
  return value;
}

function originOf(endpoint: string, refuse: (problem: string) => never): string {
  if (!URL.canParse(endpoint)) return refuse('has an endpoint that is no URL');
  const { protocol, origin, pathname, search, username, password } = new URL(endpoint);
  if (protocol !== 'https:' && protocol !== 'http:')
    return refuse('has an endpoint that is neither https nor http');
  if (pathname !== '/' || search !== '' || username !== '' || password !== '')
    return refuse('has an endpoint with more than a scheme, a host and a port');
  return origin;
}
