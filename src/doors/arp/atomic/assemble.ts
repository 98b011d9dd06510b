/** All nodes that an atomic executor is given, and what has to be closed with them. */
import { dirname } from 'node:path';
import { ReeveError } from '../../../model/errors.ts';
import type { NodeType } from '../wire/core.ts';
import type { HealthCheck } from '../wire/common.ts';
import type { CommandNodes } from './command/command-nodes.ts';
import { readAtomicConfig } from './config/read.ts';
import type { AtomicConfig } from './config/schema.ts';
import { builtinNodes } from './core-nodes.ts';
import { NodeFailure, type AtomicNode } from './node.ts';
import { nodeTable, type SourcedNode } from './node-table.ts';
import { OUTPUT_BYTES_DEFAULT } from './outcome.ts';
import { allowedHosts } from './web/allowed-hosts.ts';
import { FETCH_DEFAULTS } from './web/fetch-node.ts';

export interface AssemblyOptions {
  /** Absolute. */
  readonly configFile?: string;
  /** Folders or packages. */
  readonly plugins: readonly string[];
  /** Hosts that may be fetched from, beside those of the configuration. */
  readonly allowedHosts: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where records of commands are kept. */
  readonly dir: string;
  /** Of the built-in types. */
  readonly stackVersion: string;
  readonly version: string;
  nowMs(): number;
  note(text: string): void;
}

export interface Assembly {
  readonly nodes: ReadonlyMap<string, AtomicNode>;
  readonly types: readonly NodeType[];
  checks(): Promise<readonly HealthCheck[]>;
  /** Stops what an executor before this one began and this one was not asked about. */
  cancel(nodeRunId: string): Promise<void>;
  close(): Promise<void>;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA; E_ADAPTER_FAIL when an MCP server cannot be reached */
export async function assembleNodes(options: AssemblyOptions): Promise<Assembly> {
  const { configFile, plugins, cwd } = options;
  const config = configFile === undefined ? {} : await readAtomicConfig(configFile);
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => void (await Promise.allSettled(ends.map((end) => end())));
  const found: SourcedNode[] = [...builtins(options, config)];
  if (plugins.length > 0) {
    const { loadNodes } = await import('./plugins.ts');
    for (const place of plugins) found.push(...(await loadNodes(place, cwd)));
  }
  try {
    const servers = await mcpNodes(options, config, ends);
    const commands = await commandNodes(options, config, ends);
    found.push(...servers.nodes, ...(commands?.nodes() ?? []));
    const nodes = await nodeTable(found);
    return {
      nodes,
      types: [...nodes.values()].map(({ nodeType }) => nodeType),
      checks: servers.checks,
      cancel: async (nodeRunId) => commands?.cancel(nodeRunId),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function builtins(options: AssemblyOptions, { web_fetch: web }: AtomicConfig): readonly SourcedNode[] {
  const hosts = allowedHosts([...options.allowedHosts, ...(web?.allow ?? [])]);
  const { max_bytes: bytesMax = FETCH_DEFAULTS.bytesMax, timeout_ms: timeoutMs = FETCH_DEFAULTS.timeoutMs } =
    web ?? {};
  const fetchRules = { hosts, bytesMax, timeoutMs };
  const nodes = builtinNodes(options.stackVersion, { fetchRules, nowMs: () => options.nowMs() });
  return nodes.map((node) => ({ ...node, source: 'built in' }));
}

type Ends = (() => Promise<void>)[];

async function mcpNodes(
  options: AssemblyOptions,
  { mcp_servers: configs = {} }: AtomicConfig,
  ends: Ends,
): Promise<{ readonly nodes: readonly SourcedNode[] } & Pick<Assembly, 'checks'>> {
  const entries = Object.entries(configs);
  if (entries.length === 0) return { nodes: [], checks: async () => [] };
  const { McpServer } = await import('./mcp/server.ts');
  const { toolNodes } = await import('./mcp/tool-nodes.ts');
  const { configFile = '', env, version, note } = options;
  const servers = entries.map(([name, config]) => {
    const server = new McpServer({ name, config, env, dir: dirname(configFile), version, note });
    ends.push(() => server.close());
    return { server, config };
  });
  const found = await Promise.all(
    servers.map(({ server, config }) =>
      toolNodes(server, config, note).catch((error: unknown) => {
        if (!(error instanceof NodeFailure)) throw error;
        throw new ReeveError('E_ADAPTER_FAIL', error.message, { server: server.name, file: configFile });
      }),
    ),
  );
  return { nodes: found.flat(), checks: async () => servers.map(({ server }) => server.check()) };
}

async function commandNodes(
  { configFile = '', dir }: AssemblyOptions,
  { commands = {} }: AtomicConfig,
  ends: Ends,
): Promise<CommandNodes | undefined> {
  if (Object.keys(commands).length === 0) return undefined;
  const { CommandNodes: Commands } = await import('./command/command-nodes.ts');
  const nodes = new Commands({ commands, configFile, dir, outputBytesMax: OUTPUT_BYTES_DEFAULT });
  ends.push(() => nodes.close());
  return nodes;
}
