/** Jobs over HTTP. */
import type { CommandSpec } from '../../command.ts';
import { outDir, telemetryFlags, tlsFlags } from './shared.ts';

export const SERVE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['serve'],
    summary: 'Serve jobs over HTTP',
    intent:
      'listens for HTTP requests, runs the jobs of the queue, and on a signal hands back what is unfinished and stops',
    args: [],
    flags: {
      listen: {
        kind: 'text',
        value: 'host:port',
        help: 'Where to listen (default 127.0.0.1:9488); port 0: any free one',
      },
      'allow-non-loopback': {
        kind: 'switch',
        help: 'Let other machines reach it; needs a token and a body limit',
      },
      'auth-token-file': {
        kind: 'text',
        value: 'file',
        help: 'File with the token that requests must carry',
      },
      'auth-token': {
        kind: 'text',
        value: 'token',
        help: 'That token itself; every user of this machine can read it in the process list',
      },
      auth: {
        kind: 'text',
        value: 'kind',
        help: 'token (default): those given here; jwt: tokens of an issuer, by the variables ARP_AUTH_…',
      },
      approvers: {
        kind: 'text',
        value: 'file',
        help: 'Whose token is whose: who decides is known then, and not declared',
      },
      'max-body-bytes': { kind: 'count', help: 'Largest request body, bytes (default 1048576)' },
      'allow-host': {
        kind: 'text',
        repeated: true,
        value: 'name',
        help: 'A name by which requests may address it, as behind a proxy',
      },
      concurrency: { kind: 'count', help: 'Jobs at a time, 0..256 (default 4); 0 leaves them to `work`' },
      'strict-status': { kind: 'switch', help: 'Answer errors with the HTTP status of the error table' },
      'progress-limit': {
        kind: 'count',
        value: 'seconds',
        help: 'How long work may wait before /readyz says degraded (default 60)',
      },
      ...tlsFlags,
      ...telemetryFlags,
      'print-openapi': { kind: 'switch', help: 'Print the OpenAPI document and stop' },
      'out-dir': outDir,
    },
    examples: [
      'serve',
      'serve --listen 0.0.0.0:9488 --allow-non-loopback --auth-token-file token --max-body-bytes 65536',
      'serve --auth jwt',
      'serve --print-openapi',
    ],
    load: async () => (await import('../serve.ts')).serve,
  },
];
