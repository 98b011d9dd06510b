/** Signature version 4, checked by another path than the client's: from the request as it came over the wire. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface Account {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const SKEW_MS = 15 * 60_000;
const PLAIN =
  /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
/** Whoever could change one of these would change what the request does. */
const MUST_BE_SIGNED = /^(host|range|if-|x-amz-)/;

/** @returns an error code of S3, or undefined for a request that is signed as it must be. */
export function signatureDefect(
  request: IncomingMessage,
  account: Account,
  nowMs: number,
): string | undefined {
  const { authorization = '', ...headers } = request.headers;
  const [, key, day, region, signed = '', signature = ''] = PLAIN.exec(authorization) ?? [];
  if (key === undefined) return 'AccessDenied';
  if (key !== account.accessKeyId) return 'InvalidAccessKeyId';
  const date = String(headers['x-amz-date']);
  const [, year, month, date2, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? [];
  const atMs = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(date2),
    Number(hour),
    Number(minute),
    Number(second),
  );
  if (!date.startsWith(day ?? '-') || !(Math.abs(atMs - nowMs) < SKEW_MS)) return 'RequestTimeTooSkewed';
  const names = signed.split(';');
  if (names.join() !== names.toSorted().join()) return 'SignatureDoesNotMatch';
  const unsigned = Object.keys(headers).filter((name) => MUST_BE_SIGNED.test(name) && !names.includes(name));
  if (unsigned.length > 0) return 'AccessDenied';
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  const canonical = [
    request.method,
    path,
    query.split('&').filter(Boolean).toSorted().join('&'),
    ...names.map((name) => `${name}:${String(headers[name] ?? '').trim()}`),
    '',
    signed,
    headers['x-amz-content-sha256'],
  ].join('\n');
  const text = `AWS4-HMAC-SHA256\n${date}\n${day}/${region}/s3/aws4_request\n${createHash('sha256').update(canonical).digest('hex')}`;
  const hmac = (secret: string | Buffer, data: string): Buffer =>
    createHmac('sha256', secret).update(data).digest();
  const dayKey = hmac(`AWS4${account.secretAccessKey}`, day ?? '');
  const expected = hmac(hmac(hmac(hmac(dayKey, region ?? ''), 's3'), 'aws4_request'), text);
  return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? undefined : 'SignatureDoesNotMatch';
}
