/** Values that are known to be secret, in whatever form they are printed (contract agents §6, ENV_SECRET; I9, J19, J30). */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Redaction } from '../../src/policy/redaction/redaction.ts';

const VALUE = `hunter22/+x?"z'é`;
const MARK = '[REDACTED:ENV_SECRET]';

function redacted(values: readonly string[], ...pieces: readonly Uint8Array[]): Buffer {
  const stream = new Redaction({ values }).stream();
  return Buffer.concat([...pieces.map((piece) => stream.push(piece)), stream.end()]);
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const json = (text: string): string => JSON.stringify(text).slice(1, -1);
const percent = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

/** How programs print a value. */
const PRINTED: readonly (readonly [name: string, print: (value: string) => string])[] = [
  ['as it is', (value) => value],
  ['in base64', base64],
  ['in base64 for URLs', (value) => Buffer.from(value).toString('base64url')],
  ['in JSON', json],
  ['in JSON of ASCII', (value) => json(value).replaceAll('é', String.raw`\u00e9`)],
  ['in JSON of ASCII, capitals', (value) => json(value).replaceAll('é', String.raw`\u00E9`)],
  ['in JSON with escaped slashes', (value) => json(value).replaceAll('/', String.raw`\/`)],
  ['in JSON within JSON', (value) => json(json(value))],
  ['in a URL', encodeURIComponent],
  ['in a URL, where it may', encodeURI],
  ['in a form', (value) => new URLSearchParams([['', value]]).toString().slice(1)],
  [
    'in a URL, in small letters',
    (value) => encodeURIComponent(value).replaceAll(/%../g, (hex) => hex.toLowerCase()),
  ],
  ['between quotes of a shell', (value) => value.replaceAll("'", String.raw`'\''`)],
  ['between double quotes of a shell', (value) => value.replaceAll(/["$`\\]/g, String.raw`\$&`)],
];

/** Where they stand then. */
const AROUND: readonly (readonly [name: string, before: string, after: string])[] = [
  ['text', 'the value is ', ' and that is all'],
  ['JSON', '{"x":"', '","n":1}'],
  ['YAML', 'x:\n  - ', '\n  - y'],
  ['a shell', "+ run '", "' --now"],
  ['binary data', '\u0000\u0001\u00ff', '\u00fe\u0000'],
  ['the middle of a word', 'abc', 'def'],
  ['nothing', '', ''],
];

describe('a known value leaves nothing of itself', () => {
  const cases = PRINTED.flatMap(([form, print]) =>
    AROUND.map(([where, before, after]) => ({ form, where, text: print(VALUE), before, after })),
  );

  test.each(cases)('$form, in $where', ({ text, before, after }) => {
    const [head, tail] = [Buffer.from(before, 'latin1'), Buffer.from(after, 'latin1')];
    const bytes = Buffer.concat([head, Buffer.from(text), tail]);
    const becomes = Buffer.concat([head, Buffer.from(MARK), tail]);
    const isBase64 = /^[A-Za-z0-9+/_=-]+$/.test(text);
    for (let first = 0; first <= bytes.length; first += 1) {
      for (const second of new Set([first, Math.min(first + 1, bytes.length), bytes.length])) {
        const out = redacted(
          [VALUE],
          bytes.subarray(0, first),
          bytes.subarray(first, second),
          bytes.subarray(second),
        );
        // Padding, and a neighbour that holds bits of it: what matters is in the property below.
        if (isBase64) expect(out.toString('latin1')).not.toContain(text.slice(2, -2));
        else expect(out.equals(becomes)).toBe(true);
      }
    }
  });

  test('in base64 of something longer: no six bytes of it are left, at whatever place', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20 }),
        fc.uint8Array({ maxLength: 20 }),
        fc.string({ unit: 'grapheme', minLength: 6, maxLength: 40 }),
        fc.constantFrom('base64' as const, 'base64url' as const),
        (before, after, value, encoding) => {
          fc.pre(value.trim().length >= 6 && !/[\r\n]/.test(value));
          const secret = Buffer.from(value.trim());
          const text = Buffer.concat([before, secret, after]).toString(encoding);
          const out = redacted([value], Buffer.from(text)).toString();
          expect(out).toContain(MARK);
          // Whatever is left, read as base64 at each of its four places, and as it is.
          for (const part of out.split(MARK)) {
            for (const shift of [0, 1, 2, 3]) {
              const left = Buffer.from(`${'A'.repeat(shift)}${part}`, 'base64');
              for (let at = 0; at + 6 <= secret.length; at += 1)
                if (!runs(before, after, secret, at))
                  expect(left.includes(secret.subarray(at, at + 6))).toBe(false);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('any value, in any form, anywhere, in any pieces: no six bytes of it are left', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 6, maxLength: 60 }),
        fc.constantFrom(...PRINTED.map(([, print]) => print), percent),
        fc.constantFrom(...AROUND),
        fc.integer({ min: 1, max: 30 }),
        (value, print, [, before, after], size) => {
          fc.pre(value === value.trim() && value.isWellFormed());
          const printed = Buffer.from(print(value));
          fc.pre(print !== percent || /^[^A-Za-z0-9._~-]*$/.test(value));
          const bytes = Buffer.concat([Buffer.from(before), printed, Buffer.from(after)]);
          const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
            bytes.subarray(at * size, (at + 1) * size),
          );
          const out = redacted([value], ...pieces)
            .toString('latin1')
            .replaceAll(MARK, '\n');
          for (let at = 0; at + 6 <= printed.length; at += 1) {
            const run = printed.subarray(at, at + 6).toString('latin1');
            if (!`${before}\n${after}`.includes(run)) expect(out).not.toContain(run);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('of several lines, in each of them, and in base64 that is wrapped', () => {
    const key = Array.from({ length: 12 }, (_, at) => `line ${at} ${'xY7+/'.repeat(9)}`).join('\r\n');
    const printed = key
      .split('\r\n')
      .map((line) => `  ${line}`)
      .join('\n');
    expect(redacted([`${key}\n`], Buffer.from(printed)).toString()).toBe(
      Array(12).fill(`  ${MARK}`).join('\n'),
    );
    for (const width of [64, 76]) {
      const wrapped = base64(key).replaceAll(new RegExp(`.{${width}}`, 'g'), '$&\n');
      const out = redacted([key], Buffer.from(wrapped)).toString();
      expect(out.replaceAll(MARK, '').replaceAll('\n', '').length).toBeLessThan(6);
      expect(out.split('\n')).toHaveLength(wrapped.split('\n').length);
    }
    expect(redacted([key], Buffer.from(JSON.stringify({ key }))).toString()).toBe(`{"key":"${MARK}"}`);
  });

  test('of 100 KB, and across the pieces of a very long line', () => {
    const long = Array.from({ length: 15_000 }, (_, at) => `+${(at * 7919).toString(36)}/`).join('');
    const bytes = Buffer.from(`${'.'.repeat(70_001)}${long}${'.'.repeat(200_000)}`);
    for (const size of [1000, 65_536, bytes.length]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      );
      expect(redacted([long], ...pieces).toString()).toBe(
        `${'.'.repeat(70_001)}${MARK}${'.'.repeat(200_000)}`,
      );
    }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 500, max: 70_000 }), (at, size) => {
        const line = Buffer.from(`${'. '.repeat(at / 2)}${VALUE}${'; '.repeat(60_000)}`);
        const pieces = Array.from({ length: Math.ceil(line.length / size) }, (_, index) =>
          line.subarray(index * size, (index + 1) * size),
        );
        expect(redacted([VALUE], ...pieces).toString()).toBe(
          `${'. '.repeat(at / 2)}${MARK}${'; '.repeat(60_000)}`,
        );
      }),
      { numRuns: 40 },
    );
  });
});

describe('a known value and another secret', () => {
  const pem = [
    '-----BEGIN PRIVATE KEY-----',
    'MIIEvQIBADAN',
    'hunter22abcd',
    'MzEfYyjiWA==',
    '-----END PRIVATE KEY-----',
  ];

  test('a longer secret around it goes with it', () => {
    const token = `ghp_${'a1B2'.repeat(5)}hunter22${'a1B2'.repeat(5)}`;
    expect(redacted(['hunter22'], Buffer.from(`x ${token} y`)).toString()).toBe(`x ${MARK} y`);
    expect(redacted(['hunter22'], Buffer.from('password=hunter22andmore z')).toString()).toBe(
      `password=${MARK} z`,
    );
    const long = `password=${'x'.repeat(100_000)}hunter22${'x'.repeat(100_000)} end`;
    expect(redacted(['hunter22'], Buffer.from(long)).toString()).not.toContain('xxxxxx');
  });

  test('a line is looked at once, however often a value stands in it', () => {
    const looks = vi.spyOn(RegExp.prototype, Symbol.matchAll);
    const text = new Redaction({ values: ['hunter2x'] }).text('hunter2x token '.repeat(500));
    const count = looks.mock.calls.length;
    looks.mockRestore();
    expect(text).not.toContain('hunter2x');
    expect(count).toBeLessThan(10);
  });

  test('a private key with it in one of its lines is still one', () => {
    const out = redacted(['hunter22'], Buffer.from(`${pem.join('\n')}\nz`)).toString();
    expect(out).toBe('[REDACTED:PRIVATE_KEY]\n\n\n\n\nz');
  });

  test('a known private key does not hide where others begin', () => {
    const other = pem.join('\n').replace('MIIEvQIBADAN', 'OTHERKEYOTHER');
    const out = redacted([pem.join('\n')], Buffer.from(`${other}\nz`)).toString();
    expect(out).not.toMatch(/OTHERKEY|MzEfYy/);
    expect(redacted([pem.join('\n')], Buffer.from(pem.join('\n'))).toString()).not.toMatch(/MIIE|MzEf/);
  });

  test('two that overlap are hidden together', () => {
    expect(redacted(['abcdef12', 'ef12345678'], Buffer.from('-abcdef12345678-')).toString()).toBe(
      `-${MARK}-`,
    );
  });
});

describe('what is clean comes out as it went in (J20)', () => {
  test('short values, and parts of values, are no secrets', () => {
    const text = Buffer.from('true abcde hunter2 /hunter23+x base64 aHVudGVy\n');
    expect(redacted(['abcde', '', VALUE], text).equals(text)).toBe(true);
  });

  test('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 50 }), (noise, size) => {
        const bytes = Buffer.from(noise);
        const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
          bytes.subarray(at * size, (at + 1) * size),
        );
        expect(redacted([VALUE, 'another one'], ...pieces).equals(bytes)).toBe(true);
      }),
    );
  });
});

/** Whether six bytes of the value stand in what is around it anyway. */
function runs(before: Uint8Array, after: Uint8Array, secret: Buffer, at: number): boolean {
  const run = secret.subarray(at, at + 6);
  return Buffer.from(before).includes(run) || Buffer.from(after).includes(run);
}
