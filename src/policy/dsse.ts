/**
 * DSSE envelopes over in-toto statements (docs/jobpack.md, "Signatures"). Reading is strict: of all the ways to write an
 * envelope one is taken, so that whoever reads it sees the same signatures.
 */
import { canonicalJson } from '../model/canonical.ts';
import type { SignatureEnvelope } from '../model/events.ts';
import type { JsonObject } from '../model/json.ts';
import type { PublicKey, SigningKey } from './keys.ts';

export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const SIGNATURE_BYTES = 64;

/** What a signature is over. */
export function preAuthEncoding(type: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** The statement, signed by one key. */
export function signStatement(statement: JsonObject, key: SigningKey): SignatureEnvelope {
  const payload = Buffer.from(canonicalJson(statement));
  return {
    payload: payload.toString('base64'),
    payloadType: PAYLOAD_TYPE,
    signatures: [
      {
        keyid: key.publicKey.keyId,
        sig: key.sign(preAuthEncoding(PAYLOAD_TYPE, payload)).toString('base64'),
      },
    ],
  };
}

/** Puts signatures of one statement together: one per key, those of `added` before others, in the order of key ids. */
export function mergeSignatures(known: SignatureEnvelope, added: SignatureEnvelope): SignatureEnvelope {
  const byKey = new Map([...known.signatures, ...added.signatures].map((each) => [each.keyid, each]));
  return { ...added, signatures: [...byKey.values()].toSorted((a, b) => (a.keyid < b.keyid ? -1 : 1)) };
}

/** Whether the envelope holds a signature by this key, and whether it is right. */
export function signatureBy(
  { payload, payloadType, signatures }: SignatureEnvelope,
  key: PublicKey,
): 'good' | 'bad' | 'absent' {
  const found = signatures.find(({ keyid }) => keyid === key.keyId);
  if (found === undefined) return 'absent';
  const bytes = preAuthEncoding(payloadType, Buffer.from(payload, 'base64'));
  return key.verifies(bytes, Buffer.from(found.sig, 'base64')) ? 'good' : 'bad';
}

/** @returns what is wrong with a value that should be an envelope, or the envelope. */
export function readEnvelope(
  value: unknown,
): { readonly problem: string } | { readonly envelope: SignatureEnvelope } {
  if (!hasExactly(value, ['payload', 'payloadType', 'signatures'])) return { problem: 'is no envelope' };
  const { payload, payloadType, signatures } = value;
  if (payloadType !== PAYLOAD_TYPE) return { problem: `is not of type ${PAYLOAD_TYPE}` };
  if (bytesOf(payload) === undefined) return { problem: 'has a payload that is no base64' };
  if (!Array.isArray(signatures) || signatures.length === 0) return { problem: 'has no signatures' };
  let before = '';
  for (const each of signatures as readonly unknown[]) {
    if (!hasExactly(each, ['keyid', 'sig'])) return { problem: 'has a signature that is none' };
    const { keyid, sig } = each;
    if (typeof keyid !== 'string' || !/^[0-9a-f]{64}$/.test(keyid))
      return { problem: 'has a key id that is none' };
    if (keyid === before) return { problem: 'has two signatures of one key' };
    if (keyid < before) return { problem: 'has signatures in another order than that of their key ids' };
    if (bytesOf(sig)?.length !== SIGNATURE_BYTES) return { problem: 'has a signature that is none' };
    before = keyid;
  }
  return { envelope: value as unknown as SignatureEnvelope };
}

/** Reads the text of an envelope, which has to be in the form of RFC 8785. */
export function readEnvelopeText(text: string): ReturnType<typeof readEnvelope> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'is no JSON' };
  }
  const read = readEnvelope(value);
  if ('envelope' in read && canonicalJson(read.envelope) !== text)
    return { problem: 'is not in the form of RFC 8785' };
  return read;
}

/** Whether the envelope speaks of exactly this statement. */
export function says({ payload }: SignatureEnvelope, statement: JsonObject): boolean {
  return payload === Buffer.from(canonicalJson(statement)).toString('base64');
}

/** What base64 with padding says, if it is written as one would write it. */
function bytesOf(text: unknown): Buffer | undefined {
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : undefined;
}

function hasExactly(value: unknown, keys: readonly string[]): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));
}
