/** What looks ahead does so on overlays: one that reads unlike a table of its own decides on a run that is not there. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Overlay, type Table } from '../../src/model/table.ts';

type Change = readonly [key: string, value: number | undefined];

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const entries = fc.uniqueArray(fc.tuple(key, fc.nat(9)), { selector: ([name]) => name });
const changes = fc.array(fc.tuple(key, fc.option(fc.nat(9), { nil: undefined })), { maxLength: 12 });

function change(table: Table<string, number>, [name, value]: Change): boolean {
  if (value === undefined) return table.delete(name);
  table.set(name, value);
  return true;
}

/** All that can be asked of a table. Their order is the table's own affair. */
function read(table: Table<string, number>): unknown {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const asked = names.map((name) => [name, table.has(name), table.get(name)]);
  return { size: table.size, keys: [...table.keys()].toSorted(), asked };
}

test('an overlay reads as a copy with the same changes does, and leaves what is below alone', () => {
  fc.assert(
    fc.property(entries, changes, changes, (below, first, second) => {
      const base = new Map(below);
      const before = read(base);
      const copy = new Map(below);
      const overlay = new Overlay(base);
      for (const each of first) {
        expect(change(overlay, each)).toBe(change(copy, each));
        expect(read(overlay)).toEqual(read(copy));
      }
      // An overlay may lie on another one.
      const half = read(overlay);
      const upper = new Overlay(overlay);
      for (const each of second) {
        expect(change(upper, each)).toBe(change(copy, each));
        expect(read(upper)).toEqual(read(copy));
      }
      expect(read(overlay)).toEqual(half);
      expect(read(base)).toEqual(before);
    }),
  );
});
