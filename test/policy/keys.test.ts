// Keys as people have them in files: those of Ed25519, and refusals that say what is wrong and give nothing away.
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { generatePrivateKey, privateKeyFrom, publicKeyFrom } from '../../src/policy/keys.ts';
import { pkcs8, refusalOf } from './support.ts';

/** RFC 8032, 7.1, tests 1 to 3: secret key, public key, message, signature. */
const VECTORS = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const;

describe('signing', () => {
  test.each(VECTORS)('is that of RFC 8032: %s', (seed, point, message, signature) => {
    const key = privateKeyFrom(pkcs8(seed).toString('base64'), 'a vector');
    const bytes = Buffer.from(message, 'hex');
    expect(key.sign(bytes).toString('hex')).toBe(signature);
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(point, 'hex')]);
    expect(key.publicKey.pem).toBe(
      `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`,
    );
    const known = publicKeyFrom(key.publicKey.pem, 'a vector');
    expect(known.keyId).toBe(key.publicKey.keyId);
    expect(known.verifies(bytes, Buffer.from(signature, 'hex'))).toBe(true);
    expect(known.verifies(Buffer.from('other'), Buffer.from(signature, 'hex'))).toBe(false);
  });

  test('the key id is SHA-256 of the SPKI DER', () => {
    const { publicKey } = privateKeyFrom(pkcs8(VECTORS[0][0]).toString('base64'), 'a vector');
    // echo <hex of the SPKI> | xxd -r -p | sha256sum
    expect(publicKey.keyId).toBe('06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9');
  });
});

describe('private keys', () => {
  const plain = generatePrivateKey();
  const base64 = plain.replaceAll(/-----.*-----|\s/g, '');
  const { keyId } = privateKeyFrom(plain, 'x').publicKey;

  test('are taken as PEM, PEM with \\n for newlines, PEM with other line ends, and base64 of the DER', () => {
    const texts = [
      plain,
      plain.replaceAll('\n', String.raw`\n`),
      plain.replaceAll('\n', '\r\n'),
      base64,
      ` ${base64}\n`,
    ];
    for (const text of texts) expect(privateKeyFrom(text, 'x').publicKey.keyId).toBe(keyId);
    expect(privateKeyFrom(plain, 'x', 'a passphrase that it does not need').publicKey.keyId).toBe(keyId);
  });

  test('encrypted ones need their passphrase', () => {
    const encrypted = generatePrivateKey('horse');
    expect(encrypted).toMatch(/^-{5}BEGIN ENCRYPTED PRIVATE KEY-{5}\n/);
    const key = privateKeyFrom(encrypted, 'x', 'horse');
    expect(key.sign(Buffer.from('a'))).toHaveLength(64);
    expect(refusalOf(() => privateKeyFrom(encrypted, 'x', 'cow')).message).toContain('passphrase is wrong');
    expect(refusalOf(() => privateKeyFrom(encrypted, 'x', '')).message).toContain('passphrase is wrong');
    expect(refusalOf(() => privateKeyFrom(encrypted, 'x')).message).toContain('REEVE_SIGNING_KEY_PASSPHRASE');
  });

  test('of other kinds and forms are refused, and no error holds any of them', () => {
    const pem = { type: 'pkcs8', format: 'pem' } as const;
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const cases: [string, string][] = [
      [rsa.export(pem) as string, 'is a key for rsa, not for ed25519'],
      [ec.export(pem) as string, 'is a key for ec, not for ed25519'],
      [generateKeyPairSync('ed448').privateKey.export(pem) as string, 'is a key for ed448'],
      [generateKeyPairSync('x25519').privateKey.export(pem) as string, 'is a key for x25519'],
      [rsa.export({ type: 'pkcs1', format: 'pem' }) as string, 'is RSA PRIVATE KEY, not PKCS#8'],
      [ec.export({ type: 'sec1', format: 'pem' }) as string, 'is EC PRIVATE KEY, not PKCS#8'],
      [privateKeyFrom(plain, 'x').publicKey.pem, 'is a public key'],
      [plain + generatePrivateKey(), 'holds more than one key'],
      [base64.slice(0, -8), 'is no PKCS#8 private key'],
      ['', 'holds no key'],
      ['not a key!', 'holds no key'],
      [plain.replace('-----END', '-----'), 'holds no key'],
    ];
    for (const [text, problem] of cases) {
      const error = refusalOf(() => privateKeyFrom(text, '--key a.pem'));
      expect(error.code).toBe('E_INVALID_INPUT_SCHEMA');
      expect(error.message).toContain(`--key a.pem ${problem}`);
      expect(error.cause).toBeUndefined();
      for (const part of text.match(/[A-Za-z0-9+/]{16,}/g) ?? [])
        expect(error.message + JSON.stringify(error.details)).not.toContain(part);
    }
  });
});

describe('public keys', () => {
  test('are taken as SPKI PEM of Ed25519, and as nothing else', () => {
    const { publicKey } = privateKeyFrom(generatePrivateKey(), 'x');
    expect(publicKeyFrom(`a comment\n${publicKey.pem}`, 'x').keyId).toBe(publicKey.keyId);
    const spki = { type: 'spki', format: 'pem' } as const;
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const cases: [string, string][] = [
      [generatePrivateKey(), 'is a private key'],
      [generatePrivateKey('p'), 'is a private key'],
      [rsa.publicKey.export(spki) as string, 'is a key for rsa'],
      [
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export(spki) as string,
        'is a key for ec',
      ],
      [rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }) as string, 'is no public key in PEM'],
      [publicKey.pem + publicKey.pem, 'holds more than one key'],
      [publicKey.pem.replaceAll(/-----.*-----|\s/g, ''), 'is no public key in PEM'],
      [publicKey.pem.replace('MCow', 'MCox'), 'is no SPKI public key'],
      ['', 'holds no key'],
    ];
    for (const [text, problem] of cases)
      expect(refusalOf(() => publicKeyFrom(text, 'k')).message).toContain(`k ${problem}`);
  });
});
