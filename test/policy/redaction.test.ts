/** All redaction of a run: rules of a tenant, names, documents, counts (contract agents §6, J19, J20). */
import { describe, expect, test } from 'vitest';
import type { Json } from '../../src/model/json.ts';
import { Redaction } from '../../src/policy/redaction/redaction.ts';
import { refusalOf } from './support.ts';

/** Put together here, so that no scanner takes this file for a leak. */
const AWS_KEY = ['AKIA', 'IOSFODNN7EXAMPLE'].join('');

function inPieces(redaction: Redaction, bytes: Buffer, size: number): Buffer {
  const stream = redaction.stream();
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) out.push(stream.push(bytes.subarray(at, at + size)));
  return Buffer.concat([...out, stream.end()]);
}

describe("a tenant's patterns", () => {
  const rules = {
    patterns: [
      { type: 'ACME_TOKEN', pattern: 'ACME-[A-Z0-9]{4,}' },
      { type: 'BADGE', pattern: '(?i)^badge: [0-9]+$' },
      { type: 'NAME', pattern: 'Zoë|Ünal' },
    ],
  };

  test('have marks and counts of their own, and are held to lines', () => {
    const redaction = new Redaction(rules);
    const text = 'a ACME-12AB b\r\nBadge: 77\r\nno badge: 77\nZoë and Ünal\n';
    const becomes =
      'a [REDACTED:ACME_TOKEN] b\r\n[REDACTED:BADGE]\r\nno badge: 77\n[REDACTED:NAME] and [REDACTED:NAME]\n';
    expect(redaction.text(text)).toBe(becomes);
    expect(redaction.counts).toEqual({ ACME_TOKEN: 1, BADGE: 1, NAME: 2 });
    for (let size = 1; size < 40; size += 1)
      expect(inPieces(redaction, Buffer.from(text), size).toString()).toBe(becomes);
  });

  test('leave marks alone, so that twice is once', () => {
    const redaction = new Redaction({ patterns: [{ type: 'WORD', pattern: '[A-Z_]{4,}' }] });
    const once = redaction.text(`${AWS_KEY} and WORDS`);
    expect(once).toBe('[REDACTED:AWS_KEY] and [REDACTED:WORD]');
    expect(redaction.text(once)).toBe(once);
  });

  test('are found in binary data, and in lines of megabytes', () => {
    const noise = Buffer.from([0, 255, 254, 10, 200, 1]);
    const bytes = Buffer.concat([noise, Buffer.from(' ACME-12AB '), noise]);
    const out = inPieces(new Redaction(rules), bytes, 3);
    expect(out.equals(Buffer.concat([noise, Buffer.from(' [REDACTED:ACME_TOKEN] '), noise]))).toBe(true);
    const long = Buffer.from(`${'.'.repeat(150_000)}ACME-12AB${'.'.repeat(150_000)}`);
    expect(inPieces(new Redaction(rules), long, 65_536).toString()).toBe(
      `${'.'.repeat(150_000)}[REDACTED:ACME_TOKEN]${'.'.repeat(150_000)}`,
    );
  });

  test('cannot take more than linear time', () => {
    const redaction = new Redaction({ patterns: [{ type: 'SLOW', pattern: '(a*)*(a|a)*b' }] });
    const from = process.cpuUsage();
    redaction.text('a'.repeat(50_000));
    // Backtracking would not end.
    expect(process.cpuUsage(from).user / 1e6).toBeLessThan(10);
  });

  test.each([
    ['/patterns/0/type', { type: 'acme', pattern: 'x' }],
    ['/patterns/0/type', { type: 'AWS_KEY', pattern: 'x' }],
    ['/patterns/0/pattern', { type: 'ACME', pattern: '(' }],
    ['/patterns/0/pattern', { type: 'ACME', pattern: String.raw`(a)\1` }],
    ['/patterns/0/pattern', { type: 'ACME', pattern: '(?=a)b' }],
    ['/patterns/0/pattern', { type: 'ACME', pattern: 'a*' }],
    ['/patterns/0/pattern', { type: 'ACME', pattern: String.raw`\Aa` }],
    ['/patterns/0/pattern', { type: 'ACME', pattern: 'x'.repeat(501) }],
  ])('are refused at %s: %j', (field, pattern) => {
    const error = refusalOf(() => new Redaction({ patterns: [pattern] }));
    expect(error.code).toBe('E_INVALID_INPUT_SCHEMA');
    expect(error.details).toMatchObject({ field });
  });
});

describe('exceptions', () => {
  const redaction = new Redaction({
    exceptions: [AWS_KEY, 'changeit', 'ACME-0000', 'hunter22', 'pässword'],
    patterns: [{ type: 'ACME', pattern: 'ACME-[0-9]+' }],
    values: ['hunter22'],
  });

  test.each([`key ${AWS_KEY}`, 'password=changeit', 'password: "changeit"', 'ACME-0000', 'token="pässword"'])(
    '%s stays',
    (text) => expect(redaction.text(text)).toBe(text),
  );

  test.each([`key ${AWS_KEY}7`, 'password=changeit2', 'ACME-00001', 'hunter22'])('%s does not', (text) =>
    expect(redaction.text(text)).toContain('[REDACTED:'),
  );
});

describe('documents stay documents', () => {
  test('of names and values only the secrets go', () => {
    const redaction = new Redaction({ values: ['hunter22'] });
    const report = {
      skill: 'secret_scanner',
      ok: true,
      nothing: null,
      findings: [{ id: 'a', message: `found ${AWS_KEY}`, where: 'src/hunter22.txt' }],
      password: 'say "hi" 22',
      token: 1_234_567_890,
      tokens: 1_234_567_890,
      authorization: 'Bearer abcdef0123456789',
      hunter22: { secret: ['abcdefgh', '***'] },
    };
    expect(redaction.json(report)).toEqual({
      skill: 'secret_scanner',
      ok: true,
      nothing: null,
      findings: [{ id: 'a', message: 'found [REDACTED:AWS_KEY]', where: 'src/[REDACTED:ENV_SECRET].txt' }],
      password: '[REDACTED:PASSWORD]',
      token: '[REDACTED:PASSWORD]',
      tokens: 1_234_567_890,
      authorization: 'Bearer [REDACTED:BEARER]',
      '[REDACTED:ENV_SECRET]': { secret: ['[REDACTED:PASSWORD]', '***'] },
    });
    expect(redaction.counts).toEqual({ AWS_KEY: 1, BEARER: 1, ENV_SECRET: 2, PASSWORD: 3 });
  });

  test('one without end is refused', () => {
    const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`) as Json;
    expect(refusalOf(() => new Redaction().json(deep)).details).toEqual({ limit: 200 });
  });

  test('what is clean is the same text, also where it is no Unicode', () => {
    const text = 'clean \uD800 \u0000 ünï';
    expect(new Redaction({ values: ['hunter22'] }).text(text)).toBe(text);
  });
});

test('names of files keep their folders', () => {
  const redaction = new Redaction({ values: ['ab/cd/ef'] });
  expect(redaction.path(`out/token=abcdefgh/${AWS_KEY}.txt`)).toBe(
    'out/token=[REDACTED:PASSWORD]/[REDACTED:AWS_KEY].txt',
  );
  expect(redaction.path('x/ab/cd/ef/y')).toBe('x/[REDACTED:ENV_SECRET]/y');
  expect(redaction.path('report.json')).toBe('report.json');
  const long = redaction.path(`${'ä'.repeat(100)}${AWS_KEY} ${AWS_KEY} ${AWS_KEY}/x`);
  expect(Buffer.byteLength(long.split('/')[0] ?? '')).toBeLessThanOrEqual(255);
  expect(long).toMatch(/^ä{100}\[REDACTED:AWS_KEY\] .*\/x$/);
});

test('a command line: what a flag says is secret, is', () => {
  const redaction = new Redaction({ values: ['hunter22'] });
  const argv = [
    'db',
    '--password',
    'a b c d',
    '--token=with space',
    '-v',
    '--author',
    'Ada L',
    'hunter22',
    '--to=x=hunter22',
    'sh',
    '-c',
    'T_TOKEN=abcdefgh run',
  ];
  expect(redaction.argv(argv)).toEqual([
    'db',
    '--password',
    '[REDACTED:PASSWORD]',
    '--token=[REDACTED:PASSWORD]',
    '-v',
    '--author',
    'Ada L',
    '[REDACTED:ENV_SECRET]',
    '--to=x=[REDACTED:ENV_SECRET]',
    'sh',
    '-c',
    'T_TOKEN=[REDACTED:PASSWORD] run',
  ]);
  expect(redaction.argv(['--password', '$PW', '--token=null', '--pwd'])).toEqual([
    '--password',
    '$PW',
    '--token=null',
    '--pwd',
  ]);
});

test('streams of one run are counted together', () => {
  const redaction = new Redaction();
  const [out, log] = [redaction.stream(), redaction.stream()];
  out.push(Buffer.from(`${AWS_KEY}\n`));
  log.push(Buffer.from(`${AWS_KEY}\n`));
  expect(out.counts).toEqual({ AWS_KEY: 1 });
  expect(redaction.counts).toEqual({ AWS_KEY: 2 });
  expect(redaction.stream().hasRedacted).toBe(false);
});
