// What `claude -p --output-format stream-json --verbose` says about its use. What its lines do, and what follows:
//
// - One line per content block. The lines of one message repeat its id and its usage, and `output_tokens` may be a
//   small stand-in until the last of them. C1: a message counts once, with the largest value of each field.
// - Messages of sub-agents have their own ids and models. C2: each message is priced by its own model.
// - `result.usage` leaves sub-agents out; `result.modelUsage` and `total_cost_usd` hold everything the process has
//   used so far, calls that never appear as messages included. C3: these two settle the session's account.
// - A process may end several turns and print a `result` after each, the totals running on. C4: the account is raised
//   to a total, never added to. After that, new messages add again.
// - C5: no total ever falls, since it was charged while the agent ran. A `result` below the estimate (its price table
//   is the agent's own, and a failed start reports zero) leaves the estimate standing.
// - A failed result may call itself `"subtype":"success"` while `is_error` is true. C6: both are read; the last
//   result decides.
// - A process that resumes a session may report the totals of the whole session, earlier processes included. The
//   stream does not tell; such a session is charged for its history. Start a new session for each attempt.
// - Not seen until the result: fast-mode surcharges and web searches.
import type { UsageReport, UsageSource } from '../usage-source.ts';
import {
  Accounts,
  countOf,
  fieldsOf,
  listOf,
  parseEvent,
  Recent,
  sumOf,
  textOf,
  type Fields,
} from './event-fields.ts';
import {
  costOf,
  findPrice,
  unknownPrice,
  type ModelPrice,
  type PriceTable,
  type TokenCounts,
} from './prices.ts';

const AGENT = 'claude-code';

/** Writing for an hour costs 2 × input where writing for five minutes costs 1.25 ×. */
const HOUR_WRITE_FACTOR = 2 / 1.25;

interface MessageUse extends TokenCounts {
  /** The part of `cacheWrite` that is kept for an hour. */
  readonly hourWrite: number;
}

interface Charge {
  readonly use: MessageUse;
  readonly tokens: number;
  readonly micros: number;
}

interface OpenMessage {
  readonly id: string;
  readonly model: string | undefined;
}

const NO_USE: MessageUse = { input: 0, output: 0, cacheWrite: 0, cacheRead: 0, hourWrite: 0 };

export class ClaudeCodeUsage implements UsageSource {
  readonly #prices: PriceTable;
  readonly #requirePrices: boolean;
  readonly #sessions = new Accounts();
  readonly #charges = new Recent<Charge>();
  readonly #calls = new Recent<true>();
  /** The message being streamed, by session and sub-agent; only with --include-partial-messages. */
  readonly #open = new Recent<OpenMessage>(100);
  #toolCalls = 0;
  #model: string | undefined;
  #sessionId: string | undefined;
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
      case 'system':
        if (event['subtype'] === 'init') this.#init(event);
        return;
      case 'assistant':
        this.#message(event, fieldsOf(event['message']));
        return;
      case 'stream_event':
        this.#partial(event, fieldsOf(event['event']));
        return;
      case 'result':
        this.#result(event);
        return;
      default:
        return;
    }
  }

  report(): UsageReport {
    return {
      ...this.#sessions.totals(),
      toolCalls: this.#toolCalls,
      ...(this.#model !== undefined && { model: this.#model }),
      ...(this.#sessionId !== undefined && { sessionId: this.#sessionId }),
      ...(this.#agentError !== undefined && { agentError: this.#agentError }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  #init(event: Fields): void {
    this.#model = textOf(event['model']) ?? this.#model;
    this.#sessionId = textOf(event['session_id']) ?? this.#sessionId;
  }

  #message(event: Fields, message: Fields): void {
    const model = textOf(message['model']);
    // A message that the agent made up itself, to show an API error, is "<synthetic>" and used nothing.
    if (this.#model === undefined && model !== '<synthetic>') this.#model = model;
    this.#sessionId ??= textOf(event['session_id']);
    for (const block of listOf(message['content'])) this.#block(fieldsOf(block));
    this.#charge(event, textOf(message['id']) ?? textOf(event['uuid']), model, message['usage']);
  }

  #partial(event: Fields, part: Fields): void {
    const place = `${textOf(event['session_id']) ?? ''} ${textOf(event['parent_tool_use_id']) ?? ''}`;
    if (part['type'] === 'message_start') {
      const message = fieldsOf(part['message']);
      const id = textOf(message['id']);
      if (id === undefined) return;
      this.#open.set(place, { id, model: textOf(message['model']) });
      this.#message(event, message);
    } else if (part['type'] === 'content_block_start') {
      this.#block(fieldsOf(part['content_block']));
    } else if (part['type'] === 'message_delta') {
      const message = this.#open.get(place);
      if (message !== undefined) this.#charge(event, message.id, message.model, part['usage']);
    }
  }

  #block(block: Fields): void {
    // tool_use, and server_tool_use or mcp_tool_use, which the provider runs.
    if (textOf(block['type'])?.endsWith('tool_use') !== true) return;
    const id = textOf(block['id']);
    if (id !== undefined && this.#calls.isNew(id, true)) this.#toolCalls += 1;
  }

  #charge(event: Fields, id: string | undefined, model: string | undefined, usage: unknown): void {
    const known = id === undefined ? undefined : this.#charges.get(id);
    const use = largest(known?.use ?? NO_USE, useOf(fieldsOf(usage))); // C1
    const tokens = totalOf(use);
    if (tokens === 0) return;

    const price = findPrice(model, this.#prices); // C2
    if (price === undefined && this.#requirePrices) this.#problem ??= unknownPrice(AGENT, model);
    const micros = price === undefined ? 0 : estimate(use, price);
    const before = known ?? { tokens: 0, micros: 0 };
    this.#sessions.add(sessionOf(event), tokens - before.tokens, micros - before.micros);
    if (id !== undefined) this.#charges.set(id, { use, tokens, micros: Math.max(before.micros, micros) });
  }

  #result(event: Fields): void {
    this.#sessionId = textOf(event['session_id']) ?? this.#sessionId;
    const models = Object.values(fieldsOf(event['modelUsage']));
    const tokens = Math.max(
      totalOf(useOf(fieldsOf(event['usage']))),
      sumOf(models.map((model) => totalOf(modelUseOf(fieldsOf(model))))),
    );
    this.#sessions.raiseTo(sessionOf(event), tokens, microsOf(event['total_cost_usd'])); // C3, C4, C5
    this.#agentError = errorOf(event); // C6
  }
}

const sessionOf = (event: Fields): string => textOf(event['session_id']) ?? '';

function useOf(usage: Fields): MessageUse {
  const cacheWrite = countOf(usage['cache_creation_input_tokens']);
  return {
    input: countOf(usage['input_tokens']),
    output: countOf(usage['output_tokens']),
    cacheWrite,
    cacheRead: countOf(usage['cache_read_input_tokens']),
    hourWrite: Math.min(cacheWrite, countOf(fieldsOf(usage['cache_creation'])['ephemeral_1h_input_tokens'])),
  };
}

function modelUseOf(usage: Fields): MessageUse {
  return {
    input: countOf(usage['inputTokens']),
    output: countOf(usage['outputTokens']),
    cacheWrite: countOf(usage['cacheCreationInputTokens']),
    cacheRead: countOf(usage['cacheReadInputTokens']),
    hourWrite: 0,
  };
}

function largest(a: MessageUse, b: MessageUse): MessageUse {
  return {
    input: Math.max(a.input, b.input),
    output: Math.max(a.output, b.output),
    cacheWrite: Math.max(a.cacheWrite, b.cacheWrite),
    cacheRead: Math.max(a.cacheRead, b.cacheRead),
    hourWrite: Math.max(a.hourWrite, b.hourWrite),
  };
}

const promptOf = (use: MessageUse): number => sumOf([use.input, use.cacheWrite, use.cacheRead]);
const totalOf = (use: MessageUse): number => sumOf([promptOf(use), use.output]);

function estimate(use: MessageUse, price: ModelPrice): number {
  const long = price.longPrompt;
  const rates = long !== undefined && promptOf(use) > long.overTokens ? long : price;
  return costOf(use, rates) + use.hourWrite * rates.cacheWrite * (HOUR_WRITE_FACTOR - 1);
}

function microsOf(dollars: unknown): number {
  return typeof dollars === 'number' && dollars > 0 ? Math.min(dollars * 1e6, Number.MAX_SAFE_INTEGER) : 0;
}

function errorOf(result: Fields): string | undefined {
  const subtype = textOf(result['subtype']) ?? '';
  const failed = result['is_error'] === true || subtype.startsWith('error');
  if (!failed) return undefined;
  const kind = subtype === 'success' ? '' : subtype;
  const errors = listOf(result['errors']).slice(0, 10);
  const details = errors.map((error) => textOf(error, 1000)).filter((error) => error !== undefined);
  const detail = details.join('; ') || textOf(result['result'], 1000);
  const parts = [kind, detail ?? ''].filter((part) => part !== '');
  return parts.join(': ').slice(0, 1000) || 'the agent reported an error without saying which';
}
