/** What an agent fetches and keeps: the allow-list by its ETag, packages by their digest. It believes neither. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeTextAtomically, writeFileAtomically } from '../../../evidence/output-file.ts';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import { begin } from '../../exchange.ts';
import { callControl, ControlRefusal, isFinal, type ControlAddress } from '../client/control-client.ts';
import { PACKAGE_BYTES_MAX } from '../skills/read-package.ts';
import { Backoff } from './backoff.ts';
import type { StateDir } from './state-dir.ts';

const TIMEOUT_MS = 60_000;
const LIST_TIMEOUT_MS = 10_000;
const FIRST_MS = 1000;
const LAST_MS = 30_000;

/** The allow-list as the control plane has it now, kept as it came. Whether it is good is found out when it is used. */
export class AllowListFile {
  readonly #state: StateDir;
  #etag: string | undefined;

  constructor(state: StateDir) {
    this.#state = state;
  }

  /** @throws ControlRefusal, ReeveError E_SERVICE_UNAVAILABLE: what is here stays */
  async refresh(address: ControlAddress, signal: AbortSignal): Promise<void> {
    const headers = this.#etag === undefined ? {} : { 'if-none-match': this.#etag };
    try {
      const answer = await callControl(address, {
        method: 'GET',
        path: '/allowlist',
        headers,
        signal,
        timeoutMs: LIST_TIMEOUT_MS,
      });
      if (answer.status === 304) return;
      await writeTextAtomically(this.#state.allowListPath, answer.text);
      this.#etag = answer.headers.etag;
    } catch (error) {
      // None was published: whatever is asked for is not listed.
      if (!(error instanceof ControlRefusal) || error.status !== 404) throw error;
    }
  }
}

/**
 * A skill's package, of which at most one copy is kept for each digest. Asks until somebody answers.
 * @param skill with the digest that the task says, `sha256:<64 hex digits>`; the agent's own list decides about it afterwards.
 * @throws Refusal not_listed: the control plane has no such package. The signal's reason
 */
export async function packageBytes(
  state: StateDir,
  address: ControlAddress,
  skill: { readonly name: string; readonly version: string; readonly digest: string },
  signal: AbortSignal,
): Promise<Buffer> {
  const hex = skill.digest.replace(/^sha256:/, '');
  const path = join(state.packages, `${hex}.tar.gz`);
  const kept = await readFile(path).catch(() => undefined);
  if (kept !== undefined && hexOf(kept) === hex) return kept;
  const bytes = await persist(() => download(address, skill, signal), signal);
  // What does not fit is not kept; the judgement about it is made elsewhere, with its reason. Nor is what finds no room.
  if (hexOf(bytes) === hex)
    await writeFileAtomically(path, (sink) => sink.write(bytes)).catch(() => undefined);
  return bytes;
}

/** The approval of a task that is to act. Asks until somebody answers. @returns undefined where nobody has left one */
export async function approvalBytes(
  taskId: string,
  address: ControlAddress,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  return persist(async () => {
    try {
      const { text } = await callControl(address, {
        method: 'GET',
        path: `/tasks/${taskId}/approval`,
        signal,
      });
      return Buffer.from(text);
    } catch (error) {
      if (error instanceof ControlRefusal && isFinal(error.status)) return undefined;
      throw error;
    }
  }, signal);
}

/** Again and again, until it is answered or refused. @throws Refusal; the signal's reason */
async function persist<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const backoff = new Backoff(FIRST_MS, LAST_MS);
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof Refusal) throw error;
    }
    await backoff.wait(signal);
    signal.throwIfAborted();
  }
}

/** @throws Refusal not_listed; anything else may pass */
async function download(
  { baseUrl, token, tls }: ControlAddress,
  { name, version }: { readonly name: string; readonly version: string },
  signal: AbortSignal,
): Promise<Buffer> {
  const answer = await begin(`${baseUrl}/skills/${encodeURIComponent(name)}/${encodeURIComponent(version)}`, {
    method: 'GET',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(tls === undefined ? {} : { tls }),
  });
  const { statusCode: status = 0 } = answer;
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > PACKAGE_BYTES_MAX) break;
    pieces.push(piece);
  }
  if (status !== 200 && !isFinal(status)) throw new Error(`${status}`);
  if (status !== 200 || size > PACKAGE_BYTES_MAX)
    throw new Refusal('not_listed', `the control plane has no package ${name} ${version} (${status})`);
  return Buffer.concat(pieces);
}

function hexOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
