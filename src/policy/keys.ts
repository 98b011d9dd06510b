/**
 * Ed25519 keys (RFC 8032) as they are kept in files: private ones as PKCS#8 (RFC 8410), in PEM, encrypted or not, or as
 * the base64 of the DER; public ones as SPKI in PEM. No other kind of key is taken. No message or detail of an error
 * holds anything of a key.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { ReeveError } from '../model/errors.ts';

export interface PublicKey {
  /** SHA-256 of the SPKI DER, 64 hex digits. */
  readonly keyId: string;
  /** SPKI, with a newline at the end. */
  readonly pem: string;
  verifies(bytes: Uint8Array, signature: Uint8Array): boolean;
}

export interface SigningKey {
  readonly publicKey: PublicKey;
  /** 64 bytes, the same ones every time. */
  sign(bytes: Uint8Array): Buffer;
}

/** A new key. @param passphrase encrypts it (PBES2, AES-256). @returns PKCS#8 PEM. */
export function generatePrivateKey(passphrase?: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  return privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    ...(passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }),
  }) as string;
}

/**
 * @param text PEM, or base64 of the DER. Where PEM came through a variable that cannot hold newlines, `\n` stands for one.
 * @param from names the key in errors, such as `--key ci.pem`.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA {key}
 */
export function privateKeyFrom(text: string, from: string, passphrase?: string): SigningKey {
  const { label, der } = contentOf(text, from);
  const isEncrypted = label === 'ENCRYPTED PRIVATE KEY';
  if (label === 'PUBLIC KEY') throw refusal(from, 'is a public key, a private one is needed');
  if (label !== undefined && label !== 'PRIVATE KEY' && !isEncrypted)
    throw refusal(from, `is ${label}, not PKCS#8 (PRIVATE KEY)`);
  if (isEncrypted && passphrase === undefined)
    throw refusal(from, 'is encrypted: set REEVE_SIGNING_KEY_PASSPHRASE');
  let key: KeyObject;
  try {
    const secret = passphrase === undefined ? {} : { passphrase };
    key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8', ...secret });
  } catch {
    // What OpenSSL says is of no use to anybody, and its cause might quote the input.
    throw refusal(
      from,
      isEncrypted
        ? 'cannot be opened: the passphrase is wrong, or it is damaged'
        : 'is no PKCS#8 private key',
    );
  }
  requireEd25519(key, from);
  return { publicKey: publicKeyOf(createPublicKey(key)), sign: (bytes) => sign(null, bytes, key) };
}

/** @param text SPKI PEM. @throws ReeveError E_INVALID_INPUT_SCHEMA {key} */
export function publicKeyFrom(text: string, from: string): PublicKey {
  const { label, der } = contentOf(text, from);
  if (label?.endsWith('PRIVATE KEY') === true)
    throw refusal(from, 'is a private key; keys show prints its public key');
  if (label !== 'PUBLIC KEY') throw refusal(from, 'is no public key in PEM (PUBLIC KEY)');
  let key: KeyObject;
  try {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch {
    throw refusal(from, 'is no SPKI public key');
  }
  requireEd25519(key, from);
  return publicKeyOf(key);
}

/** Whether a text says of itself that it holds a public key. */
export function isPublicKeyText(text: string): boolean {
  return text.includes('-----BEGIN PUBLIC KEY-----');
}

function publicKeyOf(key: KeyObject): PublicKey {
  return {
    keyId: createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex'),
    pem: key.export({ type: 'spki', format: 'pem' }) as string,
    verifies: (bytes, signature) => verify(null, bytes, key, signature),
  };
}

function requireEd25519({ asymmetricKeyType: type }: KeyObject, from: string): void {
  if (type !== 'ed25519') throw refusal(from, `is a key for ${type ?? 'something else'}, not for ed25519`);
}

/** The one block of a PEM text, or base64 alone. */
function contentOf(text: string, from: string): { readonly label?: string; readonly der: Buffer } {
  const lines = text.includes('\n') ? text : text.replaceAll(String.raw`\n`, '\n');
  const blocks = [...lines.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)];
  if (blocks.length > 1) throw refusal(from, 'holds more than one key');
  const [, label, body = lines] = blocks[0] ?? [];
  const base64 = body.replaceAll(/\s/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw refusal(from, 'holds no key');
  return { der: Buffer.from(base64, 'base64'), ...(label === undefined ? {} : { label }) };
}

function refusal(from: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${from} ${problem}`, { key: from, problem });
}
