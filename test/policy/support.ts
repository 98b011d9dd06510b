import { generatePrivateKey, privateKeyFrom, type SigningKey } from '../../src/policy/keys.ts';
import { ReeveError } from '../../src/model/errors.ts';

/** PKCS#8 of an Ed25519 key is this and its seed (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

export function pkcs8(seedHex: string): Buffer {
  return Buffer.concat([PKCS8_HEAD, Buffer.from(seedHex, 'hex')]);
}

/** The same key every time. @param digit of the seed. */
export function testKey(digit: string): SigningKey {
  return privateKeyFrom(pkcs8(digit.repeat(64)).toString('base64'), 'a test');
}

export function newKey(): SigningKey {
  return privateKeyFrom(generatePrivateKey(), 'a test');
}

/** What was thrown, which has to be one of our errors. */
export function refusalOf(act: () => unknown): ReeveError {
  try {
    act();
  } catch (error) {
    if (error instanceof ReeveError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
