// J19: a skill masks and finds what the runner masks. Its patterns are a copy, since a package stands alone: one corpus
// holds both against each other. Values are made up, and put together here.

import { expect, test } from 'vitest';
import { SecretRedactor } from '../../src/policy/redaction/secret-redactor.ts';
import { findSecrets, redactSecrets } from '../../skills/lib/secrets.mjs';

const AWS = ['AK', 'IAQWERTYUIOPASDFGH'].join('');
const AWS_SECRET = 'abcdefghij0123456789ABCDEFGHIJ0123456789';
const GOOGLE = ['AI', 'zaSyA1234567890abcdefghijklmnopqrstuv'].join('');
const GITHUB = ['gh', 'p_0123456789abcdefghijABCDEFGHIJ012345'].join('');
const SLACK = ['xo', 'xb-1234567890-abcdef'].join('');
const OPENAI = ['s', 'k-proj-abcdefghijklmnopqrstuv'].join('');
const STRIPE = ['s', 'k_live_abcdefghijklmnopqrstuv'].join('');
const JWT = ['ey', 'JhbGciOiJIUzI1NiJ9.', 'ey', 'JzdWIiOiIxIn0.c2lnbmF0dXJl'].join('');
const PEM = (label: string): string =>
  [
    `-----BEGIN ${label}PRIV`,
    `ATE KEY-----\nb3BlbnNzaC1rZXk\n\nAAAA=\n-----END ${label}PRIV`,
    'ATE KEY-----',
  ].join('');
const PASSWORD = ['pass', 'word'].join('');
const TOKEN = ['tok', 'en'].join('');

const CORPUS: readonly string[] = [
  `id = ${AWS}`,
  `(${AWS}),[${AWS}]`,
  `aws_secret_access_key = ${AWS_SECRET}`,
  `"SecretAccessKey": "${AWS_SECRET}"`,
  `url?key=${GOOGLE}&x=1`,
  `${GITHUB} ${GITHUB}`,
  ['github', '_pat_11ABCDEFG0123456789abcdef'].join(''),
  SLACK,
  `key: ${OPENAI}`,
  STRIPE,
  `cookie=${JWT}; path=/`,
  'Authorization: Basic dXNlcjpjb3JyZWN0',
  'authorization: "Bearer abcdefghijklmnop1234"',
  'curl -H "Authorization: token abcdefghijklmnop1234"',
  'bearer of good news',
  `postgres://app:correct-horse@db:5432/x`,
  'https://example.com:8080/a@b',
  'https://user:${PW}@example.com/',
  `${PASSWORD}=correct-horse`,
  `${PASSWORD}: "correct \\"horse\\" battery"`,
  `{"${PASSWORD}":"correct-horse","user":"me"}`,
  `export DB_${PASSWORD.toUpperCase()}='correct horse'`,
  `${TOKEN} => correct-horse`,
  `${PASSWORD}=short`,
  `${PASSWORD}=***`,
  `${PASSWORD}: <yours>`,
  `${PASSWORD}: null`,
  `${PASSWORD}="note ${AWS} here"`,
  `${PASSWORD}=${AWS}`,
  'PWD=/home/me/project',
  'task-based-scheduling-of-things and risk-free-to-use-everywhere',
  PEM(''),
  `key: |\n  ${PEM('OPENSSH ')}\nafter ${AWS}`,
  `${PEM('RSA ')} and ${OPENAI}\nend`,
  JSON.stringify({ key: PEM('EC ') }),
  JSON.stringify({ a: PEM('EC '), b: PEM('RSA '), c: AWS }),
  `${PEM('')}${PEM('')} ${AWS}`,
  `see "${PEM('').slice(0, 27)}" at the top, and ${AWS}`,
  PEM('').slice(0, 40),
  `${PEM('').slice(0, 30)}\n`,
  ['-----BEGIN PRIV', 'ATE KEY-----\nno base64 at all!\nmore'].join(''),
  '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----',
  'ein Wörtchen über Schlüssel\r\nund Zeilen\r\n',
  '',
];

test.each(CORPUS.map((text) => [text]))('J19 skills and the runner judge alike: %j', (text) => {
  const runner = new SecretRedactor();
  const redacted = Buffer.concat([runner.push(Buffer.from(text)), runner.end()]).toString();
  expect(redactSecrets(text)).toBe(redacted);
  const counts: Record<string, number> = {};
  for (const { type } of findSecrets(text)) counts[type] = (counts[type] ?? 0) + 1;
  expect(counts).toEqual(runner.counts);
});

test('J19 the corpus has every type of secret, and text without any', () => {
  const types = new Set(CORPUS.flatMap((text) => findSecrets(text).map(({ type }) => type)));
  expect([...types].toSorted()).toEqual([
    'API_KEY',
    'AWS_KEY',
    'AWS_SECRET',
    'BEARER',
    'GITHUB_TOKEN',
    'GOOGLE_API_KEY',
    'JWT',
    'PASSWORD',
    'PRIVATE_KEY',
    'SLACK_TOKEN',
    'URL_CREDENTIALS',
  ]);
});

test('a secret is found where it begins', () => {
  const found = findSecrets(`${PEM('')} ${AWS}`);
  expect(found).toMatchObject([
    { type: 'PRIVATE_KEY', line: 1, column: 1 },
    { type: 'AWS_KEY', line: 5, column: 27 },
  ]);
  expect(findSecrets(`a\nb ${AWS} ${PASSWORD}="correct-horse"\n`)).toEqual([
    { type: 'AWS_KEY', line: 2, column: 3 },
    { type: 'PASSWORD', line: 2, column: 34 },
  ]);
});

test('searching takes time in proportion to the text, whatever stands in it', () => {
  for (const piece of ['://a', 'eyJ', 'password="', 'Bearer ', '-----BEGIN PRIV', 'secret', '\\"']) {
    const text = piece.repeat(50_000);
    const started = performance.now();
    redactSecrets(text);
    expect(performance.now() - started).toBeLessThan(5000);
  }
});
