/**
 * What an atomic node is to its executor: a type, and what carries it out. Built-in nodes, plugins (docs/arp-nodes.md), tools
 * of MCP servers and commands are all this.
 */
import type { RESOURCE_REF } from '../wire/common.ts';
import type { NodeType } from '../wire/core.ts';
import type { AtomicExecuteRequest } from '../wire/requests.ts';
import type { TypeOf } from '../../wire-schema.ts';

export interface AtomicNode {
  readonly nodeType: NodeType;
  /** Inputs are not held to the input schema: the node takes whatever comes. */
  readonly takesAnything?: true;
  /**
   * Runs one NodeRun to its end. Stops soon once `call.signal` aborts; what comes after that does not count.
   * @param inputs fit the type's input schema.
   * @throws NodeFailure what the caller is told; anything else is told as `handler_error`, without a word of it
   */
  execute(inputs: Readonly<Record<string, unknown>>, call: NodeCall): Promise<NodeOutput>;
}

export interface NodeOutput {
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly output_artifacts?: readonly TypeOf<typeof RESOURCE_REF>[];
}

/** The request, and what belongs to this execution of it. */
export interface NodeCall {
  readonly request: AtomicExecuteRequest;
  /** 1, or as the request says: a NodeRun that is tried again has a higher one. */
  readonly attempt: number;
  /** Aborts when the NodeRun is canceled, has taken too long, or the executor stops. */
  readonly signal: AbortSignal;
  /** For `throw call.failure('rate_limited', 'Try again later.', { retryable: true })`. */
  failure(code: string, message: string, options?: NodeFailureOptions): NodeFailure;
}

export interface NodeFailureOptions {
  readonly details?: Readonly<Record<string, unknown>>;
  /** Whether the same call may work later; the coordinator then tries it again. */
  readonly retryable?: boolean;
}

const CODE = /^[a-z][a-z0-9_]{0,63}$/;

/** A failure that the caller is told word by word: `code` in lower case with underscores. */
export class NodeFailure extends Error {
  override readonly name = 'NodeFailure';
  readonly code: string;
  readonly options: NodeFailureOptions;

  /** @throws TypeError for a code that is none */
  constructor(code: string, message: string, options: NodeFailureOptions = {}) {
    if (!CODE.test(code)) throw new TypeError(`${JSON.stringify(code)} is no code: expected ${CODE.source}`);
    super(message);
    this.code = code;
    this.options = options;
  }
}
