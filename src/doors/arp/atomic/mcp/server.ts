/**
 * A connection to an MCP server, made anew when it is gone: a server that dies fails the calls that are under way, and is
 * started, or connected to, by the next one. The SDK is loaded by the first connection.
 */
import type { CallToolResult, Client, Tool } from '@modelcontextprotocol/client';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { environmentFor } from '../../../../executors/process/input.ts';
import { LineSplitter } from '../../../../executors/process/output.ts';
import { redactText } from '../../../../policy/redaction/redactor.ts';
import type { HealthCheck } from '../../wire/common.ts';
import type { McpServerConfig } from '../config/schema.ts';
import { NodeFailure } from '../node.ts';

export interface McpServerOptions {
  readonly name: string;
  readonly config: McpServerConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder of the configuration file. */
  readonly dir: string;
  readonly version: string;
  /** A line for whoever runs the executor. */
  note(text: string): void;
}

/** Of the answer to a request, milliseconds; a tool may take long. */
const CALL_MS = 600_000;
const CONNECT_MS = 30_000;
/** Longest line of a server's standard error that is passed on. */
const LINE_BYTES = 8192;

export class McpServer {
  readonly name: string;
  readonly #options: McpServerOptions;
  #client: Promise<Client> | undefined;
  #closed = false;

  constructor(options: McpServerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** @returns its tools and its version. @throws NodeFailure `mcp_server_unavailable` */
  async tools(): Promise<{ readonly tools: readonly Tool[]; readonly version: string | undefined }> {
    const client = await this.#connected();
    try {
      const { tools } = await client.listTools(undefined, { timeout: CONNECT_MS });
      return { tools, version: client.getServerVersion()?.version };
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  /**
   * @param repeatable whether running the tool twice does no harm.
   * @throws NodeFailure; an AbortError when the signal aborts, of which the server is told
   */
  async call(
    tool: string,
    args: Readonly<Record<string, unknown>>,
    { signal, repeatable }: { readonly signal: AbortSignal; readonly repeatable: boolean },
  ): Promise<CallToolResult> {
    const timeout = this.#options.config.timeout_ms ?? CALL_MS;
    for (let isFirst = true; ; isFirst = false) {
      const connecting = this.#connected();
      const client = await connecting;
      try {
        return await client.callTool({ name: tool, arguments: args }, { signal, timeout });
      } catch (error) {
        if (signal.aborted) throw error;
        const answered = await this.#answered(tool, error, timeout);
        if (answered !== undefined) throw answered;
        this.#drop(connecting);
        if (isFirst && (await isUnseen(error))) continue;
        throw new NodeFailure(
          'mcp_connection_lost',
          `the connection to ${this.name} broke; ${tool} may have run`,
          {
            details: { server: this.name },
            retryable: repeatable,
          },
        );
      }
    }
  }

  /** What the failure is while the connection is good; undefined when it broke. */
  async #answered(tool: string, error: unknown, timeoutMs: number): Promise<NodeFailure | undefined> {
    const { ProtocolError, SdkError, SdkErrorCode } = await import('@modelcontextprotocol/client');
    if (error instanceof ProtocolError) {
      const details = { server: this.name, code: error.code };
      return new NodeFailure('mcp_protocol_error', this.#said(error.message), { details });
    }
    if (!(error instanceof SdkError)) return undefined;
    if (error.code === SdkErrorCode.RequestTimeout)
      return new NodeFailure('timeout', `${tool} of ${this.name} took longer than ${timeoutMs / 1000} s`);
    if (error.code === SdkErrorCode.InvalidResult)
      return new NodeFailure('invalid_output', `${tool} of ${this.name} answered with what does not fit`);
    return undefined;
  }

  check(): HealthCheck {
    const name = `mcp_${this.name}`;
    if (this.#client !== undefined) return { name, status: 'ok' };
    return { name, status: 'degraded', message: 'not connected; the next call connects' };
  }

  /** Ends the server's process, if it is one of ours. */
  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    await client?.close().catch(() => undefined);
  }

  #connected(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const connecting = this.#connect(() => this.#drop(connecting));
    this.#client = connecting;
    connecting.catch(() => this.#drop(connecting));
    return connecting;
  }

  #drop(client: Promise<Client>): void {
    if (this.#client !== client || this.#closed) return;
    this.#client = undefined;
    void client.then((gone) => gone.close()).catch(() => undefined);
  }

  async #connect(onGone: () => void): Promise<Client> {
    const { config, version } = this.#options;
    try {
      const { Client: McpClient } = await import('@modelcontextprotocol/client');
      const client = new McpClient({ name: 'reeve', version });
      // oxlint-disable-next-line unicorn/prefer-add-event-listener -- it has no other way to tell
      client.onclose = onGone;
      if (config.command === undefined) {
        client.setVersionNegotiation({ mode: 'auto' });
        await client.connect(await this.#http(new URL(config.url ?? '')), { timeout: CONNECT_MS });
      } else {
        await client.connect(await this.#stdio(config.command), { timeout: CONNECT_MS });
      }
      return client;
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  async #stdio([command = '', ...args]: readonly string[]) {
    const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');
    const { config, dir, env, note } = this.#options;
    const transport = new StdioClientTransport({
      command,
      args,
      env: environmentFor({ allow: config.env ?? [] }, env),
      cwd: resolve(dir, config.cwd ?? '.'),
      stderr: 'pipe',
    });
    const lines = new LineSplitter(LINE_BYTES, (line) => note(`${this.name}: ${redactText(line)}`));
    (transport.stderr as Readable).on('data', (chunk: Buffer) => lines.push(chunk));
    return transport;
  }

  async #http(url: URL) {
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
    const { config, env } = this.#options;
    const headers = Object.entries(config.headers_from_env ?? {}).map(([header, variable]) => {
      const value = env[variable];
      if (value === undefined || value === '') throw new Error(`the variable ${variable} is not set`);
      return [header, value] as const;
    });
    return new StreamableHTTPClientTransport(url, { requestInit: { headers: Object.fromEntries(headers) } });
  }

  /** Nothing of it ran. */
  #unavailable(error: unknown): NodeFailure {
    if (error instanceof NodeFailure) return error;
    const message = `the MCP server ${this.name} cannot be reached: ${this.#said(reasonOf(error))}`;
    return new NodeFailure('mcp_server_unavailable', message, {
      details: { server: this.name },
      retryable: true,
    });
  }

  #said(text: string): string {
    return redactText(text.slice(0, 500));
  }
}

/** Whether the server certainly has not looked at the call: it knows no such session, or nobody listens there. */
async function isUnseen(error: unknown): Promise<boolean> {
  const { SdkError, SdkErrorCode, SdkHttpError } = await import('@modelcontextprotocol/client');
  if (error instanceof SdkHttpError) return error.status === 404;
  if (error instanceof SdkError && error.code === SdkErrorCode.NotConnected) return true;
  return reasonOf(error) === 'ECONNREFUSED';
}

/** The error code of the system, or what the innermost failure says: `fetch failed` helps nobody. */
function reasonOf(error: unknown): string {
  const { code, cause, message } = error as NodeJS.ErrnoException;
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return code;
  return cause === undefined ? message : reasonOf(cause);
}
