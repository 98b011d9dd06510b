import { ReeveError } from '../../model/errors.ts';

/** Why a command is not run (contract agents §5). */
export const REFUSAL_REASONS = [
  'not_listed',
  'digest_mismatch',
  'bad_signature',
  'expired',
  'rollback',
  'args_invalid',
  'raw_disabled',
  'needs_approval',
  'privileged',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Nothing may be executed. The message and the details hold no value of an argument: it may be a secret. */
export class Refusal extends ReeveError {
  readonly reason: RefusalReason;

  constructor(
    reason: RefusalReason,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super('E_UNSAFE_OPERATION', message, { reason, ...details }, options);
    this.reason = reason;
  }
}
