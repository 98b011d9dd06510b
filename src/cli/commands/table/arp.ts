/** Services of the Agent Runtime Protocol, and its policies. */
import type { ServiceKey } from '../../../doors/arp/services.ts';
import type { CommandSpec, FlagSpec } from '../../command.ts';
import { controlPlaneFlags } from './control-plane.ts';
import { outDir, telemetryFlags, tlsFlags } from './shared.ts';

interface ServiceHelp {
  readonly summary: string;
  readonly intent: string;
  /** Beside those that all have. */
  readonly flags?: Readonly<Record<string, FlagSpec>>;
  readonly examples?: readonly string[];
}

/** Which nodes there are. */
const ATOMIC_FLAGS: Readonly<Record<string, FlagSpec>> = {
  config: {
    kind: 'text',
    value: 'file',
    help: 'Hosts to fetch from, MCP servers, commands: docs/arp-nodes.md (default REEVE_ATOMIC_CONFIG)',
  },
  nodes: {
    kind: 'text',
    repeated: true,
    value: 'dir|package',
    help: 'Nodes of modules: a folder of them, or an npm package (default REEVE_ATOMIC_NODES)',
  },
};

const SERVICES: Readonly<Record<ServiceKey, ServiceHelp>> = {
  'run-gateway': {
    summary: "Serve ARP's Run Gateway",
    intent: 'takes requests about runs and hands them on to the coordinator that the environment names',
  },
  'run-coordinator': {
    summary: "Serve ARP's Run Coordinator",
    intent: 'serves runs of agents and their NodeRuns, kept in the store',
  },
  'composite-executor': {
    summary: "Serve ARP's Composite Executor",
    intent:
      'takes composite NodeRuns over: plans steps, has a node type selected for each, and runs them in order',
  },
  'atomic-executor': {
    summary: "Serve ARP's Atomic Executor",
    intent: 'runs atomic nodes: built-in ones, plugins, tools of MCP servers and commands',
    flags: {
      ...ATOMIC_FLAGS,
      publish: {
        kind: 'switch',
        help: 'First publish the node types to the registry at JARVIS_NODE_REGISTRY_URL',
      },
    },
    examples: ['serve atomic-executor --config atomic.yaml --nodes ./nodes --publish'],
  },
  'node-registry': {
    summary: "Serve ARP's Node Registry",
    intent: 'serves node types: published once, found by id and version',
  },
  selection: {
    summary: "Serve ARP's Selection",
    intent:
      'serves candidates for subtasks: node types of the registry, ranked by a language model or by words',
  },
  pdp: {
    summary: "Serve ARP's policy decision point",
    intent: 'serves decisions by the policy file that the environment names; without one it denies',
  },
  'run-store': {
    summary: "Serve ARP's Run Store",
    intent: 'serves the records of runs and NodeRuns that a coordinator writes',
  },
  'event-stream': {
    summary: "Serve ARP's Event Stream",
    intent: 'takes events of runs, numbers them, and streams them as they were and as they come',
  },
  'artifact-store': {
    summary: "Serve ARP's Artifact Store",
    intent: 'takes artifacts of runs and gives them back byte by byte',
  },
};

const FLAGS: Readonly<Record<string, FlagSpec>> = {
  host: { kind: 'text', value: 'host', help: 'Where to listen (default 127.0.0.1)' },
  port: { kind: 'count', help: "Port (default: the service's own, see docs/arp.md); 0: any free one" },
  'allow-non-loopback': { kind: 'switch', help: 'Let other machines reach it; needs a token' },
  'auth-token-file': { kind: 'text', value: 'file', help: 'File with the token that requests must carry' },
  auth: {
    kind: 'text',
    value: 'kind',
    help: 'token, or jwt: tokens of an issuer (default when a variable ARP_AUTH_… is set)',
  },
  'allow-host': {
    kind: 'text',
    repeated: true,
    value: 'name',
    help: 'A name by which requests may address it, as in a compose file',
  },
  ...tlsFlags,
  ...telemetryFlags,
};

export const ARP_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['up'],
    summary: 'Serve everything in one process',
    intent:
      'serves jobs and all services of ARP on one store and one port, dispatches and runs their work, and on a signal hands back what is unfinished and stops',
    args: [],
    flags: {
      policy: {
        kind: 'text',
        value: 'file',
        help: 'Policy: JSON with statements, or .cedar. Without one runs are denied',
      },
      'dev-allow': { kind: 'switch', help: 'Allow everything, to try things' },
      ...ATOMIC_FLAGS,
      ...FLAGS,
      port: { kind: 'count', help: 'Port (default 8080); 0: any free one' },
      approvers: {
        kind: 'text',
        value: 'file',
        help: 'Whose token is whose: who decides is known then, and not declared',
      },
      concurrency: { kind: 'count', help: 'Jobs at a time, 0..256 (default 4); 0 leaves them to `work`' },
      ...controlPlaneFlags,
      'out-dir': outDir,
    },
    examples: [
      'up --dev-allow',
      'up --policy policy.json --config atomic.yaml',
      'up --port 0 --metrics --log',
    ],
    load: async () => (await import('../up.ts')).up,
  },
  ...Object.entries(SERVICES).map(
    ([service, { summary, intent, flags = {}, examples = [] }]): CommandSpec => ({
      path: ['serve', service],
      summary,
      intent,
      args: [],
      flags: { ...flags, ...FLAGS },
      examples: [`serve ${service}`, `serve ${service} --port 0`, ...examples],
      load: async () => {
        const { serveArp } = await import('../serve-arp.ts');
        return serveArp(service as ServiceKey);
      },
    }),
  ),
  {
    path: ['policy', 'test'],
    summary: 'Show what a policy would decide',
    intent: 'evaluates a policy file for one request and shows the decision and the statement that made it',
    args: [{ name: 'file', required: true, help: 'Policy: JSON with statements, or .cedar' }],
    flags: {
      request: {
        kind: 'text',
        value: 'json|file',
        help: 'Policy decision request, such as {"action":"run.start"}',
      },
      'node-type': {
        kind: 'text',
        value: 'json|file',
        help: 'The node type that the request names (default: a built-in one)',
      },
    },
    examples: [
      `policy test policy.json --request '{"action":"run.start","run_id":"run_1"}'`,
      'policy test policy.cedar --request request.json --node-type node-type.json',
    ],
    load: async () => (await import('../policy-test.ts')).policyTest,
  },
];
