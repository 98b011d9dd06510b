/**
 * People and programs that use a server which may be killed at any moment. Whoever gets no answer asks again with the
 * same key, so everything may arrive twice and must count once. Each answer is remembered: it must hold (I1).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ask, type Answer } from '../../server/client.ts';
import type { Acknowledged } from './audit.ts';
import type { Estate } from './estate.ts';
import { carrying } from './processes.ts';
import { planJob } from './workload.ts';

const ANSWER_MS = 5000;
const LOOK_MS = 150;
const NOT_OVER = ['queued', 'running', 'paused', 'blocked_decision', 'blocked_budget', 'blocked_error'];

interface Listed {
  readonly job_id: string;
  readonly status: string;
}

interface View {
  readonly status: string;
  readonly open_decisions: readonly string[];
  readonly reason_codes: readonly string[];
  readonly steps: readonly {
    index: number;
    name: string;
    state: string;
    attempts: number;
    outcome?: string;
  }[];
}

export interface ClientsOptions {
  readonly estate: Estate;
  readonly address: string;
  readonly seed: number;
  /** Jobs that are kept under way. */
  readonly load: number;
}

export class Clients {
  readonly acknowledged: Acknowledged[] = [];
  /** Requests that got no answer. */
  unanswered = 0;
  submitted = 0;
  /** Jobs that were not over at the last look; undefined before the first one. */
  open: readonly Listed[] | undefined;
  readonly #options: ClientsOptions;
  readonly #doing = new Map<string, Promise<void>>();
  readonly #calls = new AbortController();
  #isSubmitting = true;
  #isOver = false;
  #keys = 0;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /** Submits, cancels, approves and settles until it is closed. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      await this.#look();
      await delay(LOOK_MS);
    }
    this.#calls.abort();
    await Promise.allSettled(this.#doing.values());
  }

  /** No more jobs; those that are there are brought to their end. */
  enough(): void {
    this.#isSubmitting = false;
  }

  /** Whether nothing is left to be done, as of now. */
  get isDone(): boolean {
    return this.open?.length === 0 && this.#doing.size === 0;
  }

  close(): void {
    this.#isOver = true;
  }

  async #look(): Promise<void> {
    const query = NOT_OVER.map((status) => `status=${status}`).join('&');
    const answer = await this.#ask('GET', `/v1/jobs?limit=500&${query}`);
    if (answer?.status !== 200) return;
    const { jobs } = answer.json as { jobs: readonly Listed[] };
    this.open = jobs;
    const { load, seed, estate } = this.#options;
    const known = new Set([...jobs.map(({ job_id: id }) => id), ...this.#doing.keys()]);
    for (let room = load - known.size; this.#isSubmitting && room > 0; room -= 1) {
      this.submitted += 1;
      const job = planJob(seed, this.submitted, estate.ledger.script);
      this.#do(job.id, () => this.#submit(job));
    }
    for (const { job_id: id, status } of jobs)
      if (status !== 'queued' && status !== 'running') this.#do(id, () => this.#decide(id));
  }

  /** One thing at a time for each job. */
  #do(id: string, deed: () => Promise<void>): void {
    if (this.#doing.has(id)) return;
    const doing = deed()
      .catch((error: unknown) => {
        if (!this.#calls.signal.aborted) process.stderr.write(`a client failed: ${String(error)}\n`);
      })
      .finally(() => this.#doing.delete(id));
    this.#doing.set(id, doing);
  }

  async #submit({ id, spec, cancelAfterMs }: ReturnType<typeof planJob>): Promise<void> {
    const path = this.#options.estate.writeSpec(id, spec);
    const answer = await this.#insist('/v1/jobs:submit?wait=false', { jobspec_path: path, job_id: id });
    const isThere = answer.status === 400 && String(answer.json?.message).includes('exists already');
    if (answer.status === 202 || isThere) this.acknowledged.push({ what: 'submit', run: id });
    else throw new Error(`submit of ${id} was answered with ${answer.status} ${answer.text}`);
    if (cancelAfterMs === undefined) return;
    await delay(cancelAfterMs);
    const canceled = await this.#insist(`/v1/jobs/${id}:cancel`, { reason: 'not needed' });
    if (canceled.status === 200) this.acknowledged.push({ what: 'cancel', run: id });
  }

  /** What a person does about a job that waits for one. */
  async #decide(id: string): Promise<void> {
    const seen = await this.#ask('GET', `/v1/jobs/${id}`);
    if (seen?.status !== 200) return;
    const view = seen.json as View;
    for (const checkpoint of view.open_decisions) {
      const reason = `looked at it, ${(this.#keys += 1)}`;
      const answer = await this.#insist(`/v1/jobs/${id}:approve`, { checkpoint_id: checkpoint, reason });
      if (answer.status === 200) {
        const { tries } = answer;
        this.acknowledged.push({ what: 'approve', run: id, reason, tries });
      }
    }
    const done: string[] = [];
    for (const { index, name, state, outcome, attempts } of view.steps)
      if (outcome === 'unknown' && state !== 'succeeded' && view.reason_codes.includes('E_OUTCOME_UNKNOWN'))
        if (await this.#hasHappened(`${id}.${index + 1}.${attempts}`)) done.push(name);
    const reason = `the ledger has it, ${(this.#keys += 1)}`;
    const body = done.length === 0 ? {} : { mark_done: done, reason };
    // Refused while the worker that held it has not let go yet; the next look finds it again.
    const answer = await this.#ask('POST', `/v1/jobs/${id}:resume?wait=false`, body);
    if (answer?.status === 202 && done.length > 0)
      this.acknowledged.push({ what: 'mark_done', run: id, reason, steps: done.length });
  }

  /** Looks at the world, once nothing of the attempt is at work on any machine. */
  async #hasHappened(effectKey: string): Promise<boolean> {
    const { ledger } = this.#options.estate;
    for (let quiet = 0; quiet < 3; ) {
      quiet = carrying(`REEVE_EFFECT_KEY=${effectKey}\0`).length === 0 ? quiet + 1 : 0;
      await delay(100);
    }
    return ledger.has(effectKey);
  }

  /** Asks until there is an answer of somebody who could answer. */
  async #insist(path: string, body: object): Promise<Answer & { readonly tries: number }> {
    for (let tries = 1; ; tries += 1) {
      this.#calls.signal.throwIfAborted();
      const answer = await this.#ask('POST', path, body);
      const isAway = /E_STORE_(BUSY|UNAVAILABLE)/.test(String(answer?.json?.code));
      if (answer !== undefined && answer.status < 500 && !isAway) return { ...answer, tries };
      await delay(50);
    }
  }

  async #ask(method: string, path: string, body?: object): Promise<Answer | undefined> {
    const signal = AbortSignal.any([this.#calls.signal, AbortSignal.timeout(ANSWER_MS)]);
    try {
      return await ask(this.#options.address, method, path, {
        signal,
        ...(body === undefined ? {} : { body }),
      });
    } catch {
      this.unanswered += 1;
      return undefined;
    }
  }
}
