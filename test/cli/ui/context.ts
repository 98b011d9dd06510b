// A context for what only looks at its streams and its environment.
import type { CliContext } from '../../../src/cli/command.ts';

interface StreamParts {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly write?: (text: string) => boolean;
}

export function context(stream: StreamParts, more: Partial<CliContext> = {}): CliContext {
  const listening = { once: () => undefined, off: () => undefined, on: () => undefined };
  const stdout = { ...listening, ...stream } as unknown as NodeJS.WriteStream;
  return {
    program: 'reeve',
    commands: [],
    json: false,
    env: { HOME: '/home/x', NO_COLOR: '1' },
    cwd: '/',
    version: '0.0.0',
    storeRoot: '/home/x/.reeve',
    outDir: '/out',
    stdout,
    stderr: stdout,
    signal: new AbortController().signal,
    jobs: () => Promise.reject(new Error('no store here')),
    tracer: () => undefined,
    ...more,
  };
}
