/** The parts of a record that change while the command runs, for watchers without a pipe. Losing a write loses nothing. */
import type { Usage } from '../../model/usage.ts';
import type { Started } from './record.ts';
import { RECORD_FILES, writeRecordFile } from './record.ts';
import type { StreamKeeper } from './stream-keeper.ts';

/** Between two writes of the tails, and of the usage. */
const TAIL_EVERY_MS = 1_000;
const USAGE_EVERY_MS = 500;

export class LiveRecord {
  readonly #record: string;
  readonly #stdout: StreamKeeper;
  readonly #stderr: StreamKeeper;
  readonly #tailTimer: NodeJS.Timeout;
  readonly #written = { stdout: 0, stderr: 0 };
  #usageTimer: NodeJS.Timeout | undefined;
  #usage: Partial<Usage> = {};
  /** All writes, one after the other. */
  #writing: Promise<void> = Promise.resolve();

  constructor(record: string, stdout: StreamKeeper, stderr: StreamKeeper) {
    this.#record = record;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#tailTimer = setInterval(() => this.#writeTails(), TAIL_EVERY_MS);
  }

  started(started: Started): void {
    this.#write(RECORD_FILES.started, JSON.stringify(started));
  }

  /** Written at once, then the newest every 500 ms. */
  usage(usage: Partial<Usage>): void {
    const first = this.#usage;
    this.#usage = usage;
    if (this.#usageTimer !== undefined) return;
    if (Object.keys(first).length === 0) this.#write(RECORD_FILES.usage, JSON.stringify(usage));
    this.#usageTimer = setTimeout(() => {
      this.#usageTimer = undefined;
      this.#write(RECORD_FILES.usage, JSON.stringify(this.#usage));
    }, USAGE_EVERY_MS);
  }

  /** @returns once no write is under way any more. */
  async close(): Promise<void> {
    clearInterval(this.#tailTimer);
    clearTimeout(this.#usageTimer);
    await this.#writing;
  }

  #writeTails(): void {
    for (const name of ['stdout', 'stderr'] as const) {
      const { tail } = name === 'stdout' ? this.#stdout : this.#stderr;
      if (tail.totalBytes === this.#written[name]) continue;
      this.#written[name] = tail.totalBytes;
      this.#write(RECORD_FILES[name], tail.bytes());
    }
  }

  #write(name: string, content: string | Uint8Array): void {
    this.#writing = this.#writing
      .then(() => writeRecordFile(this.#record, name, content, 'quick'))
      .catch(() => undefined); // a full disk shows when the end is recorded
  }
}
