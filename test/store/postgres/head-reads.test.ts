import { expect, test } from 'vitest';
import type { RunHead } from '../../../src/store/run-store.ts';
import { HeadReads } from '../../../src/store/postgres/head-reads.ts';
import { commitOf } from '../../contracts/run-store.ts';

/** Reads that end when they are told to. */
class Lab {
  readonly sent: {
    ids: readonly string[];
    answer(heads: readonly RunHead[]): void;
    fail(why: Error): void;
  }[] = [];
  readonly reads = new HeadReads((ids) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly RunHead[]>();
    this.sent.push({ ids, answer: resolve, fail: reject });
    return promise;
  });
}

const head = (id: string): RunHead => commitOf(id).head;
const turn = (): Promise<void> => new Promise(setImmediate);

test('heads that are asked for while others are on their way go together, each id once', async () => {
  const { sent, reads } = new Lab();
  const first = [reads.of('a'), reads.of('b')];
  await turn();
  expect(sent.map(({ ids }) => ids)).toEqual([['a', 'b']]);
  const second = [reads.of('c'), reads.of('a'), reads.of('c')];
  await turn();
  expect(sent).toHaveLength(1);
  sent[0]!.answer([head('b'), head('a')]);
  expect(await Promise.all(first)).toEqual([head('a'), head('b')]);
  await turn();
  expect(sent[1]!.ids).toEqual(['c', 'a']); // asked for later, so read again
  sent[1]!.answer([head('a')]);
  expect(await Promise.all(second)).toEqual([undefined, head('a'), undefined]);
});

test('a read that fails fails for those who are in it, and the next ones are read', async () => {
  const { sent, reads } = new Lab();
  const lost = reads.of('a');
  await turn();
  const next = reads.of('a');
  sent[0]!.fail(new Error('gone'));
  await expect(lost).rejects.toThrow('gone');
  await turn();
  sent[1]!.answer([head('a')]);
  expect(await next).toEqual(head('a'));
  const last = reads.of('b');
  await turn();
  sent[2]!.answer([]);
  expect(await last).toBeUndefined();
});
