/** Clients of the Agent Runtime Protocol: runs, and node types. */
import type { CommandSpec, FlagSpec } from '../../command.ts';

const run = { name: 'run', required: true, help: 'Run id' } as const;
const asWhom: Readonly<Record<string, FlagSpec>> = {
  'token-file': {
    kind: 'text',
    value: 'file',
    help: 'File with the token to send (default REEVE_ARP_TOKEN_FILE, or client credentials of ARP_AUTH_…)',
  },
  audience: { kind: 'text', value: 'name', help: 'Audience of the token that client credentials get' },
};
const runService: Readonly<Record<string, FlagSpec>> = {
  url: {
    kind: 'text',
    value: 'url',
    help: 'Gateway or coordinator (default JARVIS_RUN_GATEWAY_URL, ARP_JARVIS_GATEWAY_URL, JARVIS_RUN_COORDINATOR_URL, http://127.0.0.1:8080)',
  },
  ...asWhom,
};
const registry: Readonly<Record<string, FlagSpec>> = {
  url: {
    kind: 'text',
    value: 'url',
    help: 'Node Registry (default JARVIS_NODE_REGISTRY_URL, http://127.0.0.1:8084)',
  },
  ...asWhom,
};

export const RUN_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['runs', 'start'],
    summary: 'Start a run of a node type',
    intent: 'asks a gateway or coordinator to start a run; with --follow it waits for the end',
    args: [{ name: 'node-type', required: true, help: '<id>@<version>; without a version the highest' }],
    flags: {
      input: {
        kind: 'text',
        repeated: true,
        value: 'json|@file|key=text',
        help: 'Input: an object, or fields of it; key:=json for what is no text',
      },
      'run-id': { kind: 'text', value: 'id', help: 'Id of the run; it must be new' },
      constraints: { kind: 'text', value: 'json|@file', help: 'Limits, allowed node types, gates' },
      tenant: { kind: 'text', value: 'id', help: 'Tenant whose run it is' },
      follow: { kind: 'switch', help: 'Print events as they come, and end as the run does' },
      ...runService,
    },
    examples: [
      'runs start jarvis.core.echo@0.3.8 --input echo=hello --follow',
      'runs start jarvis.composite.planner.general --input @input.yaml --constraints @limits.json',
      `runs start jarvis.core.sleep --input '{"seconds":1}' --run-id run_7 --tenant acme`,
    ],
    load: async () => (await import('../runs-start.ts')).runsStart,
  },
  {
    path: ['runs', 'get'],
    summary: 'Show a run',
    intent: 'asks how a run stands, and what its root NodeRun gave',
    args: [run],
    flags: runService,
    examples: ['runs get run_7', 'runs get run_7 --json'],
    load: async () => (await import('../runs.ts')).runsGet,
  },
  {
    path: ['runs', 'cancel'],
    summary: 'Cancel a run',
    intent: 'asks for the end of a run and of all its NodeRuns; one that is over stays as it is',
    args: [run],
    flags: runService,
    examples: ['runs cancel run_7'],
    load: async () => (await import('../runs.ts')).runsCancel,
  },
  {
    path: ['runs', 'events'],
    summary: 'Print the events of a run',
    intent: 'prints the events of a run as lines, as NDJSON with --json',
    args: [run],
    flags: {
      follow: { kind: 'switch', help: 'Go on until the run is over' },
      cursor: { kind: 'text', value: 'number|cursor', help: 'Begin after this event' },
      ...runService,
    },
    examples: ['runs events run_7 --follow', 'runs events run_7 --cursor 4 --json'],
    load: async () => (await import('../runs.ts')).runsEvents,
  },
  {
    path: ['runs', 'tree'],
    summary: 'Show the NodeRuns of a run as a tree',
    intent: 'reads the events and NodeRuns of a run, and shows who created whom, and what became of each',
    args: [run],
    flags: runService,
    examples: ['runs tree run_7'],
    load: async () => (await import('../runs.ts')).runsTree,
  },
  {
    path: ['nodes', 'list'],
    summary: 'List node types of a registry',
    intent: 'reads the node types of a registry',
    args: [],
    flags: {
      q: { kind: 'text', help: 'Part of the id' },
      kind: { kind: 'text', value: 'kind', help: 'atomic or composite' },
      ...registry,
    },
    examples: ['nodes list', 'nodes list --q echo --kind atomic'],
    load: async () => (await import('../nodes.ts')).nodesList,
  },
  {
    path: ['nodes', 'publish'],
    summary: 'Publish node types in a registry',
    intent: 'checks files with node types, and publishes them one by one',
    args: [
      { name: 'file', required: true, repeated: true, help: 'JSON or YAML: a node type, or a list of them' },
    ],
    flags: {
      'skip-existing': { kind: 'switch', help: 'Pass over what is published already with the same content' },
      ...registry,
    },
    examples: ['nodes publish node-type.json', 'nodes publish a.yaml b.yaml --skip-existing'],
    load: async () => (await import('../nodes.ts')).nodesPublish,
  },
];
