/** A command is data: help, parsing, completion and `--explain` derive from it; only `run` does something. */
import type { ErrorCode, ReeveError } from '../model/errors.ts';
import type { Jobs } from '../doors/jobs/jobs.ts';
import type { PostgresAddress } from '../store/store-address.ts';
import type { Meter } from '../telemetry/meter.ts';
import type { Tracer } from '../telemetry/tracer.ts';

export type Program = 'reeve' | 'wrkr';

/** What a command may use of the world. */
export interface CliContext {
  readonly program: Program;
  readonly commands: readonly CommandSpec[];
  readonly json: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly version: string;
  /** The store's directory; of a store in PostgreSQL what belongs to this machine. */
  readonly storeRoot: string;
  readonly postgres?: PostgresAddress;
  readonly outDir: string;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Aborted by the first SIGINT or SIGTERM: stop soon and tidily. Who never asks for it is ended at once. */
  readonly signal: AbortSignal;
  /** Opens the store on first use; closed by `main`. With `create: false` an absent store is not made. */
  jobs(options?: JobsOptions): Promise<Jobs>;
  /** Where spans go, if the environment says so (`OTEL_…`); stopped by `main`. @param service its name, by default the program's. */
  tracer(service?: string): Tracer | undefined;
}

export interface JobsOptions {
  readonly create?: boolean;
  /** Whoever serves waits for a database server that is still starting, up to 30 s, and says so. */
  readonly waits?: boolean;
  /** Is fed with what engine and store do. */
  readonly meter?: Meter | undefined;
  /** Takes what is to be said; default: stderr. */
  readonly note?: (text: string) => void;
}

export interface FlagSpec {
  readonly kind: 'text' | 'count' | 'amount' | 'switch';
  /** May be given several times; the values are a list. */
  readonly repeated?: true;
  /** Word for the value in help. */
  readonly value?: string;
  readonly help: string;
}

export interface ArgumentSpec {
  readonly name: string;
  readonly required: boolean;
  /** Only the last one: it takes all words that are left. */
  readonly repeated?: true;
  readonly help: string;
}

export interface RestSpec {
  readonly name: string;
  readonly help: string;
  readonly optional?: true;
  /** `--json` is not taken out of it. */
  readonly asIs?: true;
}

/** Commands that belong together, under a heading of the command map. */
export interface CommandTopic {
  readonly title: string;
  readonly commands: readonly CommandSpec[];
}

export interface CommandSpec {
  /** One or two words: `['checkpoint', 'list']`. */
  readonly path: readonly string[];
  /** One line for the command map. */
  readonly summary: string;
  /** What `--explain` says: a clause without a subject. */
  readonly intent: string;
  readonly args: readonly ArgumentSpec[];
  /** Takes everything after `--`, as it is. */
  readonly rest?: RestSpec;
  /** What wrong arguments are called, where a contract gives them an exit code of their own; default E_INVALID_INPUT_SCHEMA. */
  readonly usageError?: ErrorCode;
  readonly flags: Readonly<Record<string, FlagSpec>>;
  /** Full command lines, without the program's name. */
  readonly examples: readonly string[];
  readonly load: () => Promise<CommandHandler>;
}

export type CommandHandler = (ctx: CliContext, input: CommandInput) => Promise<CommandResult>;

export interface CommandInput {
  readonly args: readonly string[];
  readonly rest: readonly string[];
  readonly flags: Flags;
}

/** Typed access to parsed flags; a name that the command does not have is a defect. */
export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }
  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
  /** A whole or decimal number, already checked. */
  number(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : Number(text);
  }
  on(name: string): boolean {
    return this.#values.has(name);
  }
}

export interface CommandResult {
  /** What `--json` prints. Undefined: the command has written its own output. */
  readonly json?: unknown;
  /** What a person sees, line by line. */
  readonly text?: readonly string[];
  /** Printed after the result; its code decides the exit code. */
  readonly error?: ReeveError;
  readonly exitCode?: number;
}
