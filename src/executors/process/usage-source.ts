/** A reader of an agent's own event stream: it learns tokens, cost and tool calls as lines pass. */
export interface UsageSource {
  /** One line of standard output, without its newline. Lines that are not events are ignored. */
  line(text: string): void;
  /** What the stream has reported so far. Cost in millionths of a dollar. */
  report(): UsageReport;
}

export interface UsageReport {
  readonly tokens: number;
  readonly toolCalls: number;
  readonly costMicros: number;
  readonly model?: string;
  readonly sessionId?: string;
  /** Set when the stream says that the agent itself failed, whatever its exit code. */
  readonly agentError?: string;
  /** Set when usage cannot be priced: the attempt must stop, since a budget that counts it as free would lie. */
  readonly problem?: { readonly code: 'E_UNKNOWN_PRICE'; readonly message: string };
}
