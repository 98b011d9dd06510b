import type { RecordedEvent } from '../../model/events.ts';

/** What a command printed last: at most 64 KiB of each stream, kept with the end of its attempt. */
export interface StepOutput {
  readonly step_index: number;
  readonly step_id: string;
  readonly attempt: number;
  readonly outcome: string;
  readonly exit_code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes that were printed; more than what is kept when the output was longer. */
  readonly stdout_bytes: number;
  readonly stderr_bytes: number;
}

/** Undefined for an attempt without a command. */
export function outputOf(
  { event }: RecordedEvent,
  places: ReadonlyMap<string, { readonly index: number; readonly name: string }>,
): StepOutput | undefined {
  if (event.type !== 'attempt_ended' || event.outputs === undefined) return undefined;
  const { outputs, attempt, outcome, node } = event;
  const place = places.get(node);
  const text = (key: string): string => (typeof outputs[key] === 'string' ? outputs[key] : '');
  const count = (key: string): number => (typeof outputs[key] === 'number' ? outputs[key] : 0);
  return {
    step_index: place?.index ?? 0,
    step_id: place?.name ?? node,
    attempt,
    outcome,
    exit_code: typeof outputs['exit_code'] === 'number' ? outputs['exit_code'] : null,
    stdout: text('stdout_tail'),
    stderr: text('stderr_tail'),
    stdout_bytes: count('stdout_bytes'),
    stderr_bytes: count('stderr_bytes'),
  };
}
