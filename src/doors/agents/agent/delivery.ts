/** Brings a finished run to the control plane: its files, then its result, each as often as it takes and once in effect (J14, J15). */
import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import { callControl, ControlRefusal, isFinal, type ControlAddress } from '../client/control-client.ts';
import type { Artifact } from '../wire/tasks.ts';
import { stopPoint } from '../../../telemetry/stop-points.ts';
import { Backoff } from './backoff.ts';
import type { Delivery, Spool } from './spool.ts';

const DAY_MS = 86_400_000;
const FIRST_MS = 1000;
const LAST_MS = 300_000;
/** Of one request of an upload, bytes: what is lost with a connection is at most that. */
const PIECE_BYTES = 8 * 1_048_576;
const PIECE_TIMEOUT_MS = 120_000;

export interface DeliveryOptions {
  readonly address: () => ControlAddress;
  readonly spool: Spool;
  note(text: string): void;
}

export type Delivered = 'delivered' | 'late' | 'refused' | 'given_up' | 'stopped';

/** Tries for a day. @returns `stopped` when the signal came first: it stays in the spool. */
export async function deliver(
  delivery: Delivery,
  options: DeliveryOptions,
  signal: AbortSignal,
): Promise<Delivered> {
  const { spool, note } = options;
  const of = `task ${delivery.taskId}, attempt ${delivery.attempt}`;
  const backoff = new Backoff(FIRST_MS, LAST_MS);
  let current = delivery;
  let isTold = false;
  while (!signal.aborted) {
    if (Date.now() - current.spooledAtMs > DAY_MS) {
      note(`${of}: the result could not be delivered for a day, and is given up`);
      await spool.remove(current);
      return 'given_up';
    }
    try {
      const answer = await bring(current, options, signal);
      if (answer === 'lost') {
        current = { ...current, isLate: true };
        await spool.put(current);
        continue;
      }
      stopPoint('agent:recorded');
      await spool.remove(current);
      return current.isLate === true ? 'late' : 'delivered';
    } catch (error) {
      if (signal.aborted) break;
      const refusal = error instanceof ControlRefusal ? error : undefined;
      if (refusal !== undefined && isFinal(refusal.status)) {
        note(`${of}: ${refusal.message}`);
        await spool.remove(current);
        return 'refused';
      }
      if (!isTold) note(`${of}: the result waits, and is tried again: ${(error as Error).message}`);
      isTold = true;
      await backoff.wait(signal, refusal?.retryAfterMs);
    }
  }
  return 'stopped';
}

/** @returns `lost`: the lease is another's; what was found can be kept beside the winner's. @throws what may pass, or is final */
async function bring(
  delivery: Delivery,
  options: DeliveryOptions,
  signal: AbortSignal,
): Promise<'brought' | 'lost'> {
  const { isLate, result } = delivery;
  try {
    for (const artifact of result.artifacts ?? []) {
      await uploadIfTaken(delivery, artifact, options, signal);
      stopPoint('agent:file');
    }
  } catch (error) {
    if (isLate === true || !isConflict(error)) throw error;
    // The lease is over: perhaps because all was brought, and only the answer was lost. The result tells which.
  }
  if (isLate === true) return 'brought';
  stopPoint('agent:uploaded');
  try {
    await sendResult(delivery, options.address(), signal);
    return 'brought';
  } catch (error) {
    if (isConflict(error)) return 'lost';
    throw error;
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ControlRefusal && error.status === 409;
}

/** The same result again is answered as the first time. */
async function sendResult(
  { taskId, attempt, result }: Delivery,
  address: ControlAddress,
  signal: AbortSignal,
) {
  await callControl(address, {
    method: 'POST',
    path: `/tasks/${taskId}/result`,
    json: result,
    key: `${taskId}-${attempt}-result`,
    signal,
  });
}

/** A file that the control plane does not take, such as one that is too large, keeps nothing else from it. */
async function uploadIfTaken(
  delivery: Delivery,
  artifact: Artifact,
  { address, note }: DeliveryOptions,
  signal: AbortSignal,
): Promise<void> {
  try {
    await upload(delivery, artifact, address(), signal);
  } catch (error) {
    const isRefused = error instanceof ControlRefusal && isFinal(error.status);
    if (!isRefused || (error.status === 409 && error.wireCode === 'lease_lost')) throw error;
    note(`task ${delivery.taskId}: ${artifact.path} is not taken: ${error.message}`);
  }
}

async function upload(
  { runId, attempt, directory, result, isLate }: Delivery,
  { path, size, sha256 }: Artifact,
  address: ControlAddress,
  signal: AbortSignal,
): Promise<void> {
  const aside = `${directory}.attempt-${attempt}`;
  const root = (await stat(aside).catch(() => undefined)) === undefined ? directory : aside;
  const file = join(root, path);
  const found = await stat(file).catch(() => undefined);
  // It was there when the run ended; nobody can bring what is gone, and the rest still counts.
  if (found?.size !== size) return;
  const place = isLate === true ? `attempts/${attempt}/${path}` : path;
  const target = `/runs/${runId}/files/${place.split('/').map(encodeURIComponent).join('/')}`;
  const headers = {
    'x-lease-id': result.lease_id,
    digest: `sha-256=${Buffer.from(sha256, 'hex').toString('base64')}`,
    'content-type': 'application/octet-stream',
  };
  const put = async (
    range: string | undefined,
    length: number,
    body: Uint8Array | ReadStream,
  ): Promise<number> => {
    const answer = await callControl(address, {
      method: 'PUT',
      path: target,
      signal,
      timeoutMs: PIECE_TIMEOUT_MS,
      headers: {
        ...headers,
        'content-length': String(length),
        ...(range === undefined ? {} : { 'content-range': `bytes ${range}/${size}` }),
      },
      body,
    });
    // Without an offset all of it is there: brought now, or before an answer was lost.
    return Number(answer.headers['upload-offset'] ?? size);
  };
  if (size <= PIECE_BYTES) {
    await put(undefined, size, size === 0 ? new Uint8Array() : createReadStream(file));
    return;
  }
  const began = await put('*', 0, new Uint8Array());
  for (let from = began >= 0 ? began : 0; from < size; ) {
    const to = Math.min(size, from + PIECE_BYTES) - 1;
    const held = await put(`${from}-${to}`, to - from + 1, createReadStream(file, { start: from, end: to }));
    if (!(held > from))
      throw new ReeveError('E_SERVICE_UNAVAILABLE', `${path}: the control plane keeps no more of it`);
    from = held;
  }
}
