/** What a policy language must do. There are two: statements (parse.ts, evaluate.ts) and Cedar (cedar.ts). */
export interface PolicyRequest {
  readonly action: string;
  /** `node_type:<id>` or `run:<id>`. */
  readonly resource: string;
  /** Everything that conditions may look at. */
  readonly context: Readonly<Record<string, unknown>>;
}

export interface Verdict {
  readonly decision: 'allow' | 'deny';
  readonly reason: 'explicit_allow' | 'explicit_deny' | 'default_deny' | 'invalid_policy';
  /** Name of the statement that decided, or what is wrong with the policy. */
  readonly message?: string;
  /** Places of the statements that decided, from 1. */
  readonly statements: readonly number[];
}

export interface PolicyEngine {
  readonly language: 'statements' | 'cedar';
  /** SHA-256 of the policy, 64 hex digits. */
  readonly hash: string;
  readonly version?: string;
  readonly size: number;
  /** Never throws: what cannot be evaluated is denied. */
  decide(request: PolicyRequest): Verdict;
}
