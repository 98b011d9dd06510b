/**
 * Public keys as `authorized_keys` holds them: options, type, key, comment.
 */
import { createHash } from 'node:crypto';

const TYPES = /^(?:(?:sk-)?(?:ssh|ecdsa)-[\w@.-]+|sk-\w[\w@.-]*)$/;
const RSA_BITS_MIN = 2048;

/**
 * @param {string} line
 * @returns {{type: string, fingerprint: string, comment: string, weakness: string | undefined} | undefined} the fingerprint
 *   as ssh-keygen shows it, never the key; undefined when the line holds no key
 */
export function publicKeyOf(line) {
  const words = wordsOf(line);
  // Options, if any, are one word before the type.
  const at = TYPES.test(words[0] ?? '') ? 0 : 1;
  const type = words[at];
  const text = words[at + 1] ?? '';
  if (type === undefined || !TYPES.test(type) || !/^[A-Za-z0-9+/]{16,}={0,2}$/.test(text)) return undefined;
  const blob = Buffer.from(text, 'base64');
  const fields = fieldsOf(blob);
  if (fields?.[0]?.toString('latin1') !== type) return undefined;
  const digest = createHash('sha256').update(blob).digest('base64').replaceAll('=', '');
  return {
    type,
    fingerprint: `SHA256:${digest}`,
    comment: words.slice(at + 2).join(' '),
    weakness: weaknessOf(type, fields),
  };
}

function weaknessOf(type, fields) {
  if (type === 'ssh-dss') return 'DSA keys are too weak';
  if (type !== 'ssh-rsa' || fields[2] === undefined) return undefined;
  const bits = BigInt(`0x${fields[2].toString('hex') || '0'}`).toString(2).length;
  return bits < RSA_BITS_MIN ? `${bits} bits are too few` : undefined;
}

/** Each with its length before it. */
function fieldsOf(blob) {
  const fields = [];
  for (let at = 0; at < blob.length; ) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    fields.push(blob.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

/** Blanks part words, but not within quotes: `command="a b" ssh-ed25519 …`. */
const wordsOf = (line) => line.match(/(?:"(?:\\.|[^"\\])*"|[^\s"]|")+/g) ?? [];
