import { stepOutputs } from '../../doors/jobs/output.ts';
import type { CommandHandler } from '../command.ts';
import { escapeLines } from '../output.ts';

export const logs: CommandHandler = async (ctx, { args }) => {
  const outputs = await stepOutputs(await ctx.jobs(), args[0] ?? '', args[1]);
  return {
    json: outputs,
    text: outputs.flatMap((output) => [
      `step=${output.step_id} attempt=${output.attempt} outcome=${output.outcome} exit=${output.exit_code ?? '-'}`,
      ...stream('stdout', output.stdout, output.stdout_bytes),
      ...stream('stderr', output.stderr, output.stderr_bytes),
    ]),
  };
};

function stream(name: string, text: string, bytes: number): string[] {
  if (bytes === 0) return [];
  const kept = Buffer.byteLength(text);
  const cut = kept < bytes ? ` (the last ${kept} of ${bytes} bytes)` : '';
  return [`${name}${cut}:`, ...escapeLines(text).map((line) => `  ${line}`)];
}
