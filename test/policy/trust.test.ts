import { expect, test } from 'vitest';
import { generatePrivateKey } from '../../src/policy/keys.ts';
import { trustFrom } from '../../src/policy/trust.ts';
import { refusalOf, testKey } from './support.ts';

const ada = { name: 'Ada Lovelace', public_key: testKey('1').publicKey.pem };
const bob = { name: 'Bob', public_key: testKey('2').publicKey.pem };
const file = (keys: unknown, more: object = {}): string =>
  JSON.stringify({ schema_id: 'reeve.trust', schema_version: 'v1', keys, ...more });

test('a trust file names people, who may have several keys', () => {
  const found = trustFrom(file([ada, { ...bob, name: 'Ada Lovelace' }]), 'team.json');
  expect(found.map(({ name, publicKey }) => [name, publicKey.keyId])).toEqual([
    ['Ada Lovelace', testKey('1').publicKey.keyId],
    ['Ada Lovelace', testKey('2').publicKey.keyId],
  ]);
});

test.each<[string, string, string]>([
  ['no JSON', '{', ''],
  ['a list', '[]', ''],
  ['another document', file([ada], { schema_id: 'wrkr.trust' }), '/schema_id'],
  ['another version', file([ada], { schema_version: 'v2' }), '/schema_version'],
  ['an unknown field', file([ada], { expires: 'never' }), '/expires'],
  ['no keys', file([]), '/keys'],
  ['keys that are no list', file({ ada }), '/keys'],
  ['a key that is no object', file([ada, 'bob']), '/keys/1'],
  ['an unknown field of a key', file([{ ...ada, role: 'boss' }]), '/keys/0/role'],
  ['a missing name', file([{ public_key: ada.public_key }]), '/keys/0/name'],
  ['a name with white space around it', file([{ ...ada, name: 'Ada ' }]), '/keys/0/name'],
  ['a missing key', file([{ name: 'Ada' }]), '/keys/0/public_key'],
  ['a key of two people', file([ada, { ...ada, name: 'Bob' }]), '/keys/1/public_key'],
])('refuses %s', (_, text, field) => {
  const { code, details } = refusalOf(() => trustFrom(text, 'team.json'));
  expect([code, details]).toEqual([
    'E_INVALID_INPUT_SCHEMA',
    expect.objectContaining({ trust: 'team.json', field }),
  ]);
});

test('a private key in a trust file is refused and not shown', () => {
  const { message } = refusalOf(() =>
    trustFrom(file([{ ...ada, public_key: generatePrivateKey() }]), 't.json'),
  );
  expect(message).toBe('t.json, /keys/0/public_key: is a private key; keys show prints its public key');
});
