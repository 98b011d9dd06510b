/**
 * The atomic executor (contract arp §7.4): one handler for each node type id, its version ignored. A NodeRun is run once
 * (H32): asked again while it runs, the same call is joined; afterwards the same result is given, as long as it is
 * remembered. An execution belongs to nobody's connection: only a cancel, its time limit or the end of this program stop it.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { canonicalJson } from '../../../model/canonical.ts';
import { ATTEMPT_EXTENSION, type AtomicExecution } from '../ports.ts';
import { Turns } from '../turns.ts';
import { unlessAborted } from '../waiting.ts';
import { ArpError, validationFailed } from '../wire/errors.ts';
import { wireTime } from '../wire/ids.ts';
import type { AtomicExecuteRequest, AtomicExecuteResult } from '../wire/requests.ts';
import { checkInputs } from './inputs.ts';
import { Ledger, type Entry } from './ledger.ts';
import { NodeFailure, type AtomicNode, type NodeCall } from './node.ts';
import { failed, OUTPUT_BYTES_DEFAULT, stopped, succeeded, type Outcome, type StopCause } from './outcome.ts';

export interface AtomicExecutorOptions {
  /** By node type id. */
  readonly nodes: ReadonlyMap<string, AtomicNode>;
  nowMs(): number;
  /** A line for whoever runs the executor. */
  note(text: string): void;
  /** Told of a cancel of what is not known here. */
  cancelElsewhere?(nodeRunId: string): Promise<void>;
  /** Longest that a handler may take; undefined: as long as it likes. */
  readonly timeoutMs?: number;
  /** Handlers at a time; undefined: any number. */
  readonly concurrency?: number;
  /** Calls that may wait for a place. Default 1000. */
  readonly waitingMax?: number;
  /** Largest result of a handler as JSON. Default 8 MiB. */
  readonly outputBytesMax?: number;
  /** How many results are remembered, and their bytes. Default 10,000 and 64 MiB. */
  readonly remembered?: { readonly entries: number; readonly bytes: number };
  /** How long a handler that was stopped is waited for, milliseconds. Default 10,000. */
  readonly stopGraceMs?: number;
}

const WAITING_DEFAULT = 1000;
const REMEMBERED_DEFAULT = { entries: 10_000, bytes: 64 * 1_048_576 };
const STOP_GRACE_MS = 10_000;
/** What a remembered result costs beside its outputs. */
const ENTRY_BYTES = 500;
/** Longest delay of a timer. */
const TIMER_MS_MAX = 2_147_483_647;

export class AtomicExecutor implements AtomicExecution {
  readonly #options: AtomicExecutorOptions;
  readonly #ledger: Ledger;
  readonly #turns: Turns;
  #stopping = false;

  constructor(options: AtomicExecutorOptions) {
    this.#options = options;
    this.#ledger = new Ledger(options.remembered ?? REMEMBERED_DEFAULT);
    this.#turns = new Turns(options.concurrency, options.waitingMax ?? WAITING_DEFAULT);
  }

  /**
   * @param signal only ends the waiting.
   * @throws ArpError 409 `idempotency_conflict` for another request under the same id, `attempt_conflict`; 503
   * `executor_busy`, `executor_stopping`: it was not run
   */
  async execute(request: AtomicExecuteRequest, signal: AbortSignal): Promise<AtomicExecuteResult> {
    const { node_run_id: id } = request;
    const attempt = attemptOf(request);
    const fingerprint = fingerprintOf(request);
    const known = this.#ledger.find(id);
    if (known !== undefined) {
      refuseOther(known, { id, attempt, fingerprint });
      if (known.attempt === attempt) return whileWaiting(known.result, signal);
    }
    if (this.#stopping) throw notRun();
    const { promise: result, resolve, reject } = Promise.withResolvers<AtomicExecuteResult>();
    result.catch(() => undefined); // whoever asked may be gone
    const entry: Entry = { fingerprint, attempt, result, control: new AbortController() };
    this.#ledger.begin(id, entry);
    this.#settle(request, entry).then(resolve, reject);
    return whileWaiting(result, signal);
  }

  /** Holds also when it arrives before its `execute`. */
  async cancel(nodeRunId: string): Promise<void> {
    const entry = this.#ledger.find(nodeRunId);
    this.#ledger.cancel(nodeRunId);
    if (entry === undefined) await this.#options.cancelElsewhere?.(nodeRunId);
    else stop(entry, 'canceled');
  }

  /** Takes no more; what waits is refused, what runs may take `graceMs` more and is stopped then. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#turns.clear();
    const running = [...this.#ledger.underWay];
    const over = Promise.allSettled(running.map(({ result }) => result));
    await within(over, graceMs);
    for (const entry of this.#ledger.underWay) stop(entry, 'stopped');
    await over;
  }

  /** @throws ArpError when it was not run: the next request begins anew */
  async #settle(request: AtomicExecuteRequest, entry: Entry): Promise<AtomicExecuteResult> {
    try {
      const { result, bytes } = await this.#carryOut(request, entry);
      this.#ledger.end(request.node_run_id, entry, bytes);
      return result;
    } catch (error) {
      this.#ledger.drop(request.node_run_id, entry);
      throw error;
    }
  }

  /** @throws ArpError when it was not run */
  async #carryOut(request: AtomicExecuteRequest, entry: Entry): Promise<Ended> {
    const { node_run_id: id, node_type_ref: ref } = request;
    const node = this.#options.nodes.get(ref.node_type_id);
    if (this.#ledger.isCanceled(id)) return this.#ended(id, stopped('canceled', undefined));
    if (node === undefined) {
      const message = `there is no handler for ${JSON.stringify(ref.node_type_id)} here`;
      return this.#ended(id, failed('unknown_node_type', message, { retryable: false }));
    }
    const { inputs, errors } = await checkInputs(node, request.inputs);
    if (errors.length > 0) {
      const message = `the inputs do not fit the input schema of ${ref.node_type_id}`;
      return this.#ended(id, failed('invalid_inputs', message, { details: { errors }, retryable: false }));
    }
    if (this.#stopping) throw notRun();
    if (this.#turns.isFull)
      throw new ArpError(503, 'executor_busy', 'too many calls wait already', { retryable: true });
    if (!(await this.#turns.take(entry.control.signal))) {
      if (!entry.control.signal.aborted) throw notRun();
      return this.#ended(id, stopped('canceled', undefined));
    }
    try {
      const startedMs = this.#options.nowMs();
      return this.#ended(id, await this.#run(node, { ...request, inputs }, entry), startedMs);
    } finally {
      this.#turns.give();
    }
  }

  async #run(node: AtomicNode, request: AtomicExecuteRequest, entry: Entry): Promise<Outcome> {
    const { timeoutMs, stopGraceMs = STOP_GRACE_MS } = this.#options;
    const { signal } = entry.control;
    const stopping = once(signal).then(() => signal.reason as StopCause);
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => stop(entry, 'timeout'), Math.min(timeoutMs, TIMER_MS_MAX));
    const handling = this.#handle(node, request, entry);
    const first = await Promise.race([handling, stopping]);
    clearTimeout(timer);
    if (typeof first !== 'string') return first;
    // Its effects should be over when its end is told; one that does not listen is not waited for longer.
    if (first !== 'stopped') await within(handling, stopGraceMs);
    return stopped(first, timeoutMs);
  }

  /** Never rejects. */
  async #handle(node: AtomicNode, request: AtomicExecuteRequest, entry: Entry): Promise<Outcome> {
    const { outputBytesMax = OUTPUT_BYTES_DEFAULT, note } = this.#options;
    const call: NodeCall = {
      request,
      attempt: entry.attempt,
      signal: entry.control.signal,
      failure: (code, message, options) => new NodeFailure(code, message, options),
    };
    try {
      return await succeeded(await node.execute(request.inputs, call), outputBytesMax);
    } catch (error) {
      if (error instanceof NodeFailure) return failed(error.code, error.message, error.options);
      if (!call.signal.aborted) {
        const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
        note(`${node.nodeType.node_type_id} failed in ${request.node_run_id}: ${shown}`);
      }
      return failed(
        'handler_error',
        'the handler failed; the log of the executor says more under this node run',
      );
    }
  }

  /** @param startedMs undefined: the handler was never called. */
  #ended(id: string, { bytes, ...told }: Outcome, startedMs?: number): Ended {
    const endedMs = this.#options.nowMs();
    const times = { started_at: wireTime(startedMs ?? endedMs), ended_at: wireTime(endedMs) };
    return { result: { node_run_id: id, ...told, ...times }, bytes: bytes + ENTRY_BYTES };
  }
}

interface Ended {
  readonly result: AtomicExecuteResult;
  readonly bytes: number;
}

/** The first cause stands. */
function stop(entry: Entry, cause: StopCause): void {
  entry.control.abort(cause);
}

/** Which attempt at the NodeRun this is. @throws ArpError 400 */
function attemptOf({ extensions }: AtomicExecuteRequest): number {
  const given = extensions?.[ATTEMPT_EXTENSION];
  if (given === undefined) return 1;
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 1) return given;
  const loc = ['body', 'extensions', ATTEMPT_EXTENSION];
  throw validationFailed([{ type: 'attempt', loc, msg: 'must be a whole number from 1 on' }]);
}

/** Of what a NodeRun is; the rest (a trace, a context) may differ when it is asked again. @throws ArpError 400 */
function fingerprintOf({ run_id, node_type_ref: ref, inputs }: AtomicExecuteRequest): string {
  try {
    const text = canonicalJson([run_id, ref.node_type_id, ref.version, inputs]);
    return createHash('sha256').update(text).digest('base64');
  } catch {
    throw validationFailed([{ type: 'unicode', loc: ['body'], msg: 'holds what is no Unicode text' }]);
  }
}

/** @throws ArpError 409 */
function refuseOther(known: Entry, asked: { id: string; attempt: number; fingerprint: string }): void {
  const { id, attempt, fingerprint } = asked;
  const details = { node_run_id: id };
  if (known.fingerprint !== fingerprint) {
    const message = `${id} was executed with another run, node type or inputs`;
    throw new ArpError(409, 'idempotency_conflict', message, { details, retryable: false });
  }
  const isUnderWay = known.bytes === undefined;
  if (attempt < known.attempt || (attempt > known.attempt && isUnderWay)) {
    const message = `attempt ${known.attempt} at ${id} ${isUnderWay ? 'is under way' : 'came already'}`;
    throw new ArpError(409, 'attempt_conflict', message, { details: { ...details, attempt: known.attempt } });
  }
}

function notRun(): ArpError {
  return new ArpError(503, 'executor_stopping', 'the executor stops; it was not run', { retryable: true });
}

/** @throws ArpError once the signal aborts: what was begun goes on. */
async function whileWaiting<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await unlessAborted(signal, result);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new ArpError(502, 'atomic_executor_unavailable', 'nobody waits for the atomic executor any more', {
      retryable: true,
    });
  }
}

/** Waits for the signal. */
function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Waits for it, but not for ever. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  const over = new AbortController();
  await Promise.race([work, delay(ms, undefined, { signal: over.signal }).catch(() => undefined)]);
  over.abort();
}
