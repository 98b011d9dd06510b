/** Who asks, as far as a request proves it. */
export interface Principal {
  /** `token`: proved by a verified token. `anonymous`: none was given, and none is needed. `disabled`: nothing is checked. */
  readonly via: 'token' | 'anonymous' | 'disabled';
  /** The token's `sub`, at most 255 characters; undefined for a token without one. */
  readonly subject: string | undefined;
  /** All that the token says; empty without one. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** What the token says in the claim that names tenants; undefined when it says nothing. */
  readonly tenant: string | undefined;
  /** The token as it came: for an exchange, never for a log (I9). */
  readonly token: string | undefined;
  /** The only run that it opens, where it was given out for work on one. */
  readonly run?: string;
}
