import { diffRuns, readSide } from '../../evidence/run-diff.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { diffJson, diffLines } from '../ui/diff.ts';
import { trustOf, withPack } from './story-pack.ts';

export const diff: CommandHandler = async (ctx, { args, flags }) => {
  const trust = trustOf(flags);
  const sides = [];
  for (const word of args.slice(0, 2)) {
    sides.push(await withPack(ctx, word, flags, (path) => readSide(path, trust)));
  }
  const [a, b] = sides;
  if (a === undefined || b === undefined)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'diff needs <a> and <b>', { argument: 'b' });
  const found = diffRuns(a, b);
  const isDifferent = found.differsIn.length > 0;
  return {
    json: diffJson(found),
    text: diffLines(ctx, found),
    exitCode: flags.on('exit-code') && isDifferent ? 1 : 0,
  };
};
