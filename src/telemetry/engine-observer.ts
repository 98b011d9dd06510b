/** What an engine lets others see of its commands, in types that need nothing of the model. */
export interface ObservedEvent {
  readonly atMs: number;
  readonly event: {
    readonly type: string;
    readonly node?: string;
    readonly attempt?: number;
    readonly outcome?: string;
    readonly executor?: string | null;
    readonly effectKey?: string;
    readonly lease?: object;
    readonly error?: { readonly code: string };
    readonly to?: { readonly phase: string };
  };
}

interface ObservedAttempt {
  readonly attempt: number;
  readonly executor: string | null;
  readonly effectKey: string;
  readonly startedAtMs: number;
}

/** The run after the command. It moves on: read at once. */
export interface ObservedRun {
  readonly id: string;
  readonly startedAtMs: number;
  readonly spec: { readonly name: string; readonly labels: Readonly<Record<string, unknown>> };
  readonly live: { keys(): Iterable<string> };
  readonly nodes: { get(id: string): { readonly live?: ObservedAttempt } | undefined };
}

/** Told after the fact; must not throw. */
export interface EngineObserver {
  /** The events of a command are durable. */
  recorded(command: string, events: readonly ObservedEvent[], run: ObservedRun): void;
  /** A command that the rules do not allow as the run stands. */
  refused(command: string): void;
}
