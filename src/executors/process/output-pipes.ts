/**
 * The pipes of a command's output. Node gives its children socket pairs, and a socket cannot be opened again by its
 * name: `echo failed > /dev/stderr`, common in scripts, ends with ENXIO. So the command gets FIFOs, which can. Where
 * `mkfifo` is missing (an image without any tools) it gets the socket pairs after all.
 */
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { promisify } from 'node:util';

export interface OutputPipes {
  readonly stdio: StdioOptions;
  /** Call once, whether the command could be started or not: the streams end when the command's side is closed. */
  streams(child: ChildProcess | undefined): readonly Readable[];
}

/** One pipe for both streams, in which what the command writes stands as it was written. */
export function openJoinedPipe(): Promise<OutputPipes> {
  return openOutputPipes(['output']);
}

/** Has the pipes of the next command ready, since running `mkfifo` takes longer than running many a command. */
export class OutputPipeSupply {
  #next: Promise<OutputPipes> | undefined;

  /** For a moment when nobody waits. */
  prepare(): void {
    this.#next ??= openOutputPipes();
  }

  /** Waits for a `mkfifo` under way: leaving earlier would leave its FIFOs behind. */
  async close(): Promise<void> {
    await this.#next;
  }

  take(): Promise<OutputPipes> {
    const next = this.#next ?? openOutputPipes();
    this.#next = undefined;
    return next;
  }
}

/**
 * The FIFOs have a name for an instant only; after that nobody else can open them.
 * @param streams two, or one for both.
 */
async function openOutputPipes(streams = ['stdout', 'stderr']): Promise<OutputPipes> {
  const name = randomBytes(12).toString('hex');
  const paths = streams.map((stream) => join(tmpdir(), `reeve-${stream}-${name}`));
  try {
    await promisify(execFile)('mkfifo', ['-m', '600', ...paths], { env: { PATH: '/usr/bin:/bin' } });
    return fifoPipes(paths);
  } catch {
    return socketPipes(streams.length === 1);
  } finally {
    for (const path of paths) rmSync(path, { force: true });
  }
}

function fifoPipes(paths: readonly string[]): OutputPipes {
  const ends = paths.map((path) => {
    // The reader first, without waiting for a writer; then the writer does not wait either.
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    return { writer, stream: new Socket({ fd: reader, readable: true, writable: false }) };
  });
  return {
    stdio: ['ignore', ends[0]?.writer, ends.at(-1)?.writer],
    streams: () => {
      for (const end of ends) closeSync(end.writer);
      return ends.map((end) => end.stream);
    },
  };
}

/** Joined, what both streams hold stands in the order in which it was seen. */
function socketPipes(isJoined: boolean): OutputPipes {
  return {
    stdio: ['ignore', 'pipe', 'pipe'],
    streams: (child) => {
      const both = [child?.stdout, child?.stderr].filter((stream) => stream !== null && stream !== undefined);
      return isJoined ? [joined(both)] : both;
    },
  };
}

function joined(streams: readonly Readable[]): Readable {
  const all = new PassThrough();
  let open = streams.length;
  if (open === 0) all.end();
  for (const stream of streams) {
    stream.pipe(all, { end: false });
    stream.once('close', () => {
      open -= 1;
      if (open === 0) all.end();
    });
    all.once('close', () => stream.destroy());
  }
  return all;
}
