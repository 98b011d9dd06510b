/** The engine's supervisors: started when needed, used again, never a reason for the engine's process to stay. */
import type { ChildProcessByStdio } from 'node:child_process';
import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { LineSplitter } from './output.ts';
import { MARKER } from './processes.ts';
import type { Assignment, FromSupervisor, ToSupervisor } from './protocol.ts';
import { encodeMessage, MESSAGE_BYTES_MAX } from './protocol.ts';

/** Idle supervisors kept: 45 MB each, against 80 ms for starting one. */
const IDLE_MAX = 2;
const IDLE_MS = 60_000;

const PROGRAM = fileURLToPath(new URL(`./supervisor${extname(import.meta.url)}`, import.meta.url));

export interface SupervisorListener {
  onMessage(message: FromSupervisor): void;
  /** The supervisor ended or was killed; no message follows. */
  onGone(): void;
}

export class Supervisor {
  readonly pid: number | undefined;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  #listener: SupervisorListener | undefined;

  /** @param onGone called once, when the process is gone. */
  constructor(onGone: () => void) {
    // Not the engine's environment: it may hold secrets, and options for Node that are not meant for this process.
    // The marker stays, so that supervisors of a Reeve that itself runs under Reeve are found with their command.
    const outer = process.env[MARKER];
    this.#child = spawn(process.execPath, ['--max-semi-space-size=2', PROGRAM], {
      cwd: '/',
      detached: true,
      env: outer === undefined ? {} : { [MARKER]: outer },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.pid = this.#child.pid;
    const lines = new LineSplitter(MESSAGE_BYTES_MAX, (line) => {
      this.#listener?.onMessage(JSON.parse(line) as FromSupervisor);
    });
    this.#child.stdout.on('data', (chunk: Buffer) => lines.push(chunk));
    this.#child.stdin.on('error', () => undefined); // told by 'close'
    this.#child.on('error', () => undefined);
    this.#child.once('close', () => {
      onGone();
      this.#listener?.onGone();
      this.#listener = undefined;
    });
    this.release();
  }

  assign(assignment: Assignment, listener: SupervisorListener): void {
    this.#listener = listener;
    for (const handle of this.#handles()) handle.ref?.();
    this.send({ type: 'run', assignment });
  }

  send(message: ToSupervisor): void {
    this.#child.stdin.write(encodeMessage(message));
  }

  /** Lets the engine's process end while this supervisor lives. */
  release(): void {
    for (const handle of this.#handles()) handle.unref?.();
  }

  /** It exits, after finishing what it does. */
  end(): void {
    this.release();
    this.#child.stdin.end();
  }

  /** Pipes of a child process are sockets, which the types do not say. */
  #handles(): { ref?: () => void; unref?: () => void }[] {
    return [this.#child, this.#child.stdin as object, this.#child.stdout as object];
  }
}

export class SupervisorPool {
  readonly #all = new Set<Supervisor>();
  #idle: { readonly supervisor: Supervisor; readonly timer: NodeJS.Timeout }[] = [];

  /** The supervisor used last, whose memory is warm, or a new one. */
  acquire(): Supervisor {
    const idle = this.#idle.pop();
    clearTimeout(idle?.timer);
    if (idle !== undefined) return idle.supervisor;
    // Work side by side: another is likely to come. One after the other needs no spare, the first is used again.
    const busy = this.#all.size > 0;
    const supervisor = this.#start();
    if (busy) this.release(this.#start());
    return supervisor;
  }

  release(supervisor: Supervisor): void {
    if (!this.#all.has(supervisor)) return;
    supervisor.release();
    if (this.#idle.length >= IDLE_MAX) {
      this.#retire(supervisor);
      return;
    }
    const timer = setTimeout(() => this.#retire(supervisor), IDLE_MS).unref();
    this.#idle.push({ supervisor, timer });
  }

  /** Idle supervisors exit, busy ones when they have finished. */
  close(): void {
    for (const supervisor of this.#all) this.#retire(supervisor);
  }

  #start(): Supervisor {
    const supervisor: Supervisor = new Supervisor(() => this.#forget(supervisor));
    this.#all.add(supervisor);
    return supervisor;
  }

  #retire(supervisor: Supervisor): void {
    this.#forget(supervisor);
    supervisor.end();
  }

  #forget(supervisor: Supervisor): void {
    this.#all.delete(supervisor);
    clearTimeout(this.#idle.find((entry) => entry.supervisor === supervisor)?.timer);
    this.#idle = this.#idle.filter((entry) => entry.supervisor !== supervisor);
  }
}
