// Envelopes: what is signed, byte for byte, and that there is one way only to write one.
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/model/canonical.ts';
import {
  mergeSignatures,
  PAYLOAD_TYPE,
  preAuthEncoding,
  readEnvelopeText,
  says,
  signatureBy,
  signStatement,
} from '../../src/policy/dsse.ts';
import { approvalStatement, packStatement } from '../../src/policy/statements.ts';
import { testKey } from './support.ts';

const STATEMENT = packStatement({
  jobId: 'j',
  manifestSha256: 'a'.repeat(64),
  manifestFileSha256: 'b'.repeat(64),
  packSha256: 'c'.repeat(64),
});
const [ANN, BOB] = [testKey('1'), testKey('2')];
const signed = signStatement(STATEMENT, ANN);
const both = mergeSignatures(signed, signStatement(STATEMENT, BOB));

function problem(value: unknown): string | undefined {
  const read = readEnvelopeText(typeof value === 'string' ? value : canonicalJson(value));
  return 'problem' in read ? read.problem : undefined;
}

describe('what is signed', () => {
  test('is the pre-authentication encoding, with lengths in bytes', () => {
    // The example of the DSSE specification.
    expect(preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
    expect(preAuthEncoding('tä', Buffer.from('€')).toString()).toBe('DSSEv1 3 tä 3 €');
    expect(preAuthEncoding('', Buffer.alloc(0)).toString()).toBe('DSSEv1 0  0 ');
  });

  test('is the statement of docs/jobpack.md in RFC 8785 form', () => {
    expect(Buffer.from(signed.payload, 'base64').toString()).toBe(
      `{"_type":"https://in-toto.io/Statement/v1","predicate":{"job_id":"j","manifest_sha256":"${'a'.repeat(64)}"},` +
        '"predicateType":"urn:reeve:jobpack:v1","subject":[' +
        `{"digest":{"sha256":"${'c'.repeat(64)}"},"name":"jobpack_j.zip"},` +
        `{"digest":{"sha256":"${'b'.repeat(64)}"},"name":"manifest.json"}]}`,
    );
    const approval = {
      jobId: 'j',
      checkpointId: 'cp_7',
      approvedBy: 'Zoë',
      reason: 'ok',
      binds: 'd'.repeat(64),
    };
    expect(canonicalJson(approvalStatement(approval))).toBe(
      '{"_type":"https://in-toto.io/Statement/v1","predicate":{"approved_by":"Zoë","checkpoint_id":"cp_7",' +
        '"job_id":"j","reason":"ok"},"predicateType":"urn:reeve:approval:v1",' +
        `"subject":[{"digest":{"sha256":"${'d'.repeat(64)}"},"name":"j/cp_7"}]}`,
    );
  });

  test('signing again gives the same bytes', () => {
    expect(canonicalJson(signStatement(STATEMENT, ANN))).toBe(canonicalJson(signed));
    expect(signed.signatures).toHaveLength(1);
    expect(signatureBy(signed, ANN.publicKey)).toBe('good');
    expect(signatureBy(signed, BOB.publicKey)).toBe('absent');
  });
});

describe('putting signatures together', () => {
  test('keeps one per key, in the order of key ids, whoever signs first or twice', () => {
    const other = mergeSignatures(signStatement(STATEMENT, BOB), signed);
    expect(canonicalJson(other)).toBe(canonicalJson(both));
    expect(canonicalJson(mergeSignatures(both, signed))).toBe(canonicalJson(both));
    const ids = both.signatures.map(({ keyid }) => keyid);
    expect(ids).toEqual([ANN.publicKey.keyId, BOB.publicKey.keyId].toSorted());
    for (const key of [ANN, BOB]) expect(signatureBy(both, key.publicKey)).toBe('good');
    expect(problem(both)).toBeUndefined();
  });

  test('a wrong signature is replaced when its key signs again', () => {
    const wrong = {
      ...signed,
      signatures: [{ ...signed.signatures[0]!, sig: Buffer.alloc(64).toString('base64') }],
    };
    expect(signatureBy(wrong, ANN.publicKey)).toBe('bad');
    expect(mergeSignatures(wrong, signed)).toEqual(signed);
  });
});

describe('reading', () => {
  const [first, second] = [both.signatures[0]!, both.signatures[1]!];
  const text = canonicalJson(both);
  // 64 bytes end in two signs of padding: the last character before them has bits that say nothing.
  const loose = first.sig.replace(/.==$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}==`);

  test.each<[string, unknown]>([
    ['a field more', { ...both, extra: 1 }],
    ['a field less', { payload: both.payload, payloadType: both.payloadType }],
    ['another type', { ...both, payloadType: 'application/json' }],
    ['no signatures', { ...both, signatures: [] }],
    ['signatures that are no list', { ...both, signatures: { 0: first } }],
    ['a signature with a field more', { ...both, signatures: [{ ...first, cert: '' }, second] }],
    ['a signature without its key', { ...both, signatures: [{ sig: first.sig }, second] }],
    ['a signature that is null', { ...both, signatures: [null] }],
    ['two signatures of one key', { ...both, signatures: [first, first, second] }],
    ['signatures in another order', { ...both, signatures: [second, first] }],
    ['a key id in capitals', { ...both, signatures: [{ ...first, keyid: first.keyid.toUpperCase() }] }],
    ['a short key id', { ...both, signatures: [{ ...first, keyid: first.keyid.slice(1) }] }],
    ['a short signature', { ...both, signatures: [{ ...first, sig: Buffer.alloc(63).toString('base64') }] }],
    ['base64 without padding', { ...both, signatures: [{ ...first, sig: first.sig.replaceAll('=', '') }] }],
    ['base64 with a space', { ...both, signatures: [{ ...first, sig: ` ${first.sig}` }] }],
    ['base64 with loose bits', { ...both, signatures: [{ ...first, sig: loose }] }],
    ['base64url', { ...both, payload: Buffer.from('??>>??>').toString('base64url') }],
    ['an empty payload', { ...both, payload: '' }],
    ['a payload that is no text', { ...both, payload: 1 }],
    ['a newline at the end', `${text}\n`],
    ['a space', text.replace(':', ': ')],
    [
      'another order of fields',
      `{"payloadType":"${PAYLOAD_TYPE}",${text.slice(1).replace(/,"payloadType":"[^"]+"/, '')}`,
    ],
    ['a field twice', text.replace('{', '{"payload":"AA==",')],
    ['an escape', text.replace('application', String.raw`\u0061pplication`)],
    ['a byte order mark', `\ufeff${text}`],
    ['a list', [both]],
    ['null', null],
    ['no JSON', '{'],
    ['nothing', ''],
  ])('refuses %s', (_, value) => {
    expect(problem(text)).toBeUndefined();
    expect(problem(value)).toEqual(expect.any(String));
  });

  test('an envelope says one statement, to the byte', () => {
    expect(says(both, STATEMENT)).toBe(true);
    const spaced = Buffer.from(JSON.stringify(STATEMENT, undefined, 1)).toString('base64');
    expect(says({ ...both, payload: spaced }, STATEMENT)).toBe(false);
  });
});
