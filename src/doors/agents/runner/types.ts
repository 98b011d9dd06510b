/** One operational run, as it is asked for and as it ended (contract agents §3). */
import type { RedactionRules } from '../../../policy/redaction/redaction.ts';
import type { RunMeta, RunSummary } from './artifacts.ts';
import type { Outcome } from './end.ts';
import type { SandboxWish } from './sandbox.ts';

export interface OperationalRun {
  /** See `idProblem`; it must be new below `runsDir`. */
  readonly runId: string;
  /** See `actionProblem`. */
  readonly action: string;
  /**
   * Program and arguments. A text is given to `/bin/sh -c`. A function puts what is executed into the private directory
   * that it is given, and answers with program and arguments: a skill's copy (`skill` and its digest belong to it).
   */
  readonly argv: readonly string[] | string | ((directory: string) => Promise<readonly string[]>);
  /** Absolute; absent: a fresh directory that is removed afterwards. */
  readonly cwd?: string;
  /** Milliseconds; absent: none. */
  readonly timeoutMs?: number;
  /** Of `output.raw`, and together of the files that the command leaves. */
  readonly maxOutputBytes: number;
  /** The caller's environment; the command gets PATH, HOME, LANG and TZ of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Secrets by the name of the variable in which the command gets them. Their values are masked wherever they appear. */
  readonly envRefs: Readonly<Record<string, string>>;
  /** Values of secret arguments by name: they travel as `JARVAS_ARG_<NAME>`, and never on a command line. */
  readonly secretArgs?: Readonly<Record<string, string>>;
  /** More that must not be kept, such as the tokens of the agent. */
  readonly secrets?: readonly string[];
  /** A tenant's own patterns and exceptions. */
  readonly redact?: Pick<RedactionRules, 'patterns' | 'exceptions'>;
  readonly skill?: SkillName;
  /** From 1. */
  readonly attempt?: number;
  readonly agentId?: string;
  readonly runsDir: string;
  /** Aborting stops the command; a reason SIGINT, SIGTERM or SIGHUP decides the exit code, default SIGTERM. */
  readonly signal: AbortSignal;
  /** Absent: none. */
  readonly sandbox?: SandboxWish;
}

export interface SkillName {
  readonly name: string;
  readonly version: string;
  /** `sha256:<64 hex digits>` of the package file. */
  readonly digest: string;
}

export interface RunOutcome {
  readonly exitCode: number;
  readonly outcome: Outcome;
  /** Why, when it did not simply succeed or fail; redacted. */
  readonly reason?: string;
  readonly summary: RunSummary;
  readonly meta: RunMeta;
  /** Absolute: `<runsDir>/<runId>`. */
  readonly directory: string;
}

/** Told each line that the runner itself shows (contract §3.1). */
export type OnPhase = (line: string) => void;
