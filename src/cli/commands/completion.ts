import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { completionScript, SHELLS } from '../ui/completion.ts';

export const completion: CommandHandler = async (ctx, { args }) => {
  const shell = SHELLS.find((known) => known === args[0]);
  if (shell === undefined) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `no completion for '${args[0]}'; known: ${SHELLS.join(', ')}`,
      { shell: args[0] ?? '' },
    );
  }
  const script = completionScript(shell, ctx.program, ctx.commands);
  return { json: { shell, script }, text: script.trimEnd().split('\n') };
};
