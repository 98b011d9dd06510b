/** The control plane of polling agents. */
import type { CommandSpec, FlagSpec } from '../../command.ts';
import { telemetryFlags, tlsFlags } from './shared.ts';

/** Of whatever serves it. */
export const controlPlaneFlags: Readonly<Record<string, FlagSpec>> = {
  tokens: {
    kind: 'text',
    value: 'file',
    help: 'Hashes of the tokens of operators and for enrolment: docs/agents.md (default JARVAS_TOKENS_FILE)',
  },
  artifacts: {
    kind: 'text',
    value: 'place',
    help: 'Where files of runs are kept: a directory, or s3://bucket/prefix?endpoint=… (default REEVE_BLOBS_URL, else the store)',
  },
  'trust-keys': {
    kind: 'text',
    repeated: true,
    value: 'file',
    help: 'Whose signatures make an allow-list: a trust file or a public key (default JARVAS_TRUST_KEYS)',
  },
};

/** Of whatever asks it. */
export const controlFlags: Readonly<Record<string, FlagSpec>> = {
  url: {
    kind: 'text',
    value: 'url',
    help: 'Control plane (default CONTROL_URL, http://localhost:5000)',
  },
  'token-file': {
    kind: 'text',
    value: 'file',
    help: 'File with an operator token (default JARVAS_OPERATOR_TOKEN_FILE, JARVAS_OPERATOR_TOKEN)',
  },
  ca: {
    kind: 'text',
    value: 'file',
    help: 'Certificates to trust instead of those of the machine, PEM (default JARVAS_TLS_CA)',
  },
};

export const CONTROL_PLANE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['serve', 'control-plane'],
    summary: 'Serve the control plane of polling agents',
    intent:
      'serves tasks to agents that ask for them, keeps what they report, and on a signal stops; tasks and leases stay',
    args: [],
    flags: {
      host: { kind: 'text', value: 'host', help: 'Where to listen (default 127.0.0.1)' },
      port: { kind: 'count', help: 'Port (default 5000); 0: any free one' },
      'allow-non-loopback': { kind: 'switch', help: 'Let other machines reach it; needs tokens' },
      'allow-host': {
        kind: 'text',
        repeated: true,
        value: 'name',
        help: 'A name by which requests may address it, as behind a proxy',
      },
      ...controlPlaneFlags,
      ...tlsFlags,
      ...telemetryFlags,
    },
    examples: [
      'serve control-plane --trust-keys trust.json',
      'serve control-plane --host 0.0.0.0 --allow-non-loopback --allow-host control.example.com --tokens tokens.json --tls-cert cert.pem --tls-key key.pem',
    ],
    load: async () => (await import('../serve-control-plane.ts')).serveControlPlane,
  },
  {
    path: ['audit', 'verify'],
    summary: 'Verify an exported audit chain',
    intent: 'reads JSON lines of an audit chain and tells whether any was changed, removed or moved',
    args: [{ name: 'file', required: true, help: 'JSON lines, as GET /audit gives them' }],
    flags: {
      head: {
        kind: 'text',
        value: 'hash',
        help: 'The chain must end with this hash: without it nobody can tell whether its end was cut off',
      },
      after: {
        kind: 'text',
        value: 'seq:hash',
        help: 'The line before the first one, of an export that does not begin at the start',
      },
    },
    examples: ['audit verify audit.jsonl', 'audit verify audit.jsonl --head 5f3a…'],
    load: async () => (await import('../audit-verify.ts')).auditVerify,
  },
];
