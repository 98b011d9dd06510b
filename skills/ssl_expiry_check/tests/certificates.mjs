// Certificates with any dates and names, made by hand: no tool that may be absent, no key that lies about.

import { generateKeyPairSync, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

const DAY_MS = 86_400_000;
const ECDSA_SHA256 = '2a8648ce3d040302';
const COMMON_NAME = '550403';
const BASIC_CONSTRAINTS = '551d13';
const ALTERNATIVE_NAMES = '551d11';

/**
 * @param {number} tag
 * @param {...(Uint8Array | string)} parts bytes, or hex
 */
function der(tag, ...parts) {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)),
  );
  const size =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}
/** @param {...Buffer} parts */
const sequence = (...parts) => der(0x30, ...parts);
/** @param {string} hex */
const oid = (hex) => der(0x06, hex);
/** @param {string} text */
const nameOf = (text) => sequence(der(0x31, sequence(oid(COMMON_NAME), der(0x0c, Buffer.from(text)))));
/** GeneralizedTime. @param {number} atMs */
const time = (atMs) =>
  der(0x18, Buffer.from(`${new Date(atMs).toISOString().replaceAll(/[-:T]|\..*/g, '')}Z`));
/**
 * @param {string} id
 * @param {Buffer} value
 */
const extension = (id, value, isCritical = false) =>
  sequence(oid(id), ...(isCritical ? [der(0x01, 'ff')] : []), der(0x04, value));

/** @param {string} text */
function alternativeName(text) {
  if (isIPv4(text)) return der(0x87, Buffer.from(text.split('.').map(Number)));
  return text === '::1' ? der(0x87, '00000000000000000000000000000001') : der(0x82, Buffer.from(text));
}

let serial = 1;

/**
 * @typedef {{name: string, key: import('node:crypto').KeyObject, keyPem: string, pem: string}} Certificate
 * @param {{name: string, names?: string[], fromDays?: number, untilDays: number, issuer?: Certificate}} what days from now;
 *   without an issuer it signs itself; without names it is an authority
 * @returns {Certificate}
 */
export function certificate({ name, names = [], fromDays = -400, untilDays, issuer }) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const extensions =
    names.length === 0
      ? [extension(BASIC_CONSTRAINTS, sequence(der(0x01, 'ff')), true)]
      : [extension(ALTERNATIVE_NAMES, sequence(...names.map(alternativeName)))];
  const body = sequence(
    der(0xa0, der(0x02, '02')),
    der(0x02, Buffer.from([serial++])),
    sequence(oid(ECDSA_SHA256)),
    nameOf(issuer?.name ?? name),
    sequence(time(Date.now() + fromDays * DAY_MS), time(Date.now() + untilDays * DAY_MS)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer?.key ?? privateKey);
  const whole = sequence(body, sequence(oid(ECDSA_SHA256)), der(0x03, '00', signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    name,
    key: privateKey,
    keyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    pem: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  };
}
