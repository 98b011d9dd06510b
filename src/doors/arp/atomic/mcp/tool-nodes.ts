/** Tools of an MCP server as atomic nodes: `mcp.<server>.<tool>`. */
import type { CallToolResult, Tool } from '@modelcontextprotocol/client';
import { redactText } from '../../../../policy/redaction/redactor.ts';
import type { NodeType } from '../../wire/core.ts';
import type { McpServerConfig } from '../config/schema.ts';
import { inputSchemaOf } from '../inputs.ts';
import { NodeFailure, type NodeOutput } from '../node.ts';
import type { SourcedNode } from '../node-table.ts';
import type { McpServer } from './server.ts';

/** Of what a tool says about its failure, characters. */
const MESSAGE_CHARS = 2000;

/** @throws NodeFailure `mcp_server_unavailable` */
export async function toolNodes(
  server: McpServer,
  config: McpServerConfig,
  note: (text: string) => void,
): Promise<readonly SourcedNode[]> {
  const { tools, version } = await server.tools();
  const missing = (config.tools ?? []).filter((name) => !tools.some((tool) => tool.name === name));
  if (missing.length > 0) note(`the MCP server ${server.name} has no tool ${missing.join(', ')}`);
  const nodes: SourcedNode[] = [];
  for (const tool of tools) {
    if (config.tools?.includes(tool.name) === false) continue;
    const node = toolNode(server, tool, config.version ?? version ?? '0.0.0');
    try {
      await inputSchemaOf(node);
      nodes.push(node);
    } catch (error) {
      note(
        `${node.nodeType.node_type_id} is left out, its input schema is none: ${(error as Error).message}`,
      );
    }
  }
  return nodes;
}

function toolNode(server: McpServer, tool: Tool, version: string): SourcedNode {
  return {
    source: `the MCP server ${server.name}`,
    nodeType: typeOf(server.name, tool, version),
    async execute(inputs, { signal }) {
      const { readOnlyHint, idempotentHint } = tool.annotations ?? {};
      const repeatable = readOnlyHint === true || idempotentHint === true;
      const result = await server.call(tool.name, inputs, { signal, repeatable });
      if (result.isError === true) {
        const message = redactText(textOf(result).slice(0, MESSAGE_CHARS)) || `${tool.name} failed`;
        throw new NodeFailure('mcp_tool_error', message, {
          details: { server: server.name, tool: tool.name },
        });
      }
      return outputOf(tool, result);
    },
  };
}

function typeOf(server: string, tool: Tool, version: string): NodeType {
  const { description, title, inputSchema, outputSchema, annotations } = tool;
  const said = description ?? title;
  return {
    node_type_id: `mcp.${server}.${tool.name}`,
    version,
    kind: 'atomic',
    ...(said === undefined ? {} : { description: said }),
    input_schema: { ...inputSchema },
    output_schema: outputSchema === undefined ? TEXT_OUTPUTS : { ...outputSchema },
    extensions: {
      'jarvis.role': 'worker',
      'jarvis.side_effect':
        annotations?.readOnlyHint === true
          ? 'read'
          : annotations?.destructiveHint === true
            ? 'irreversible'
            : 'write',
      'jarvis.trust_tier': 'third_party',
      'jarvis.tags': ['mcp', server],
    },
  };
}

const TEXT_OUTPUTS = {
  type: 'object',
  additionalProperties: false,
  required: ['text'],
  properties: {
    text: { type: 'string', description: 'What the tool said, piece by piece on lines of their own' },
    content: { type: 'array', items: { type: 'object' }, description: 'Pieces that are no text' },
  },
} as const;

function outputOf(tool: Tool, result: CallToolResult): NodeOutput {
  const { structuredContent: structured, content } = result;
  if (tool.outputSchema !== undefined && typeof structured === 'object' && structured !== null)
    return { outputs: structured as Readonly<Record<string, unknown>> };
  const others = content.filter(({ type }) => type !== 'text');
  return { outputs: { text: textOf(result), ...(others.length === 0 ? {} : { content: others }) } };
}

function textOf({ content }: CallToolResult): string {
  return content.flatMap((piece) => (piece.type === 'text' ? [piece.text] : [])).join('\n');
}
