/** The configuration file of an atomic executor: which hosts may be fetched from, MCP servers, commands. */
import { ANYTHING, COUNT, list, object, TEXT, word, type TypeOf } from '../../../wire-schema.ts';

const NAMES = { type: 'array', items: TEXT, maxItems: 1000 } as const;
const MILLISECONDS = { type: 'integer', minimum: 1, maximum: 2_147_483_647 } as const;
const ARGUMENTS = { type: 'array', items: TEXT, minItems: 1, maxItems: 1000 } as const;
const SIDE_EFFECT = word('read', 'write', 'irreversible');

const WEB_FETCH = object(
  { allow: NAMES },
  { max_bytes: { ...COUNT, minimum: 1 } as const, timeout_ms: MILLISECONDS },
);

const MCP_SERVER = object(
  {},
  {
    command: ARGUMENTS,
    cwd: TEXT,
    env: NAMES,
    url: TEXT,
    headers_from_env: { type: 'object', additionalProperties: TEXT } as const,
    tools: list(TEXT),
    version: TEXT,
    timeout_ms: MILLISECONDS,
  },
);

const COMMAND = object(
  { version: TEXT, argv: ARGUMENTS, side_effect: SIDE_EFFECT },
  {
    description: TEXT,
    input_schema: ANYTHING,
    output_schema: ANYTHING,
    output: word('text', 'json'),
    cwd: TEXT,
    env: NAMES,
    timeout_ms: MILLISECONDS,
    redact: list(TEXT),
  },
);

/** By name: ids of nodes, names of servers. */
function byName<const S extends object>(pattern: string, schema: S) {
  return {
    type: 'object',
    propertyNames: { pattern },
    additionalProperties: schema,
  } as const;
}

export const ATOMIC_CONFIG = object(
  {},
  {
    web_fetch: WEB_FETCH,
    mcp_servers: byName('^[a-z0-9][a-z0-9_-]{0,63}$', MCP_SERVER),
    commands: byName(String.raw`^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$`, COMMAND),
  },
);

export type McpServerConfig = TypeOf<typeof MCP_SERVER>;
export type CommandConfig = TypeOf<typeof COMMAND>;
export interface AtomicConfig {
  readonly web_fetch?: TypeOf<typeof WEB_FETCH>;
  readonly mcp_servers?: Readonly<Record<string, McpServerConfig>>;
  readonly commands?: Readonly<Record<string, CommandConfig>>;
}
