/** Secrets of every type, in pieces of every size (contract agents §6, I9; J19, J20). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redactSecrets, SecretRedactor } from '../../src/policy/redaction/secret-redactor.ts';
import { HINT, NAMED, PLAIN } from '../../src/policy/redaction/secrets.ts';

/** Put together here, so that no scanner takes this file for a leak. */
const AWS_KEY = ['AKIA', 'IOSFODNN7EXAMPLE'].join('');
const AWS_SECRET = ['wJalrXUtnFEMI/K7MDENG', 'bPxRfiCYEXAMPLEKEY'].join('/');
const GITHUB = `ghp_${'a1B2'.repeat(9)}`;
const JWT = ['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiIxMjM0In0', 'c2lnbmF0dXJl'].join('.');
const PEM_BODY = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj', 'MzEfYyjiWA=='];
const DASHES = '-'.repeat(5);
const PEM = (label: string, body: readonly string[] = PEM_BODY): string =>
  [`${DASHES}BEGIN ${label}${DASHES}`, ...body, `${DASHES}END ${label}${DASHES}`].join('\n');

interface Case {
  readonly name: string;
  readonly text: string;
  /** What must not be left of it. */
  readonly secrets: readonly string[];
  readonly becomes: string;
}

const CASES: readonly Case[] = [
  { name: 'AWS_KEY', text: `id ${AWS_KEY} end`, secrets: [AWS_KEY], becomes: 'id [REDACTED:AWS_KEY] end' },
  {
    name: 'AWS_SECRET',
    text: `aws_secret_access_key = ${AWS_SECRET}`,
    secrets: [AWS_SECRET],
    becomes: 'aws_secret_access_key = [REDACTED:AWS_SECRET]',
  },
  {
    name: 'AWS_SECRET in JSON',
    text: `{"SecretAccessKey":"${AWS_SECRET}"}`,
    secrets: [AWS_SECRET],
    becomes: '{"SecretAccessKey":"[REDACTED:AWS_SECRET]"}',
  },
  {
    name: 'GOOGLE_API_KEY',
    text: `key=AIza${'Sy-b_9'.repeat(6).slice(0, 35)}&q=1`,
    secrets: ['Sy-b_9'],
    becomes: 'key=[REDACTED:GOOGLE_API_KEY]&q=1',
  },
  { name: 'GITHUB_TOKEN', text: `a ${GITHUB}.`, secrets: [GITHUB], becomes: 'a [REDACTED:GITHUB_TOKEN].' },
  {
    name: 'GITHUB_TOKEN, fine-grained',
    text: `github_pat_${'x1_'.repeat(12)}`,
    secrets: ['x1_x1_'],
    becomes: '[REDACTED:GITHUB_TOKEN]',
  },
  {
    name: 'SLACK_TOKEN',
    text: `"${['xoxb', '1234567890', 'abcdef'].join('-')}"`,
    secrets: ['1234567890'],
    becomes: '"[REDACTED:SLACK_TOKEN]"',
  },
  {
    name: 'API_KEY',
    text: ['sk', 'proj', 'a1b2c3d4e5f6g7h8'].join('-'),
    secrets: ['a1b2c3'],
    becomes: '[REDACTED:API_KEY]',
  },
  {
    name: 'API_KEY, live',
    text: `${['sk', 'live', 'a1b2c3d4e5f6g7h8'].join('_')}\n`,
    secrets: ['a1b2c3'],
    becomes: '[REDACTED:API_KEY]\n',
  },
  { name: 'JWT', text: `jwt ${JWT} end`, secrets: [JWT.slice(8)], becomes: 'jwt [REDACTED:JWT] end' },
  {
    name: 'BEARER',
    text: 'Authorization: Bearer abcdef0123456789\r\nAccept: */*',
    secrets: ['abcdef0123456789'],
    becomes: 'Authorization: Bearer [REDACTED:BEARER]\r\nAccept: */*',
  },
  {
    name: 'BEARER, basic, in JSON',
    text: String.raw`{\"authorization\":\"Basic dXNlcjpwdzEyMw==\"}`,
    secrets: ['dXNlcjpwdzEyMw'],
    becomes: String.raw`{\"authorization\":\"Basic [REDACTED:BEARER]\"}`,
  },
  {
    name: 'URL_CREDENTIALS',
    text: ['postgres://ada', 'hun!ter2@db/x?y=1'].join(':'),
    secrets: ['hun!ter2'],
    becomes: 'postgres://ada:[REDACTED:URL_CREDENTIALS]@db/x?y=1',
  },
  {
    name: 'PASSWORD in a shell',
    text: 'export DB_PASSWORD=hunter22; run',
    secrets: ['hunter22'],
    becomes: 'export DB_PASSWORD=[REDACTED:PASSWORD]; run',
  },
  {
    name: 'PASSWORD in JSON',
    text: '{"password": "say \\"hi\\" 22", "n": 1}',
    secrets: ['say', 'hi'],
    becomes: '{"password": "[REDACTED:PASSWORD]", "n": 1}',
  },
  {
    name: 'PASSWORD in YAML, with marks in it',
    text: "api_key: 'it is, one'\npasswd: p@ss,w(or)d!\nx: 1",
    secrets: ['it is', 'p@ss', 'w(or)d'],
    becomes: "api_key: '[REDACTED:PASSWORD]'\npasswd: [REDACTED:PASSWORD]\nx: 1",
  },
  {
    name: 'PASSWORD with a backslash',
    text: String.raw`pwd=ab\cdefgh next`,
    secrets: ['cdefgh'],
    becomes: 'pwd=[REDACTED:PASSWORD] next',
  },
  {
    name: 'PASSWORD around a token',
    text: `token=x${GITHUB}yz0123`,
    secrets: [GITHUB, 'yz0123'],
    becomes: 'token=[REDACTED:PASSWORD]',
  },
  ...['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY', 'OPENSSH PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'].map(
    (label) => ({
      name: label,
      text: `before\n${PEM(label)}\nafter`,
      secrets: PEM_BODY,
      becomes: 'before\n[REDACTED:PRIVATE_KEY]\n\n\n\n\nafter',
    }),
  ),
  {
    name: 'PGP PRIVATE KEY BLOCK, indented',
    text: `  ${PEM('PGP PRIVATE KEY BLOCK', ['  Version: 1', '', `  ${PEM_BODY[0]}`]).replace(`${DASHES}END`, `  ${DASHES}END`)}\nz`,
    secrets: [PEM_BODY[0] ?? '', 'Version'],
    becomes: '  [REDACTED:PRIVATE_KEY]\n\n\n\n\nz',
  },
  {
    name: 'PRIVATE KEY on one line of JSON',
    text: `{"k":"${PEM('PRIVATE KEY').replaceAll('\n', '\\n')}\\n","n":1}`,
    secrets: PEM_BODY,
    becomes: '{"k":"[REDACTED:PRIVATE_KEY]\\n","n":1}',
  },
  {
    name: 'PRIVATE KEY that breaks off',
    text: `${PEM('PRIVATE KEY').slice(0, 70)}\nthe log goes on`,
    secrets: [PEM_BODY[0] ?? ''],
    becomes: '[REDACTED:PRIVATE_KEY]\n\n\nthe log goes on',
  },
];

const CLEAN = [
  '2026-11-21 INFO served /api/items/42?page=3 in 12 ms\n',
  'password: null\npasswd=***\ntoken: <your token>\nsecret=$SECRET\napi_key: ${API_KEY}\n',
  'const token: string = read();\nlet secret: undefined;\npwd\nPWD=/home/ada\nOLDPWD=/srv\n',
  'the token was refused; a secret is a secret; bearer of bad news\nAuthorization: required for all\n',
  'https://example.org:8080/a@b?c=d git@example.org:a/b.git task-abcdefghijklmnop disk-0123456789abcdef01\n',
  '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  'Authorization: Bearer $TOKEN\nAuthorization: Bearer [REDACTED:BEARER]\npassword=[REDACTED:PASSWORD]\n',
  'ünï ☃ 漢字 \u0000\u0007 \r\n no newline at the end',
  'password=none\npasswd: "null",\ntoken = ${TOKEN};\nsecret: ${{ secrets.A_B }}\npwd=$(cat /run/pw)\ntoken: "{{ token }}"\n',
  'token=%TOKEN% password=%(password)s secret: "***" api_key: <your-key>, pwd=$1 token=$A$B\n',
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5X1mZ7wq4x5vJ5X1mZ7wq4x5vJ5X1mZ7wq4x5v ada@example\n',
  '-----BEGIN PGP PUBLIC KEY BLOCK-----\nmQENBF\n-----END PGP PUBLIC KEY BLOCK-----\n',
  'postgres://ada:***@db postgres://ada:$PW@db postgres://ada@db http://h:80/a@b\n',
];

/** Begins like what is none, but is a secret. */
const ALMOST_CLEAN = [
  ['password=***hunter22', 'hunter22'],
  ['password: none-of-your-business', 'business'],
  ['password: $2b$10$abcdefghijklmnopqrstuv', 'abcdefghij'],
  ['token=<hunter22', 'hunter22'],
  ['secret: "true-blue-secret"', 'blue'],
  ['api_key=%Abcdefgh', 'bcdefgh'],
  ['postgres://ada:none4you@db', 'none4you'],
  [`x${AWS_KEY}Z9`, 'IOSFODNN7EXAMPLE'],
] as const;

function inPieces(bytes: Buffer, size: number): Buffer {
  const redactor = new SecretRedactor();
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) out.push(redactor.push(bytes.subarray(at, at + size)));
  return Buffer.concat([...out, redactor.end()]);
}

describe('a secret leaves nothing of itself (I9, J19)', () => {
  test.each(CASES)('$name', ({ text, secrets, becomes }) => {
    expect(redactSecrets(text)).toBe(becomes);
    for (const secret of secrets) expect(becomes).not.toContain(secret);
  });

  test.each(CASES)('$name, cut at every byte and into pieces of every size', ({ text, becomes }) => {
    const bytes = Buffer.from(text);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const redactor = new SecretRedactor();
      const parts = [
        redactor.push(bytes.subarray(0, cut)),
        redactor.push(bytes.subarray(cut)),
        redactor.end(),
      ];
      expect(Buffer.concat(parts).toString()).toBe(becomes);
    }
    for (let size = 1; size < 40; size += 1) expect(inPieces(bytes, size).toString()).toBe(becomes);
  });

  test.each(ALMOST_CLEAN)('%s', (text, secret) => {
    expect(redactSecrets(text)).toContain('[REDACTED:');
    expect(redactSecrets(text)).not.toContain(secret);
  });

  test.each(CASES.filter(({ text }) => text.length < 80))('$name, in three writes, however cut', (each) => {
    const bytes = Buffer.from(each.text);
    const outcomes = new Set<string>();
    for (let first = 1; first < bytes.length; first += 1) {
      for (let second = first; second < bytes.length; second += 1) {
        const redactor = new SecretRedactor();
        const parts = [
          redactor.push(bytes.subarray(0, first)),
          redactor.push(bytes.subarray(first, second)),
          redactor.push(bytes.subarray(second)),
          redactor.end(),
        ];
        outcomes.add(Buffer.concat(parts).toString());
      }
    }
    expect([...outcomes]).toEqual([each.becomes]);
  });

  test('in the middle of binary data', () => {
    const noise = Buffer.from(Array.from({ length: 256 }, (_, at) => at)).subarray(128);
    const bytes = Buffer.concat([noise, Buffer.from(` ${AWS_KEY} `), noise]);
    const out = inPieces(bytes, 7);
    expect(out.equals(Buffer.concat([noise, Buffer.from(' [REDACTED:AWS_KEY] '), noise]))).toBe(true);
  });

  test('wherever it stands in a line of megabytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CASES.filter(({ text }) => !text.includes('\n'))),
        fc.integer({ min: 0, max: 200_000 }),
        fc.integer({ min: 500, max: 70_000 }),
        ({ text, becomes, secrets }, at, size) => {
          const bytes = Buffer.from(`${'. '.repeat(at / 2)} ${text} ${'; '.repeat(60_000)}`);
          const out = inPieces(bytes, size).toString();
          expect(out).toBe(`${'. '.repeat(at / 2)} ${becomes} ${'; '.repeat(60_000)}`);
          for (const secret of secrets) expect(out).not.toContain(secret);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('however long it is', () => {
    const long = inPieces(Buffer.from(`password=${'x'.repeat(400_000)} end`), 10_000).toString();
    expect(long).toBe('password=[REDACTED:PASSWORD] end');
    const key = `${PEM('PRIVATE KEY', ['QUJD'.repeat(12_000)]).replaceAll('\n', '\\n')} end ${'.'.repeat(90_000)}`;
    const out = inPieces(Buffer.from(key), 10_000).toString();
    expect(out).toBe(`[REDACTED:PRIVATE_KEY] end ${'.'.repeat(90_000)}`);
  });

  test('counts what it replaced, by type', () => {
    const redactor = new SecretRedactor();
    redactor.push(Buffer.from(`${AWS_KEY} ${AWS_KEY}\npassword=hunter22\n`));
    redactor.end();
    expect(redactor.counts).toEqual({ AWS_KEY: 2, PASSWORD: 1 });
    expect(redactor.hasRedacted).toBe(true);
  });
});

describe('what is clean comes out as it went in (J20)', () => {
  test.each(CLEAN)('%j', (text) => {
    const bytes = Buffer.from(text);
    for (const size of [1, 3, 64, bytes.length]) expect(inPieces(bytes, size).equals(bytes)).toBe(true);
  });

  test('any bytes without a word that begins a secret', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        expect(inPieces(Buffer.from(bytes), size).equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });

  test('what is passed over as clean holds no form of a secret', () => {
    const words = `AKIA sk- sk_live_ eyJ . :// : @ a A1 0123456789abcdefghij / " ' password SecretAccessKey secret_ token apiKey
      Authorization Bearer BEARER Basic = => \\" $ < > *** none - _ ABCDEFGHIJKLMNOP xoxb-`;
    const part = fc.constantFrom(...words.split(/\s+/), ' ', '\t', '\r', '\n');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 14 }), (parts) => {
        const text = parts.join('');
        if (!HINT.test(text)) {
          expect([...text.matchAll(PLAIN)]).toEqual([]);
          expect([...text.matchAll(NAMED)]).toEqual([]);
        }
      }),
      { numRuns: 20_000 },
    );
  });

  test('twice is once', () => {
    for (const { becomes } of CASES) expect(redactSecrets(becomes)).toBe(becomes);
  });
});

test('hostile lines take linear time', () => {
  const lines = [
    'eyJ'.repeat(30_000),
    '://'.repeat(30_000),
    'token='.repeat(15_000),
    'authorization:'.repeat(6_000),
  ];
  lines.push(
    `password="${'\\'.repeat(60_000)}`,
    `${DASHES}BEGIN PRIVATE KEY${DASHES}${'\\n'.repeat(30_000)}!`,
    'a:b@'.repeat(20_000),
  );
  const from = process.cpuUsage();
  for (const line of lines) inPieces(Buffer.from(line), 65_536);
  // Quadratic would be minutes.
  expect(process.cpuUsage(from).user / 1e6).toBeLessThan(20);
});
