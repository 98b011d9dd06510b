import type { CommandHandler } from '../command.ts';
import { programVersion } from '../version.ts';

export const version: CommandHandler = async (ctx) => {
  const { version: number, commit, date } = programVersion();
  return {
    json: `${JSON.stringify({ commit, date, version: number })}\n`,
    text: [`${ctx.program} ${number} (commit=${commit} date=${date})`],
  };
};
