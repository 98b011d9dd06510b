/** Arguments and flags that several commands share. */
import type { FlagSpec } from '../../command.ts';

export const job = { name: 'job', required: true, help: 'Job id' } as const;
export const packArg = { name: 'job|path', required: true, help: 'Job id, or file of a jobpack' } as const;
export const outDir: FlagSpec = { kind: 'text', value: 'dir', help: 'Where results go' };
export const noVerify: FlagSpec = { kind: 'switch', help: 'Do not verify first' };
export const reason: FlagSpec = { kind: 'text', help: 'Why; kept on record' };
export const by: FlagSpec = {
  kind: 'text',
  value: 'name',
  help: 'Who decides (default REEVE_APPROVED_BY, WRKR_APPROVED_BY, USER)',
};
export const redact: FlagSpec = {
  kind: 'text',
  repeated: true,
  value: 'regex',
  help: 'Do not keep what matches, beside known secrets',
};
export const jobId: FlagSpec = {
  kind: 'text',
  value: 'id',
  help: 'Id of the job; it is normalised and must be new',
};
export const limits: Readonly<Record<string, FlagSpec>> = {
  'max-wall-time-seconds': { kind: 'count', help: 'Limit of running time, seconds (0: none)' },
  'max-retries': { kind: 'count', help: 'Limit of step restarts (0: none)' },
  'max-step-count': { kind: 'count', help: 'Limit of steps (0: none)' },
  'max-tool-calls': { kind: 'count', help: 'Limit of tool calls (0: none)' },
};
export const agentLimits: Readonly<Record<string, FlagSpec>> = {
  'max-tokens': { kind: 'count', help: 'Limit of model tokens (0: none)' },
  'max-estimated-cost': {
    kind: 'amount',
    value: 'dollars',
    help: 'Limit of estimated cost, dollars (0: none)',
  },
};
/** Of everything that listens. */
export const tlsFlags: Readonly<Record<string, FlagSpec>> = {
  'tls-cert': { kind: 'text', value: 'file', help: 'Serve HTTPS with this certificate (PEM)' },
  'tls-key': { kind: 'text', value: 'file', help: 'Its private key (PEM)' },
  'client-ca': {
    kind: 'text',
    value: 'file',
    help: 'Let in only clients with a certificate of these authorities (PEM)',
  },
};
export const serveFlags: Readonly<Record<string, FlagSpec>> = {
  'serve-listen': { kind: 'text', value: 'host:port', help: 'Where a server would listen' },
  'serve-allow-non-loopback': { kind: 'switch', help: 'A server may be reachable from other machines' },
  'serve-auth-token': { kind: 'text', value: 'token', help: 'Token that a server would ask for' },
  'serve-max-body-bytes': { kind: 'count', help: 'Largest request body of a server' },
};
export const sign: FlagSpec = { kind: 'switch', help: 'Sign it, with --key or the configured key' };
export const key: FlagSpec = {
  kind: 'text',
  value: 'file',
  help: 'Private key to sign with (default REEVE_SIGNING_KEY, REEVE_SIGNING_KEY_PATH)',
};
/** What is asked about who signed a pack. */
export const signatureFlags: Readonly<Record<string, FlagSpec>> = {
  'public-key': {
    kind: 'text',
    repeated: true,
    value: 'file',
    help: 'A public key that has to have signed the pack, if it is signed',
  },
  trust: {
    kind: 'text',
    value: 'file',
    help: 'Whose keys are known; one of them has to have signed the pack, if it is signed',
  },
  'require-signature': { kind: 'switch', help: 'The pack has to be signed' },
  'require-signed-approvals': { kind: 'switch', help: 'Every approval has to be signed by a known key' },
  signature: { kind: 'text', value: 'file', help: 'Where the signatures are (default <pack>.sig.json)' },
};

/** What every server takes. */
export const telemetryFlags: Readonly<Record<string, FlagSpec>> = {
  log: { kind: 'switch', help: 'Write JSON lines to stderr, one for each request; see LOG_LEVEL' },
  metrics: { kind: 'switch', help: 'Give metrics for Prometheus at /metrics, to who may ask' },
  'metrics-open': { kind: 'switch', help: 'Give them to anybody who reaches the server, without a token' },
};
