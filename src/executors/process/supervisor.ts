/**
 * A supervisor: a process of its own, in a session of its own, that carries out one attempt after another and
 * survives the engine that started it. It is told what to do on stdin and tells what happens on stdout (protocol.ts).
 *
 * When stdin ends, the engine died or closed: an idle supervisor exits, a busy one finishes and records first.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Attempt } from './attempt.ts';
import { LineSplitter } from './output.ts';
import { OutputPipeSupply } from './output-pipes.ts';
import type { Assignment, FromSupervisor, ToSupervisor } from './protocol.ts';
import { encodeMessage, MESSAGE_BYTES_MAX } from './protocol.ts';
import { RECORD_FILES } from './record.ts';

/** An engine that stopped reading misses reports of usage rather than filling this process's memory. */
const UNREAD_BYTES_MAX = 1024 * 1024;

const pipes = new OutputPipeSupply();
pipes.prepare();

let busy: { readonly effectKey: string; readonly record: string; readonly attempt: Attempt } | undefined;
let leaving = false;

async function leaveWhenIdle(): Promise<void> {
  leaving = true;
  if (busy === undefined) await pipes.close();
  if (busy === undefined) process.exit(0);
}

function tell(message: FromSupervisor): void {
  if (message.type === 'usage' && process.stdout.writableLength > UNREAD_BYTES_MAX) return;
  process.stdout.write(encodeMessage(message));
}

async function run(assignment: Assignment): Promise<void> {
  const { effectKey, record } = assignment;
  const attempt = new Attempt(assignment, pipes, tell);
  busy = { effectKey, record, attempt };
  // A claim that stays without a record is told from a running one by this process being gone: if this fails, it ends.
  await attempt.run();
  busy = undefined;
  if (leaving) process.exit(0);
  pipes.prepare();
}

function onMessage(line: string): void {
  const message = JSON.parse(line) as ToSupervisor;
  if (message.type === 'run') {
    if (busy !== undefined)
      throw new Error(`${message.assignment.effectKey} assigned during ${busy.effectKey}`);
    void run(message.assignment);
  } else if (message.effectKey === busy?.effectKey) {
    busy.attempt.stop(message.reason);
  }
}

/** A bug of ours: the command is killed and the attempt's fate becomes unknown, with this reason beside it. */
function onFault(error: unknown): void {
  if (busy !== undefined) {
    busy.attempt.abandon();
    try {
      writeFileSync(join(busy.record, RECORD_FILES.fault), String(error), { mode: 0o600 });
    } catch {}
  }
  process.exit(70);
}

process.on('uncaughtException', onFault);
process.on('unhandledRejection', onFault);
process.on('SIGUSR2', () => void busy?.attempt.stopAsRecorded());
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(name, () => {
    busy?.attempt.stop('interrupted');
    void leaveWhenIdle();
  });
}
process.stdout.on('error', () => undefined); // the engine is gone; what it should know stands in the record

const messages = new LineSplitter(MESSAGE_BYTES_MAX, onMessage);
process.stdin.on('data', (chunk: Buffer) => messages.push(chunk));
process.stdin.on('end', () => void leaveWhenIdle());
process.stdin.on('error', () => void leaveWhenIdle());
