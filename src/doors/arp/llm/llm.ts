/** A language model that answers with documents (contract arp §7.3). Nothing of ARP needs one: without it there are fixed rules. */
import { ReeveError } from '../../../model/errors.ts';

export interface StructuredRequest {
  /** What the model is for, the same for every request of a kind. */
  readonly system: string;
  readonly prompt: string;
  /** Names the schema to the provider: letters, digits, `_` and `-`, at most 64. */
  readonly name: string;
  /** JSON Schema of the document, an object. */
  readonly schema: object;
  /** Aborts the request; what is thrown then is its reason. */
  readonly signal?: AbortSignal;
}

export interface Llm {
  /** Who speaks: `openai`, `anthropic`, `openai-compatible`, `dev-mock`. */
  readonly provider: string;
  readonly model: string;
  /** A document that fits the schema. @throws LlmError */
  structured(request: StructuredRequest): Promise<unknown>;
}

export type LlmErrorCode =
  | 'auth'
  | 'rate_limit'
  | 'timeout'
  | 'unavailable'
  | 'invalid_request'
  | 'parse_error';

const RETRYABLE: ReadonlySet<LlmErrorCode> = new Set(['rate_limit', 'timeout', 'unavailable', 'parse_error']);

/** There is no document. The message holds nothing that identifies us to the provider (I9). */
export class LlmError extends ReeveError {
  readonly llmCode: LlmErrorCode;
  /** Whether the same request can work later. */
  readonly retryable: boolean;

  constructor(llmCode: LlmErrorCode, message: string) {
    super('E_ADAPTER_FAIL', message, { reason: llmCode });
    this.llmCode = llmCode;
    this.retryable = RETRYABLE.has(llmCode);
  }
}
