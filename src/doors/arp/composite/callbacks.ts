/** Finds the coordinator of an assignment over HTTP, and proves to it who asks (contract arp §5.2, H3). */
import { ReeveError } from '../../../model/errors.ts';
import { baseUrlOf } from '../clients/http-client.ts';
import { coordinatorClient } from '../clients/coordinator-client.ts';
import type { CompositeCallbacks } from '../ports.ts';
import { ArpError, validationFailed } from '../wire/errors.ts';

export interface CallbackOptions {
  /** A token of our own, for assignments that bring none. Undefined: they are reported without one. */
  token?(): Promise<string | undefined>;
  /** The only place that gets a token of our own: a begin names any. As `baseUrlOf` gives it; undefined: everywhere. */
  readonly coordinatorUrl?: string;
}

/** @throws ArpError 400 the endpoint is no http URL; 403 `forbidden`: it would get a token that is not for it */
export function callbacksTo(
  endpoint: string,
  assignmentToken: string | undefined,
  { token, coordinatorUrl }: CallbackOptions,
): CompositeCallbacks {
  const baseUrl = baseOf(endpoint);
  if (assignmentToken !== undefined)
    return coordinatorClient({ baseUrl, token: async () => assignmentToken });
  if (token === undefined) return coordinatorClient({ baseUrl });
  if (coordinatorUrl !== undefined && baseUrl !== coordinatorUrl)
    throw new ArpError(
      403,
      'forbidden',
      'a coordinator that is not configured must send an assignment_token',
      {
        details: { coordinator_endpoint: baseUrl },
      },
    );
  return coordinatorClient({ baseUrl, token });
}

function baseOf(endpoint: string): string {
  try {
    return baseUrlOf(endpoint, 'coordinator_endpoint');
  } catch (error) {
    if (!(error instanceof ReeveError)) throw error;
    throw validationFailed([
      { type: 'uri', loc: ['body', 'coordinator_endpoint'], msg: 'must be an http or https URL' },
    ]);
  }
}
