/**
 * The node types that come with the stack (contract arp §7.4). Input schemas are strict: every property is required, and
 * what may be left out is nullable.
 */
import type { NodeType } from '../wire/core.ts';

/** Version of the stack that clients of the compose bundle ask for. */
export const STACK_VERSION = '0.3.8';

type Properties = Readonly<Record<string, object>>;

function strict(properties: Properties): Readonly<Record<string, unknown>> {
  return { type: 'object', additionalProperties: false, required: Object.keys(properties), properties };
}

interface Atomic {
  readonly id: string;
  readonly description: string;
  readonly inputs: Properties;
  readonly outputs: Properties;
  readonly tags: readonly string[];
  readonly egress: 'none' | 'internet';
}

const ATOMIC: readonly Atomic[] = [
  {
    id: 'jarvis.core.echo',
    description: 'Returns the text that it is given, or all its inputs as JSON.',
    inputs: { echo: { type: ['string', 'null'], description: 'Text to return' } },
    outputs: { echo: { type: 'string' } },
    tags: ['core', 'text'],
    egress: 'none',
  },
  {
    id: 'jarvis.core.sleep',
    description: 'Waits for some seconds.',
    inputs: { seconds: { type: 'number', minimum: 0, maximum: 3600, description: 'How long to wait' } },
    outputs: { slept_seconds: { type: 'number' } },
    tags: ['core', 'time'],
    egress: 'none',
  },
  {
    id: 'jarvis.core.uuid4',
    description: 'Draws a random UUID, version 4.',
    inputs: {},
    outputs: { uuid: { type: 'string' } },
    tags: ['core', 'id'],
    egress: 'none',
  },
  {
    id: 'jarvis.core.time.now',
    description: 'Tells the time, in UTC.',
    inputs: {},
    outputs: { time: { type: 'string', description: 'RFC 3339' } },
    tags: ['core', 'time'],
    egress: 'none',
  },
  {
    id: 'jarvis.core.hash.sha256',
    description: 'Hashes the UTF-8 bytes of a text with SHA-256.',
    inputs: { text: { type: 'string', description: 'Text to hash' } },
    outputs: { sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' } },
    tags: ['core', 'hash'],
    egress: 'none',
  },
  {
    id: 'jarvis.web.fetch',
    description: 'Fetches a web page or document over HTTP with GET.',
    inputs: {
      url: { type: 'string', description: 'http or https URL' },
      max_bytes: { type: ['integer', 'null'], minimum: 1, description: 'Cut the body after so many bytes' },
    },
    outputs: {
      status: { type: 'integer' },
      url: { type: 'string', description: 'Where redirects led to' },
      content_type: { type: ['string', 'null'] },
      body: { type: 'string' },
      truncated: { type: 'boolean' },
    },
    tags: ['web', 'http'],
    egress: 'internet',
  },
];

const PLANNER_INPUTS: Properties = {
  goal: { type: 'string', description: 'What is to be reached' },
  context: { type: ['object', 'null'], description: 'What is known already' },
  steps: {
    type: ['array', 'null'],
    items: { type: ['string', 'object'] },
    description: 'The steps, where they are known: texts, or objects with goal, notes, inputs, node_type_id',
  },
  depth: { type: ['integer', 'null'], minimum: 0, description: 'How deep this planner stands; default 0' },
  max_depth: { type: ['integer', 'null'], minimum: 0, description: 'How deep planners may stand' },
  max_steps: { type: ['integer', 'null'], minimum: 1, description: 'How many steps a plan may have' },
};
const PLANNER_OUTPUTS = {
  type: 'object',
  additionalProperties: false,
  required: ['child_node_runs'],
  properties: {
    planner_summary: { type: 'string' },
    child_node_runs: { type: 'array', items: { type: 'object' } },
  },
} as const;

/** @param version of all of them. */
export function builtinTypes(version: string): readonly NodeType[] {
  const atomic = ATOMIC.map(
    ({ id, description, inputs, outputs, tags, egress }): NodeType => ({
      node_type_id: id,
      version,
      kind: 'atomic',
      description,
      input_schema: strict(inputs),
      output_schema: strict(outputs),
      extensions: {
        'jarvis.role': 'worker',
        'jarvis.side_effect': 'read',
        'jarvis.trust_tier': 'first_party',
        'jarvis.egress_policy': egress,
        'jarvis.tags': tags,
      },
    }),
  );
  return [
    ...atomic,
    {
      node_type_id: 'jarvis.composite.planner.general',
      version,
      kind: 'composite',
      description: 'Plans steps towards a goal, finds a node type for each, and runs them in order.',
      input_schema: strict(PLANNER_INPUTS),
      output_schema: PLANNER_OUTPUTS,
      extensions: {
        'jarvis.role': 'planner',
        'jarvis.side_effect': 'read',
        'jarvis.trust_tier': 'first_party',
        'jarvis.egress_policy': 'none',
        'jarvis.tags': ['planner'],
      },
    },
  ];
}
