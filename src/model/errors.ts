/**
 * The one error table. A code is never renamed or reused; callers branch on it, never on a message.
 *
 * `status` is the HTTP status of the strict mapping, `exit` the process exit code (contract wrkr §c), `retry` whether
 * repeating the same call later can help, `hint` what a person should do next.
 */
export const ERRORS = {
  E_GENERIC_FAILURE: {
    status: 500,
    exit: 1,
    retry: false,
    hint: 'This is a defect in reeve: please report it with the command you ran.',
  },
  E_UNSUPPORTED_NODE: {
    status: 500,
    exit: 1,
    retry: false,
    hint: 'Install Node 22.13 or newer, or run through npm scripts or npx in a checkout.',
  },
  E_INVALID_INPUT_SCHEMA: {
    status: 400,
    exit: 6,
    retry: false,
    hint: 'Correct the named field or argument and run the command again.',
  },
  E_USAGE: {
    status: 400,
    exit: 2,
    retry: false,
    hint: 'Correct the named argument and run the command again; --help shows what it takes.',
  },
  E_UNSAFE_OPERATION: {
    status: 400,
    exit: 8,
    retry: false,
    hint: 'The operation was refused because it could leave the allowed area; see the details.',
  },
  E_INVALID_STATE_TRANSITION: {
    status: 409,
    exit: 1,
    retry: false,
    hint: 'Look at the status: the run is not in a state that allows this.',
  },
  E_LEASE_CONFLICT: {
    status: 409,
    exit: 1,
    retry: true,
    hint: 'Another worker holds the run: wait until it finishes or its lease ends, then try again.',
  },
  E_CHECKPOINT_APPROVAL_REQUIRED: {
    status: 428,
    exit: 4,
    retry: false,
    hint: 'Review the named checkpoint, approve it with a reason, then resume.',
  },
  E_BUDGET_EXCEEDED: {
    status: 402,
    exit: 1,
    retry: false,
    hint: 'Raise the named limit when resuming (resume --max-…, with --reason), or cancel the run.',
  },
  E_ADAPTER_FAIL: {
    status: 422,
    exit: 1,
    retry: false,
    hint: "Read the step's output, correct the cause, then resume: finished steps do not run again.",
  },
  E_AGENT_FAILED: {
    status: 422,
    exit: 1,
    retry: false,
    hint: 'The agent reported a failure although its process ended well; read its output.',
  },
  E_USAGE_INVALID: {
    status: 422,
    exit: 1,
    retry: false,
    hint: 'Make the step write a usage file of {"tool_calls","tokens","estimated_cost"} with numbers ≥ 0.',
  },
  E_UNKNOWN_PRICE: {
    status: 422,
    exit: 1,
    retry: false,
    hint: "Give the model a price in the step's usage.prices, or drop the cost limit.",
  },
  E_OUTCOME_UNKNOWN: {
    status: 409,
    exit: 1,
    retry: false,
    hint: 'Find out whether the step took effect; then resume to run it again, or resume --mark-done <step>.',
  },
  E_ENV_FINGERPRINT_MISMATCH: {
    status: 409,
    exit: 1,
    retry: false,
    hint: 'Restore the environment, or accept it with resume --force-env --reason.',
  },
  E_CONSTRAINT_VIOLATED: {
    status: 409,
    exit: 1,
    retry: false,
    hint: "Stay within the run's constraints, named in the details.",
  },
  E_STORE_CORRUPT: {
    status: 500,
    exit: 1,
    retry: false,
    hint: 'Run store check for the extent, and store repair for what can be mended without losing events.',
  },
  E_STORE_BUSY: {
    status: 503,
    exit: 1,
    retry: true,
    hint: 'Another process has been writing for too long; try again, or look for a stopped process.',
  },
  E_STORE_FULL: {
    status: 507,
    exit: 1,
    retry: true,
    hint: 'Free space on the disk of the store; nothing of this command was recorded.',
  },
  E_STORE_UNAVAILABLE: {
    status: 503,
    exit: 1,
    retry: true,
    hint: 'Check that the place that is named is there and that you may use it: a directory, or the database of a URL.',
  },
  E_STORE_NEWER: {
    status: 503,
    exit: 1,
    retry: false,
    hint: 'The store was written by a newer reeve: upgrade, or point --store elsewhere. It was not changed.',
  },
  E_LISTEN_FAILED: {
    status: 500,
    exit: 1,
    retry: true,
    hint: 'Name another address (--listen, or --host and --port), or stop the program that holds this one.',
  },
  E_TOKEN_UNAVAILABLE: {
    status: 502,
    exit: 1,
    retry: true,
    hint: 'Look at the details: check client id, secret and audience, or whether the token endpoint can be reached.',
  },
  E_SERVICE_UNAVAILABLE: {
    status: 502,
    exit: 1,
    retry: true,
    hint: 'Start the service that is named, or say where it is: --url, or the variable that the command names.',
  },
  E_SERVICE_REFUSED: {
    status: 422,
    exit: 1,
    retry: false,
    hint: "The code and message are the service's own and say why; the details hold what it told.",
  },
  E_RUN_FAILED: {
    status: 422,
    exit: 1,
    retry: false,
    hint: 'See which NodeRun failed, and why (runs tree <run>); correct the cause and start another run.',
  },
  E_RUN_CANCELED: {
    status: 409,
    exit: 1,
    retry: false,
    hint: 'Somebody ended the run before it was done; start another one if it is still wanted.',
  },
  E_RUN_NOT_KEPT: {
    status: 500,
    exit: 125,
    retry: true,
    hint: 'Make room, or name another place with --runs-dir; what the command did is done, and its files may be incomplete.',
  },
  E_SERVER_STOPPING: {
    status: 503,
    exit: 1,
    retry: true,
    hint: 'Try again once the server is back; what was recorded stays.',
  },
  E_RUN_CHANGED: {
    status: 409,
    exit: 1,
    retry: true,
    hint: 'The run changed meanwhile; repeat the command.',
  },
  E_VERIFY_HASH_MISMATCH: {
    status: 422,
    exit: 2,
    retry: false,
    hint: 'The evidence does not match its record: do not trust it, and ask for the original.',
  },
  E_ACCEPT_MISSING_ARTIFACT: {
    status: 422,
    exit: 5,
    retry: false,
    hint: 'Produce the named artifact, or correct the acceptance configuration.',
  },
  E_ACCEPT_TEST_FAIL: { status: 422, exit: 5, retry: false, hint: 'Make the acceptance command pass.' },
} as const satisfies Record<string, ErrorEntry>;

export interface ErrorEntry {
  readonly status: number;
  readonly exit: number;
  readonly retry: boolean;
  readonly hint: string;
}
export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** What went wrong, said so that a program can branch on it and a person can act on it. */
export class ReeveError extends Error {
  override readonly name = 'ReeveError';
  readonly code: ErrorCode;
  /** Ids, values and limits that belong to the failure. Never a secret. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  get hint(): string {
    return ERRORS[this.code].hint;
  }
  get exitCode(): number {
    return ERRORS[this.code].exit;
  }
}

/** A refusal of the pure core: expected, and not an exception until a shell makes it one. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Compile-time proof that a switch is complete; at run time, a defect. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected value ${JSON.stringify(value)}`);
}
