#!/usr/bin/env node
// Stands in for a coding agent, so that budgets can be tried offline and for nothing. It prints the event stream that
// the real one prints, line for line in kind, with usage that rises turn by turn. It thinks nothing and changes nothing.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  allowPositionals: true, // a prompt; ignored
  options: {
    format: { type: 'string', default: 'claude-code' }, // or codex
    model: { type: 'string', default: 'claude-sonnet-5-5' },
    turns: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '20000' }, // of each turn's prompt
    pause: { type: 'string', default: '100' }, // milliseconds between turns
    fail: { type: 'boolean', default: false }, // the agent itself reports a failure, and exits with 0
  },
});
const turns = Number(values.turns);
const prompt = Number(values.tokens);
const answer = Math.round(prompt / 20);

function emit(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

async function claudeCode() {
  const session_id = randomUUID();
  const common = () => ({ session_id, uuid: randomUUID() });
  emit({
    type: 'system',
    subtype: 'init',
    cwd: process.cwd(),
    tools: ['Bash', 'Read', 'Edit'],
    model: values.model,
    permissionMode: 'acceptEdits',
    ...common(),
  });
  for (let turn = 1; turn <= turns; turn += 1) {
    const usage = {
      input_tokens: prompt,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: answer,
      service_tier: 'standard',
    };
    const message = {
      id: `msg_${turn}`,
      type: 'message',
      role: 'assistant',
      model: values.model,
      stop_reason: null,
      usage,
    };
    // One line per content block; all lines of a message repeat its id and its usage.
    emit({
      type: 'assistant',
      message: { ...message, content: [{ type: 'text', text: `Turn ${turn} of ${turns}.` }] },
      parent_tool_use_id: null,
      ...common(),
    });
    const tool = { type: 'tool_use', id: `toolu_${turn}`, name: 'Bash', input: { command: 'npm test' } };
    emit({
      type: 'assistant',
      message: { ...message, content: [tool] },
      parent_tool_use_id: null,
      ...common(),
    });
    emit({
      type: 'user',
      message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: tool.id, content: 'ok' }] },
      parent_tool_use_id: null,
      ...common(),
    });
    await delay(Number(values.pause));
  }
  const total = {
    input_tokens: prompt * turns,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: answer * turns,
  };
  emit({
    type: 'result',
    subtype: values.fail ? 'error_during_execution' : 'success',
    is_error: values.fail,
    num_turns: turns,
    result: values.fail ? 'I gave up.' : 'Done.',
    usage: total,
    ...common(),
  });
}

/** Codex tells its tokens once, at the end of the turn, and never names its model. */
async function codex() {
  emit({ type: 'thread.started', thread_id: randomUUID() });
  emit({ type: 'turn.started' });
  for (let at = 0; at < turns; at += 1) {
    const item = { id: `item_${at}`, type: 'command_execution', command: 'npm test' };
    emit({
      type: 'item.started',
      item: { ...item, aggregated_output: '', exit_code: null, status: 'in_progress' },
    });
    await delay(Number(values.pause));
    emit({
      type: 'item.completed',
      item: { ...item, aggregated_output: 'ok\n', exit_code: 0, status: 'completed' },
    });
  }
  if (values.fail) emit({ type: 'turn.failed', error: { message: 'I gave up.' } });
  else
    emit({
      type: 'turn.completed',
      usage: { input_tokens: prompt * turns, cached_input_tokens: 0, output_tokens: answer * turns },
    });
}

await (values.format === 'codex' ? codex() : claudeCode());
