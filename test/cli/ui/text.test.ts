import { describe, expect, test } from 'vitest';
import { bar, budgetText, nearestLimit } from '../../../src/cli/ui/bar.ts';
import { COLOURS, paletteFor, PLAIN } from '../../../src/cli/ui/colour.ts';
import { table } from '../../../src/cli/ui/table.ts';
import { cutText, paint, plainText, styled, textWidth, wrapText } from '../../../src/cli/ui/text.ts';
import { ago, duration } from '../../../src/cli/ui/time.ts';
import { NOW } from './views.ts';

describe('text', () => {
  test.each([
    ['plain', 5],
    ['', 0],
    ['naïve', 5],
    ['e\u0301', 1],
    ['日本語', 6],
    ['ｆｕｌｌ', 8],
    ['한국', 4],
    ['🚀', 2],
    ['👩‍👩‍👧', 2],
    ['❤️', 2],
    ['🇩🇪', 2],
    ['█░…', 3],
    ['a\u200bb', 2],
  ])('%s is %i columns wide', (text, width) => {
    expect(textWidth(text)).toBe(width);
  });

  test('is cut between characters, never within one', () => {
    expect(cutText('日本語', 4)).toBe('日…');
    expect(cutText('日本語', 6)).toBe('日本語');
    expect(cutText('abcdef', 1)).toBe('…');
    expect(cutText('abcdef', 0)).toBe('');
  });

  test('control characters that came from data are shown, not obeyed', () => {
    expect(paint(['a\u001b[31mb\r\n', styled('\u009b2J\u202e', 'red')], 80, PLAIN)).toBe(
      String.raw`a\u001b[31mb\r\n\u009b2J\u202e`,
    );
    expect(plainText('\ud800')).toBe('\ufffd');
  });

  test('a painted line has its styles, the width given, and no blanks at its end', () => {
    const line = [styled('done', 'green'), '  ', styled('collect', 'bold'), '   '];
    expect(paint(line, 80, COLOURS)).toBe('\u001b[32mdone\u001b[39m  \u001b[1mcollect\u001b[22m');
    expect(paint(line, 80, PLAIN)).toBe('done  collect');
    expect(paint(line, 13, PLAIN)).toBe('done  collect');
    expect(paint(line, 12, PLAIN)).toBe('done  colle…');
    expect(paint(line, 4, PLAIN)).toBe('don…');
    expect(paint(line, 5, COLOURS)).toBe('\u001b[32mdone\u001b[39m…');
    expect(paint([], 5, PLAIN)).toBe('');
  });

  test('is wrapped at blanks, and cut after the last line', () => {
    expect(wrapText('one two three four', 9, 5)).toEqual(['one two', 'three', 'four']);
    expect(wrapText('one two three four', 9, 2)).toEqual(['one two', 'three fo…']);
    expect(wrapText('incomprehensibilities', 9, 2)).toEqual(['incompre…']);
    expect(wrapText('one two', Infinity, 1)).toEqual(['one two']);
    expect(wrapText('', 9, 2)).toEqual(['']);
  });
});

describe('colours', () => {
  test.each([
    [true, {}, COLOURS],
    [false, {}, PLAIN],
    [true, { NO_COLOR: '1' }, PLAIN],
    [true, { NO_COLOR: '' }, COLOURS],
    [true, { TERM: 'dumb' }, PLAIN],
    [false, { FORCE_COLOR: '1' }, COLOURS],
    [true, { FORCE_COLOR: '0' }, PLAIN],
    [true, { FORCE_COLOR: '1', NO_COLOR: '1' }, COLOURS],
  ])('terminal %s, environment %o', (isTTY, env, palette) => {
    expect(paletteFor({ isTTY }, env)).toBe(palette);
  });
});

describe('table', () => {
  const columns = [
    { title: 'JOB', min: 6 },
    { title: 'N', align: 'right' },
    { title: 'NAME', min: 4 },
  ] as const;
  const rows = [
    ['release_42', '1', '日本語 build'],
    [styled('x', 'red'), '12', ''],
  ];
  const at = (width: number): string[] =>
    table(columns, rows, width).map((line) => paint(line, width, PLAIN));

  test('is aligned by what is seen', () => {
    expect(at(Infinity)).toEqual(['JOB          N  NAME', 'release_42   1  日本語 build', 'x           12']);
  });

  test('takes from the widest column first where the width is short', () => {
    expect(at(24)).toEqual(['JOB         N  NAME', 'release_…   1  日本語 b…', 'x          12']);
    expect(at(12)).toEqual(['JOB      N …', 'relea…   1 …', 'x       12']);
  });
});

test('a bar is full only when all is used, and empty only when nothing is', () => {
  const drawn = (used: number, limit: number): string => paint(bar(used, limit, 10), 80, PLAIN);
  expect([0, 1, 50, 99, 100, 250].map((used) => drawn(used, 100))).toEqual([
    '░░░░░░░░░░',
    '█░░░░░░░░░',
    '█████░░░░░',
    '█████████░',
    '██████████',
    '██████████',
  ]);
});

test('amounts are told in their units', () => {
  expect(budgetText({ key: 'wallMs', used: 12_000, limit: 3_600_000 })).toBe('12s of 1h 00m');
  expect(budgetText({ key: 'costMicros', used: 400_000, limit: 2_000_000 })).toBe('$0.40 of $2.00');
  expect(budgetText({ key: 'costMicros', used: 1234 })).toBe('$0.0012');
  expect(budgetText({ key: 'tokens', used: 1_234_567, limit: 20_000_000 })).toBe('1,234,567 of 20,000,000');
  expect(budgetText({ key: 'steps', used: 3 })).toBe('3');
});

test('the nearest limit is the one of which most is used', () => {
  const tools = { key: 'toolCalls', used: 8, limit: 10 } as const;
  expect(nearestLimit([{ key: 'steps', used: 100 }, { key: 'wallMs', used: 1, limit: 2 }, tools])).toBe(
    tools,
  );
  expect(nearestLimit([{ key: 'steps', used: 100 }])).toBeUndefined();
});

test.each([
  [-5, '0.0s'],
  [349, '0.3s'],
  [9999, '9.9s'],
  [10_000, '10s'],
  [65_000, '1m 05s'],
  [7_380_000, '2h 03m'],
  [273_600_000, '3d 04h'],
])('%i ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test.each([
  [-5000, 'just now'],
  [1999, 'just now'],
  [42_000, '42s ago'],
  [3_599_000, '59m ago'],
  [7_200_000, '2h ago'],
  [864_000_000, '10d ago'],
  [40 * 86_400_000, '2025-11-23'],
])('%i ms before now is %s', (ms, text) => {
  expect(ago(NOW - ms, NOW)).toBe(text);
});
