/**
 * What passes between the writer and the other processes of one store: frames of a length (4 bytes, big-endian) and
 * that many bytes of JSON. Both ends are processes of the same user; the socket lies where only that user may come.
 *
 * A request may be carried out by two parties: by the writer, or by its sender after it has given up on the writer.
 * That it is never both rests on one instant: the writer begins it only before `sentMs` + REQUEST_MS, looked at while
 * it holds the database's write lock, and the sender waits until then unless the connection ended or the writer said
 * that it will not. Both read the same clock: the monotonic one is the machine's, not the process's.
 */
import { ReeveError, isErrorCode } from '../../model/errors.ts';
import type { WriteOp, WriteResult } from './write-op.ts';

/** Raised with every change of the messages; ends that differ do not talk, and each writes for itself. */
export const PROTOCOL = 2;
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;
/** How long a writer may let others wait before they go on without it, milliseconds. */
export const REQUEST_MS = 1000;

export type ClientMessage =
  | { readonly t: 'hello'; readonly protocol: number }
  | { readonly t: 'request'; readonly id: number; readonly sentMs: number; readonly op: WriteOp }
  /** Whether it wants to hear of changes. */
  | { readonly t: 'watch'; readonly on: boolean }
  | { readonly t: 'ping' };

export type ServerMessage =
  | { readonly t: 'hello'; readonly protocol: number }
  | { readonly t: 'result'; readonly id: number; readonly result: WriteResult }
  | { readonly t: 'failed'; readonly id: number; readonly failure: Failure }
  /** Not carried out, and it will not be. */
  | { readonly t: 'void'; readonly id: number }
  | News
  | { readonly t: 'pong' };

/** Without runs: some run, unknown which. Queues, of each run in turn, as a `Change` has them; older writers name none. */
export interface News {
  readonly t: 'changed';
  readonly runs?: readonly string[];
  readonly queues?: readonly (string | null)[];
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Milliseconds of the machine's monotonic clock. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

export function encodeFrame(message: Exclude<ClientMessage, { t: 'request' }> | ServerMessage): Buffer {
  return frameOf(JSON.stringify(message));
}

/** A request; its operation is written out before, because what is too long never becomes one. */
export function encodeRequest(id: number, sentMs: number, op: string): Buffer {
  return frameOf(`{"t":"request","id":${id},"sentMs":${sentMs},"op":${op}}`);
}

function frameOf(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32BE(length, 0);
  frame.write(text, 4);
  return frame;
}

/** Puts frames together again from the pieces that a socket delivers. */
export class FrameReader<Message> {
  #pieces: Buffer[] = [];
  #length = 0;
  #needed = 4;

  /** @throws RangeError for a frame that is too long, SyntaxError for one that is no JSON: hang up. */
  push(piece: Buffer): Message[] {
    this.#pieces.push(piece);
    this.#length += piece.length;
    const messages: Message[] = [];
    while (this.#length >= this.#needed) {
      const bytes = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces, this.#length);
      const needed = 4 + bytes.readUInt32BE(0);
      if (needed - 4 > FRAME_BYTES_MAX) throw new RangeError(`a frame of ${needed - 4} bytes`);
      this.#needed = needed;
      const isWhole = bytes.length >= needed;
      const rest = isWhole ? bytes.subarray(needed) : bytes;
      if (isWhole) {
        messages.push(JSON.parse(bytes.toString('utf8', 4, needed)) as Message);
        this.#needed = 4;
      }
      this.#pieces = rest.length === 0 ? [] : [rest];
      this.#length = rest.length;
      piece = rest;
    }
    return messages;
  }
}

export function failureOf(error: unknown): Failure {
  if (error instanceof ReeveError) {
    const { code, message, details } = error;
    return { code, message, ...(details === undefined ? {} : { details }) };
  }
  return { code: 'E_GENERIC_FAILURE', message: error instanceof Error ? error.message : String(error) };
}

export function errorOf({ code, message, details }: Failure): ReeveError {
  return new ReeveError(isErrorCode(code) ? code : 'E_GENERIC_FAILURE', message, details);
}
