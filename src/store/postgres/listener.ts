/**
 * Hears of commits of other processes (LISTEN) and tells them of ours (NOTIFY). A message says only that something
 * changed. It is sent after the commit, not with it: a transaction that notifies commits alone on its server. What is
 * lost with a connection or a killed process is made good by looking every second.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Connections } from './connections.ts';

/** Behind the token: nothing of what was committed offers work. Who does not know the word looks all the same. */
const NO_WORK = ' no work';
/** A message is not worth a sync, which the next commit would wait for: the server keeps none over its own end. */
const ANNOUNCE = "select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
/** Commits within this time are told together, milliseconds. */
const GATHER_MS = 5;
/** Pauses between two tries to listen again, milliseconds: doubled from the first up to the last. */
const RETRY_MS = { first: 50, last: 5000 } as const;

export class Listener {
  readonly #connections: Connections;
  readonly #pollMs: number;
  readonly #onNews: (queue?: null) => void;
  readonly #channel: string;
  /** Tells our own messages apart. */
  readonly #token = randomUUID();
  #stop: AbortController | undefined;
  #listening: Promise<void> = Promise.resolve();
  #announcing: Promise<void> | undefined;
  /** What is to be announced offers work. */
  #offers = false;

  constructor(connections: Connections, pollMs: number, onNews: (queue?: null) => void) {
    this.#connections = connections;
    this.#pollMs = pollMs;
    this.#onNews = onNews;
    this.#channel = `reeve_${connections.address.schema}`;
  }

  /** Listens until `stop`. */
  start(): void {
    if (this.#stop !== undefined) return;
    const stop = new AbortController();
    this.#stop = stop;
    const poll = setInterval(() => this.#onNews(), this.#pollMs);
    poll.unref();
    stop.signal.addEventListener('abort', () => clearInterval(poll), { once: true });
    this.#listening = Promise.all([this.#listening, this.#keepListening(stop.signal)]).then(() => undefined);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = undefined;
  }

  /** Tells the other processes, soon; also whether there is work for them in it. */
  announce(offers: boolean): void {
    this.#offers ||= offers;
    this.#announcing ??= delay(GATHER_MS)
      .then(() => {
        this.#announcing = undefined;
        const payload = this.#offers ? this.#token : `${this.#token}${NO_WORK}`;
        this.#offers = false;
        return this.#connections.use(
          (session) => session.prepared('announce', ANNOUNCE, [this.#channel, payload]),
          { busyMs: 0 },
        );
      })
      .then(
        () => undefined,
        () => undefined, // they look by themselves
      );
  }

  /** After what is to be announced is announced. */
  async close(): Promise<void> {
    this.stop();
    await this.#announcing;
    await this.#listening;
  }

  async #keepListening(signal: AbortSignal): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (
      let pauseMs: number = RETRY_MS.first;
      !signal.aborted;
      pauseMs = Math.min(pauseMs * 2, RETRY_MS.last)
    ) {
      const client = this.#connections.single();
      const ended = new Promise<void>((resolve) => {
        client.once('end', resolve);
        client.once('error', () => resolve());
      });
      try {
        await this.#listen(client);
        pauseMs = RETRY_MS.first;
        this.#onNews(); // something may have happened before we heard
        await Promise.race([ended, stopped]);
      } catch {
        // Whoever reads or writes is told what is wrong.
      }
      await client.end().catch(() => undefined);
      if (!signal.aborted) await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #listen(client: pg.Client): Promise<void> {
    client.on('notification', ({ payload = '' }) => {
      if (payload.startsWith(this.#token)) return;
      if (payload.endsWith(NO_WORK)) this.#onNews(null);
      else this.#onNews();
    });
    await client.connect();
    await client.query(`listen "${this.#channel}"`);
  }
}
