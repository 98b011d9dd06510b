/**
 * A real MCP server for tests: over stdio when it is run, over Streamable HTTP by `serveMcp`. What tools were called and told
 * goes to the file that `MCP_LOG` names, so that a test sees what the server saw.
 */
import { appendFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';

const OBJECT = { type: 'object', properties: {}, additionalProperties: false } as const;

function say(line: string): void {
  const file = process.env['MCP_LOG'];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}

function mcpServer(log: (line: string) => void = say): McpServer {
  const server = new McpServer({ name: 'test', version: '3.2.1' });
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers.',
      annotations: { readOnlyHint: true },
      inputSchema: fromJsonSchema<{ a: number; b: number }>({
        type: 'object',
        required: ['a', 'b'],
        properties: { a: { type: 'number' }, b: { type: 'number' } },
      }),
      outputSchema: fromJsonSchema<{ sum: number }>({
        type: 'object',
        required: ['sum'],
        properties: { sum: { type: 'number' } },
      }),
    },
    async ({ a, b }) => ({
      content: [{ type: 'text', text: String(a + b) }],
      structuredContent: { sum: a + b },
    }),
  );
  server.registerTool('hello', { inputSchema: fromJsonSchema(OBJECT) }, async () => {
    log(`hello ${process.env['MCP_ALLOWED'] ?? '-'} ${process.env['MCP_SECRET'] ?? '-'}`);
    return { content: [{ type: 'text', text: 'hello' }] };
  });
  server.registerTool(
    'remove',
    { annotations: { destructiveHint: true }, inputSchema: fromJsonSchema(OBJECT) },
    async () => ({ content: [{ type: 'text', text: 'there is nothing to remove' }], isError: true }),
  );
  server.registerTool('wait', { inputSchema: fromJsonSchema(OBJECT) }, async (_args, { mcpReq }) => {
    log('waiting');
    await new Promise<void>((resolve) => {
      const keep = setInterval(() => undefined, 60_000);
      mcpReq.signal.addEventListener('abort', () => {
        clearInterval(keep);
        log('canceled');
        resolve();
      });
    });
    return { content: [] };
  });
  server.registerTool('die', { inputSchema: fromJsonSchema(OBJECT) }, async () => process.exit(3));
  return server;
}

export interface ServedMcp {
  readonly url: string;
  readonly port: number;
  /** Of all requests. */
  readonly headers: Readonly<Record<string, unknown>>[];
  stop(): Promise<void>;
}

export async function serveMcp(port = 0, log: (line: string) => void = () => undefined): Promise<ServedMcp> {
  const handler = createMcpHandler(() => mcpServer(log));
  const headers: Readonly<Record<string, unknown>>[] = [];
  const relay = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    headers.push(request.headers);
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const hasBody = request.method === 'POST';
    const asked = new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method ?? 'GET',
      headers: request.headers as Record<string, string>,
      signal: gone.signal,
      ...(hasBody ? { body: Readable.toWeb(request) as never, duplex: 'half' } : {}),
    });
    const answer = await handler.fetch(asked);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    for await (const piece of answer.body ?? []) response.write(piece);
    response.end();
  };
  const http = createServer((request, response) => void relay(request, response));
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const { port: bound } = http.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}/mcp`,
    port: bound,
    headers,
    stop: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

if (process.argv[1] === import.meta.filename) {
  process.stderr.write('up token=ghp_0123456789abcdefghijklmnopqrstuvwxyzAB\n');
  await mcpServer().connect(new StdioServerTransport());
}
