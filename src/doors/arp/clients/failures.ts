/** How a call of one service to another fails (contract arp §2), whatever came of it. */
import { TokenFailure } from '../../../policy/auth/token-source.ts';
import { ERROR_ENVELOPE, type ErrorEnvelope } from '../wire/common.ts';
import { ArpError } from '../wire/errors.ts';
import { answerAs } from '../wire/validate.ts';
import type { Answered } from '../../exchange.ts';

interface Named {
  /** Of the service, in codes. */
  readonly name: string;
  /** One of the internal stores: other implementations have a form of their own for failures. */
  readonly isStore?: boolean;
}

/** Nobody answered, or not as a service of ARP does. On the wire it is 502 `<service>_unavailable`. */
export class Unavailable extends ArpError {
  /** Such as `ECONNREFUSED`, or what is wrong with the answer. */
  readonly reason: string;
  /** Status of an answer that could not be read; undefined: there was none. */
  readonly answered: number | undefined;

  /** @param reason as `reasonOf` gives it, or what is wrong with the answer. */
  constructor({ name }: Named, reason: string, retryable: boolean, answered?: number) {
    const code = `${name}_unavailable`;
    super(502, code, `the ${name.replaceAll('_', ' ')} cannot be asked: ${reason}`, { retryable });
    this.reason = reason;
    this.answered = answered;
  }

  /** Whether the service may have got the request, and done what it asks for. */
  get mayHaveArrived(): boolean {
    return !NEVER_CONNECTED.has(this.reason);
  }
}

const NEVER_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

export function unavailable(service: Named, reason: string, retryable = true): Unavailable {
  return new Unavailable(service, reason, retryable);
}

/** @throws ArpError with the token service's status */
export async function tokenFor(service: {
  token?(): Promise<string | undefined>;
}): Promise<string | undefined> {
  try {
    return await service.token?.();
  } catch (error) {
    if (!(error instanceof TokenFailure)) throw error;
    const { status, reason, message } = error;
    throw new ArpError(status, reason, message, { retryable: status >= 500 });
  }
}

/** The failure that an answer with another status than 2xx tells. */
export async function failureIn(service: Named, { status, text }: Answered): Promise<ArpError> {
  const { value, wrong } = await answerAs(ERROR_ENVELOPE, parsed(text));
  if (wrong !== undefined) {
    if (service.isStore === true) return storeSaid(service, status, value);
    return new Unavailable(service, `it answered ${status}`, status >= 500, status);
  }
  return passedOn(value as ErrorEnvelope, status);
}

function passedOn({ error }: ErrorEnvelope, status: number): ArpError {
  const {
    code,
    message,
    details,
    retryable = status === 502 || status === 503 || status === 504,
    cause,
  } = error;
  return new ArpError(status, code, message, {
    retryable,
    ...(details === undefined ? {} : { details }),
    ...(cause === undefined ? {} : { behind: cause }),
  });
}

/** A failure in the manner of the stores of others. */
function storeSaid({ name }: Named, status: number, value: unknown): ArpError {
  const { detail = `it answered ${status}` } = (value ?? {}) as { readonly detail?: unknown };
  const message = typeof detail === 'string' ? detail : JSON.stringify(detail);
  return new ArpError(status, `${name}_error`, message.slice(0, 1000), {
    retryable: status >= 500 && status !== 507,
  });
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a person can act on. */
export function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return error.message;
  if ((error as Error).name === 'TimeoutError') return 'it did not answer in time';
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : 'the connection failed';
}
