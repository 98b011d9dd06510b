/** Many agents as far as the wire is concerned: they poll, begin, and report; and an operator who creates tasks. */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** Registrations that are under way at a time. */
const AT_ONCE = 32;
/** For what is on its way when nothing new is asked for, milliseconds. */
const REST_MS = 5000;
const TICK_MS = 5;

interface Load {
  /** From the request that creates a task, and from the answer to it, until an agent has it; milliseconds, sorted. */
  readonly asked: readonly number[];
  readonly accepted: readonly number[];
  /** Results that were recorded. */
  readonly done: number;
}

interface Task {
  readonly task_id: string;
  readonly lease_id: string;
}

export class FleetClient {
  readonly #at: { readonly host: string; readonly port: number };
  readonly #operator: string;
  readonly #enrolment: string;
  readonly #connections = new Agent({ keepAlive: true, maxSockets: Infinity });
  readonly #handedAt = new Map<string, number>();
  #done = 0;
  #isClosed = false;

  constructor(address: string, operator: string, enrolment: string) {
    const { hostname: host, port } = new URL(`http://${address}`);
    this.#at = { host, port: Number(port) };
    this.#operator = operator;
    this.#enrolment = enrolment;
  }

  send(method: string, path: string, token: string, body?: unknown): Promise<unknown> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const sent = request({
        ...this.#at,
        method,
        path,
        agent: this.#connections,
        headers: {
          authorization: `Bearer ${token}`,
          ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      });
      sent.on('error', reject);
      sent.on('response', (answer) => {
        let said = '';
        answer.setEncoding('utf8').on('data', (piece: string) => (said += piece));
        answer.on('error', reject);
        answer.on('end', () => {
          const { statusCode = 0 } = answer;
          if (statusCode >= 300) reject(new Error(`${method} ${path}: ${statusCode} ${said}`));
          else resolve(said === '' ? undefined : JSON.parse(said));
        });
      });
      sent.end(text);
    });
  }

  /** Registers so many agents; they poll from then on. */
  async enrol(count: number): Promise<void> {
    let next = 0;
    const register = async (): Promise<void> => {
      while (next < count) {
        next += 1;
        const about = { agent_id: `agent-${next}` };
        const reply = (await this.send('POST', '/register', this.#enrolment, about)) as {
          agent_token: string;
        };
        void this.#work(reply.agent_token);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, register));
  }

  /** So many tasks a second, whatever becomes of them. */
  async load(rate: number, seconds: number, task: object): Promise<Load> {
    this.#handedAt.clear();
    this.#done = 0;
    const created: Promise<readonly [string, number, number] | undefined>[] = [];
    const fromMs = performance.now();
    while (performance.now() - fromMs < seconds * 1000) {
      const due = Math.floor(((performance.now() - fromMs) / 1000) * rate);
      while (created.length < due) created.push(this.#create(task));
      await delay(TICK_MS);
    }
    const { length: asked } = created;
    const giveUpMs = performance.now() + REST_MS;
    while (this.#done < asked && performance.now() < giveUpMs) await delay(TICK_MS);
    const waits = (await Promise.all(created)).filter((one) => one !== undefined);
    const since = (at: 1 | 2): readonly number[] =>
      waits
        .map((one) => Math.max(0, (this.#handedAt.get(one[0]) ?? performance.now()) - one[at]))
        .toSorted((a, b) => a - b);
    return { asked: since(1), accepted: since(2), done: this.#done };
  }

  close(): void {
    this.#isClosed = true;
    this.#connections.destroy();
  }

  async #create(task: object): Promise<readonly [string, number, number] | undefined> {
    const askedMs = performance.now();
    try {
      const { task_id: id } = (await this.send('POST', '/tasks', this.#operator, task)) as Task;
      return [id, askedMs, performance.now()];
    } catch (error) {
      process.stderr.write(`${String(error)}\n`);
      return undefined;
    }
  }

  async #work(token: string): Promise<void> {
    while (!this.#isClosed) {
      try {
        const { task } = (await this.send('GET', '/task?wait=30', token)) as { task: Task | null };
        if (task === null) continue;
        this.#handedAt.set(task.task_id, performance.now());
        const about = { lease_id: task.lease_id };
        const path = `/tasks/${task.task_id}`;
        const end = { outcome: 'succeeded', exit_code: 0, summary: {}, artifacts: [] };
        await this.send('POST', `${path}/start`, token, about);
        await this.send('POST', `${path}/result`, token, { ...about, ...end });
        this.#done += 1;
      } catch (error) {
        if (this.#isClosed) return;
        process.stderr.write(`${String(error)}\n`);
        await delay(1000);
      }
    }
  }
}
