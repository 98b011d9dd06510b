/** `reeve agent`: polls a control plane for work, and runs what this machine's own allow-list lets run. */
import { Agent } from '../../doors/agents/agent/agent.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import { agentSettings } from '../agents/agent-settings.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';

export const agent: CommandHandler = async (ctx, { flags }) => {
  const settings = await agentSettings(ctx, flags);
  const note = (text: string): void => {
    const line = redactText(text);
    const at = new Date().toISOString();
    ctx.stdout.write(
      ctx.json ? `${JSON.stringify({ at, message: line })}\n` : `${at} ${escapeControls(line)}\n`,
    );
  };
  await Agent.run({ settings, note }, ctx.signal);
  return {};
};
