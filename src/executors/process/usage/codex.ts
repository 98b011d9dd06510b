// What `codex exec --json` says about its use. What its lines do, and what follows:
//
// - Tokens come once, at the end of a turn, and are the thread's running total. X1: a thread's account is raised to
//   the total, never added to; a script that runs codex twice has two threads, and those add up. X2: a budget for
//   tokens or cost cannot stop codex within a turn; one for tool calls or time can.
// - `input_tokens` includes what was read from the cache and what was written to it; `output_tokens` includes
//   reasoning. X3: tokens = input + output, and the cached parts are taken out of the input before pricing.
// - The model is never named (the older form names it). X4: the job names it, or prices `*`; with neither, a budget
//   for cost stops the attempt at the thread's first event, before anything is spent.
// - Items are named item_0, item_1 … anew in each process, and some tools appear only when completed. X5: an item
//   counts at its first event, by its id within the process.
// - `error` is printed for every lost connection that codex then repairs. X6: a later turn.completed withdraws it, and
//   "Reconnecting…" is not one; turn.failed stands.
// - A failed or interrupted turn reports no tokens, and spawned agents' tokens are not in the totals: both go
//   unseen. A resumed thread reports its whole history and is charged for it; start a new thread for each attempt.
// - Dearer rates for very long prompts are not estimated, since totals do not show how long a prompt was.
import type { UsageReport, UsageSource } from '../usage-source.ts';
import {
  Accounts,
  countOf,
  fieldsOf,
  parseEvent,
  Recent,
  sumOf,
  textOf,
  type Fields,
} from './event-fields.ts';
import { costOf, findPrice, unknownPrice, type PriceTable } from './prices.ts';

const AGENT = 'codex';

/** Items that are work on something outside the model. `mcp_tool_call`, `collab_tool_call` and their like end in `_tool_call`. */
const TOOL_ITEMS: ReadonlySet<string> = new Set(['command_execution', 'file_change', 'web_search']);

/** The same in the form before September 2025: `{"id":…,"msg":{"type":…,"call_id":…}}`. */
const TOOL_MESSAGES: ReadonlySet<string> = new Set([
  'exec_command_begin',
  'mcp_tool_call_begin',
  'patch_apply_begin',
  'web_search_begin',
]);

export class CodexUsage implements UsageSource {
  readonly #prices: PriceTable;
  readonly #requirePrices: boolean;
  readonly #threads = new Accounts();
  readonly #calls = new Recent<true>();
  /** Processes seen in the stream: item ids are unique within one. */
  #processes = 0;
  #toolCalls = 0;
  #model: string | undefined;
  #threadId: string | undefined;
  #agentError: string | undefined;
  #problem: UsageReport['problem'];

  constructor(prices: PriceTable, requirePrices: boolean, model: string | undefined) {
    this.#prices = prices;
    this.#requirePrices = requirePrices;
    this.#model = model;
  }

  line(text: string): void {
    const event = parseEvent(text);
    if (event === undefined) return;
    switch (event['type']) {
      case 'thread.started':
        this.#started(textOf(event['thread_id']));
        return;
      case 'turn.started':
        this.#requirePrice();
        return;
      case 'item.started':
      case 'item.updated':
      case 'item.completed':
        this.#item(fieldsOf(event['item']));
        return;
      case 'turn.completed':
        this.#use(fieldsOf(event['usage']));
        this.#agentError = undefined;
        return;
      case 'turn.failed':
        this.#agentError = messageOf(fieldsOf(event['error'])) ?? 'the turn failed without saying why';
        return;
      case 'error':
        this.#error(messageOf(event));
        return;
      case undefined:
        this.#older(fieldsOf(event['msg']));
        return;
      default:
        return;
    }
  }

  report(): UsageReport {
    return {
      ...this.#threads.totals(),
      toolCalls: this.#toolCalls,
      ...(this.#model !== undefined && { model: this.#model }),
      ...(this.#threadId !== undefined && { sessionId: this.#threadId }),
      ...(this.#agentError !== undefined && { agentError: this.#agentError }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  #started(threadId: string | undefined): void {
    this.#processes += 1;
    this.#threadId = threadId ?? this.#threadId;
    this.#requirePrice();
  }

  #item(item: Fields): void {
    const type = textOf(item['type']) ?? '';
    if (TOOL_ITEMS.has(type) || type.endsWith('_tool_call')) this.#call(textOf(item['id']));
  }

  #call(id: string | undefined): void {
    if (id !== undefined && this.#calls.isNew(`${this.#processes} ${id}`, true)) this.#toolCalls += 1; // X5
  }

  #use(usage: Fields): void {
    const all = countOf(usage['input_tokens']);
    const cacheRead = Math.min(all, countOf(usage['cached_input_tokens']));
    const cacheWrite = Math.min(all - cacheRead, countOf(usage['cache_write_input_tokens']));
    const output = countOf(usage['output_tokens']);
    const tokens = sumOf([all, output]); // X3
    if (tokens === 0) return;

    const price = this.#requirePrice();
    const counts = { input: all - cacheRead - cacheWrite, output, cacheWrite, cacheRead };
    this.#threads.raiseTo(this.#threadId ?? '', tokens, price === undefined ? 0 : costOf(counts, price)); // X1
  }

  #requirePrice(): ReturnType<typeof findPrice> {
    const price = findPrice(this.#model, this.#prices);
    if (price === undefined && this.#requirePrices) this.#problem ??= unknownPrice(AGENT, this.#model); // X4
    return price;
  }

  #error(message: string | undefined): void {
    if (message === undefined || message.startsWith('Reconnecting')) return; // X6
    this.#agentError = message;
  }

  #older(message: Fields): void {
    const type = textOf(message['type']) ?? '';
    if (type === 'session_configured') {
      this.#model = textOf(message['model']) ?? this.#model;
      this.#started(textOf(message['session_id']));
    } else if (type === 'token_count') {
      const info = fieldsOf(message['info']);
      // The totals were in the message itself at first, then below `info`, which may be null.
      this.#use('total_token_usage' in info ? fieldsOf(info['total_token_usage']) : message);
    } else if (TOOL_MESSAGES.has(type)) {
      this.#call(textOf(message['call_id']));
    } else if (type === 'error') {
      this.#error(messageOf(message));
    } else if (type === 'task_complete') {
      this.#agentError = undefined;
    } else if (type === 'turn_aborted') {
      this.#agentError = `the turn was aborted: ${textOf(message['reason']) ?? 'no reason given'}`;
    }
  }
}

const messageOf = (error: Fields): string | undefined => textOf(error['message'], 1000);
