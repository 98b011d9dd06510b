/** The acceptance configuration (contract wrkr §g): its schema, its defaults, and a file to start from. */
import type { JsonObject } from '../../model/json.ts';
import { sorted } from '../claims.ts';

export interface AcceptConfig {
  /** Each must have been added or changed in some checkpoint. */
  readonly requiredArtifacts: readonly string[];
  /** Also look whether the files that checkpoints claim are there. */
  readonly artifactsOnDisk: boolean;
  /** Shell commands; an empty one fails its check. */
  readonly testCommand: string;
  readonly lintCommand: string;
  /** Each command may take as long, milliseconds. */
  readonly commandTimeoutMs: number;
  readonly pathRules: PathRules;
}

export interface PathRules {
  /** Most distinct paths that a job may name; 0: any number. */
  readonly maxArtifactPaths: number;
  readonly forbiddenPrefixes: readonly string[];
  readonly allowedPrefixes: readonly string[];
  /** `text` compares characters, so that `rep` is a prefix of `reports/x`; `segments` compares whole names. */
  readonly mode: 'text' | 'segments';
  /** Paths below no allowed prefix are refused. */
  readonly onlyAllowed: boolean;
}

const SHELL_COMMAND = { type: 'string', maxLength: 131_071, pattern: String.raw`^[^\u0000]*$` } as const;
const PATHS = { type: 'array', maxItems: 100_000, items: { type: 'string', maxLength: 4096 } } as const;
const DAY_SECONDS = 86_400;

/** JSON Schema 2020-12. What is absent, or null, has its default. */
export const ACCEPT_CONFIG_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: {
    schema_id: { const: 'wrkr.accept_config' },
    schema_version: { type: 'string', pattern: String.raw`^v1(\.[0-9]+)?$`, maxLength: 20 },
    required_artifacts: PATHS,
    artifacts_on_disk: { type: 'boolean' },
    test_command: SHELL_COMMAND,
    lint_command: SHELL_COMMAND,
    command_timeout_seconds: { type: 'number', exclusiveMinimum: 0, maximum: DAY_SECONDS },
    path_rules: {
      type: 'object',
      additionalProperties: false,
      properties: {
        max_artifact_paths: { type: 'integer', minimum: 0, maximum: 1_000_000_000 },
        forbidden_prefixes: PATHS,
        allowed_prefixes: PATHS,
        mode: { type: 'string', enum: ['text', 'segments'] },
        only_allowed: { type: 'boolean' },
      },
    },
  },
} as const;

interface Document {
  readonly required_artifacts?: readonly string[];
  readonly artifacts_on_disk?: boolean;
  readonly test_command?: string;
  readonly lint_command?: string;
  readonly command_timeout_seconds?: number;
  readonly path_rules?: {
    readonly max_artifact_paths?: number;
    readonly forbidden_prefixes?: readonly string[];
    readonly allowed_prefixes?: readonly string[];
    readonly mode?: PathRules['mode'];
    readonly only_allowed?: boolean;
  };
}

/** @param document fits `ACCEPT_CONFIG_SCHEMA`; `{}` gives the defaults. */
export function acceptConfigOf(document: JsonObject): AcceptConfig {
  const given = document as Document;
  const { path_rules: rules = {} } = given;
  return {
    requiredArtifacts: cleaned(given.required_artifacts),
    artifactsOnDisk: given.artifacts_on_disk ?? false,
    testCommand: given.test_command ?? '',
    lintCommand: given.lint_command ?? '',
    commandTimeoutMs: (given.command_timeout_seconds ?? 900) * 1000,
    pathRules: {
      maxArtifactPaths: rules.max_artifact_paths ?? 0,
      forbiddenPrefixes: cleaned(rules.forbidden_prefixes),
      allowedPrefixes: cleaned(rules.allowed_prefixes),
      mode: rules.mode ?? 'text',
      onlyAllowed: rules.only_allowed ?? false,
    },
  };
}

function cleaned(texts: readonly string[] = []): readonly string[] {
  return sorted(texts.map((text) => text.trim()).filter((text) => text !== ''));
}

export const EXAMPLE_ACCEPT_CONFIG = `# What a job's work must be like. Run it with: accept run <job>
schema_id: wrkr.accept_config
schema_version: v1

# Each must have been added or changed in some checkpoint.
required_artifacts: []
# true: the files that checkpoints claim must also be there.
artifacts_on_disk: false

# Run with \`sh -lc\` in the directory you stand in; exit code 0 passes. An empty command fails: say \`true\` where there
# is nothing to run.
test_command: ""
lint_command: ""
command_timeout_seconds: 900

path_rules:
  max_artifact_paths: 0 # most paths a job may name; 0: any number
  forbidden_prefixes: [] # no path may begin with one
  allowed_prefixes: [] # each must begin some path
  mode: segments # whole names: "rep" is no prefix of "reports/x"; text: characters
  only_allowed: false # true: paths that no allowed prefix begins are refused
`;
