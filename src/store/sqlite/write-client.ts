/** The side of those who are not the writer: hands operations over and says for each what became of it. */
import { createConnection, type Socket } from 'node:net';
import {
  encodeFrame,
  encodeRequest,
  errorOf,
  FRAME_BYTES_MAX,
  FrameReader,
  monotonicMs,
  PROTOCOL,
  REQUEST_MS,
  type ClientMessage,
  type News,
  type ServerMessage,
} from './wire.ts';
import type { WriteOp, WriteResult } from './write-op.ts';

/** Most requests, and bytes of them, that are on their way at once. The others wait here. */
const OUTSTANDING_MAX = 64;
const OUTSTANDING_BYTES_MAX = FRAME_BYTES_MAX;
/** Timers may be early and the writer needs an instant to look: nobody goes on before this has passed as well. */
const MARGIN_MS = 10;

/** What a request adds to its operation, at most. */
const HEADER_BYTES_MAX = 128;

/** No answer to a request. `sent`: the writer may have carried it out, but it will not any more. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
  readonly sent: boolean;
  /** What there is to do: ask the next writer, or write without one. */
  readonly next: 'ask' | 'write';

  constructor(sent: boolean, next: 'ask' | 'write') {
    super('the writer did not answer');
    this.sent = sent;
    this.next = next;
  }
}

interface Outstanding {
  /** The operation as JSON. */
  readonly text: string;
  readonly bytes: number;
  readonly resolve: (result: WriteResult) => void;
  readonly reject: (error: Error) => void;
  timer: NodeJS.Timeout | undefined;
}

export interface WriteClientOptions {
  readonly onChanged: (news: News) => void;
  /** Called once, when nothing can be asked any more; `silent`: the writer is there and does not answer. */
  readonly onGone: (why: 'closed' | 'silent') => void;
}

export class WriteClient {
  readonly #socket: Socket;
  readonly #options: WriteClientOptions;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #waiting: Outstanding[] = [];
  #bytes = 0;
  #lastId = 0;
  #state: 'greeting' | 'open' | 'gone' = 'greeting';
  #heartbeat: NodeJS.Timeout | undefined;
  #pinged = false;
  #onHello: (() => void) | undefined;
  /** Resolves when the writer has greeted: true, or false when there is none or it speaks otherwise. */
  readonly ready: Promise<boolean>;

  constructor(path: string, options: WriteClientOptions) {
    this.#options = options;
    this.#socket = createConnection(path);
    this.ready = new Promise((resolve) => {
      this.#onHello = () => resolve(true);
      this.#socket.once('close', () => resolve(false));
    });
    const reader = new FrameReader<ServerMessage>();
    this.#socket.on('data', (piece: Buffer) => {
      try {
        for (const message of reader.push(piece)) this.#hear(message);
      } catch {
        this.#socket.destroy();
      }
    });
    let isTheirs = false;
    this.#socket.on('end', () => {
      isTheirs = true;
      this.#socket.destroy();
    });
    this.#socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      isTheirs ||= code === 'EPIPE' || code === 'ECONNRESET';
    });
    // When it was us who hung up, what is outstanding may still be carried out.
    this.#socket.on('close', () => this.#leave(isTheirs ? 'closed' : 'silent'));
    this.#socket.unref(); // a process may end while it is connected, but not while it waits for an answer
    this.#send({ t: 'hello', protocol: PROTOCOL });
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** @throws Unanswered; ReeveError as the writer's store said. */
  request(op: WriteOp): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      if (this.#state !== 'open') {
        reject(new Unanswered(false, 'ask'));
        return;
      }
      const text = JSON.stringify(op);
      const bytes = Buffer.byteLength(text);
      if (bytes + HEADER_BYTES_MAX > FRAME_BYTES_MAX) {
        reject(new Unanswered(false, 'write'));
        return;
      }
      this.#waiting.push({ text, bytes, resolve, reject, timer: undefined });
      this.#pump();
    });
  }

  /** Asks to be told of changes, or not. While it watches, it also notices a writer that has fallen silent. */
  watch(isOn: boolean): void {
    if (isOn === (this.#heartbeat !== undefined) || this.#state === 'gone') return;
    this.#send({ t: 'watch', on: isOn });
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
    this.#pinged = false;
    if (!isOn) return;
    this.#heartbeat = setInterval(() => {
      if (this.#pinged) this.#fallSilent();
      else this.#send({ t: 'ping' });
      this.#pinged = true;
    }, REQUEST_MS);
    this.#heartbeat.unref();
  }

  /** Nothing should be outstanding any more: it would stay unanswered. */
  close(): void {
    this.#fallSilent();
  }

  #pump(): void {
    while (this.#waiting.length > 0) {
      const [next] = this.#waiting;
      const isFull =
        this.#outstanding.size >= OUTSTANDING_MAX ||
        (this.#outstanding.size > 0 && this.#bytes + (next?.bytes ?? 0) > OUTSTANDING_BYTES_MAX);
      if (next === undefined || isFull) break;
      this.#waiting.shift();
      const id = (this.#lastId += 1);
      this.#outstanding.set(id, next);
      this.#bytes += next.bytes;
      this.#socket.write(encodeRequest(id, monotonicMs(), next.text));
      next.timer = setTimeout(() => this.#giveUp(id), REQUEST_MS + MARGIN_MS);
      this.#socket.ref();
    }
  }

  #hear(message: ServerMessage): void {
    this.#pinged = false;
    switch (message.t) {
      case 'hello':
        if (message.protocol !== PROTOCOL) {
          this.#socket.destroy();
          return;
        }
        if (this.#state === 'greeting') this.#state = 'open';
        this.#onHello?.();
        return;
      case 'result':
        this.#take(message.id)?.resolve(message.result);
        return;
      case 'failed':
        this.#take(message.id)?.reject(errorOf(message.failure));
        return;
      case 'void':
        this.#take(message.id)?.reject(new Unanswered(true, 'write'));
        return;
      case 'changed':
        this.#options.onChanged(message);
        return;
      case 'pong':
        return;
      default:
        throw new TypeError('not a message of this protocol');
    }
  }

  #take(id: number): Outstanding | undefined {
    const taken = this.#outstanding.get(id);
    if (taken === undefined) return undefined;
    this.#outstanding.delete(id);
    this.#bytes -= taken.bytes;
    clearTimeout(taken.timer);
    if (this.#outstanding.size === 0) this.#socket.unref();
    this.#pump();
    return taken;
  }

  /** From now on the request is ours again. The others wait for their own instant: they are still the writer's. */
  #giveUp(id: number): void {
    const late = this.#outstanding.get(id);
    this.#outstanding.delete(id);
    late?.reject(new Unanswered(true, 'write'));
    this.#fallSilent();
  }

  #fallSilent(): void {
    this.#leave('silent');
    this.#socket.destroy();
  }

  #leave(why: 'closed' | 'silent'): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    clearInterval(this.#heartbeat);
    for (const { reject } of this.#waiting.splice(0)) reject(new Unanswered(false, 'ask'));
    if (why === 'closed') {
      // The writer hung up or is dead: it carries out nothing more of what it has not answered.
      for (const { reject, timer } of this.#outstanding.values()) {
        clearTimeout(timer);
        reject(new Unanswered(true, 'ask'));
      }
      this.#outstanding.clear();
    }
    this.#options.onGone(why);
  }

  #send(message: Exclude<ClientMessage, { t: 'request' }>): void {
    if (this.#state !== 'gone') this.#socket.write(encodeFrame(message));
  }
}
