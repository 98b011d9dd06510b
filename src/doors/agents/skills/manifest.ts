/** `skill.json` (contract agents §4): what a skill is, how it is run, and what it may have. Unknown fields are refused. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { nameProblem } from '../../../evidence/entry-names.ts';
import { ReeveError } from '../../../model/errors.ts';
import { compileArguments } from '../../../policy/allow-list/arguments.ts';
import { ARGUMENT_LIST, type ArgumentSpec } from '../../../policy/allow-list/schema.ts';
import { SECRET_NAME, SEMVER, SKILL_NAME } from '../wire/common.ts';

export const MANIFEST = 'skill.json';

export const PILLARS = [
  'business_continuity',
  'devsecops',
  'cyber_security',
  'sre_observability',
  'finops_cost',
  'network_connectivity',
  'database_governance',
  'identity_access',
] as const;

/** Programs that run an entry; `exec` runs it itself, and `node` is the one that runs us. */
export const INTERPRETERS = ['bash', 'sh', 'node', 'python3', 'exec'] as const;
export type Interpreter = (typeof INTERPRETERS)[number];

export const OUTCOMES = ['pass', 'violation', 'skipped', 'error'] as const;
export type SkillOutcome = (typeof OUTCOMES)[number];

export interface SkillManifest {
  readonly name: string;
  readonly version: string;
  readonly pillar: (typeof PILLARS)[number];
  readonly description: string;
  /** A file of the package. */
  readonly entry: string;
  readonly interpreter: Interpreter;
  readonly args: readonly ArgumentSpec[];
  /** What each outcome exits with. */
  readonly exitCodes: Readonly<Record<SkillOutcome | 'usage', number>>;
  /** Programs that have to be there. */
  readonly requires: readonly string[];
  /** As Node names them; empty: all. */
  readonly platforms: readonly string[];
  /** It changes something when it is told `--apply`. */
  readonly destructive: boolean;
  readonly timeoutS: number;
  readonly network: boolean;
  /** Names of variables that it wants. */
  readonly secrets: readonly string[];
}

const EXIT_CODE = { type: 'integer', minimum: 0, maximum: 123 };

const SCHEMA = {
  type: 'object',
  required: ['name', 'version', 'pillar', 'description', 'entry'],
  additionalProperties: false,
  properties: {
    name: SKILL_NAME,
    version: SEMVER,
    pillar: { enum: PILLARS },
    description: { type: 'string', minLength: 1, maxLength: 500, pattern: String.raw`^\S[^\n\r]*$` },
    entry: { type: 'string', minLength: 1, maxLength: 255 },
    interpreter: { enum: INTERPRETERS, default: 'exec' },
    args: { ...ARGUMENT_LIST, default: [] },
    exit_codes: {
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        pass: { const: 0, default: 0 },
        violation: { ...EXIT_CODE, minimum: 1, default: 1 },
        usage: { ...EXIT_CODE, minimum: 1, default: 2 },
        skipped: { ...EXIT_CODE, default: 0 },
        error: { ...EXIT_CODE, minimum: 1, default: 4 },
      },
    },
    requires: {
      type: 'array',
      maxItems: 32,
      uniqueItems: true,
      default: [],
      items: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$' },
    },
    platforms: {
      type: 'array',
      maxItems: 8,
      uniqueItems: true,
      default: [],
      items: { enum: ['linux', 'darwin', 'freebsd', 'openbsd', 'win32'] },
    },
    destructive: { type: 'boolean', default: false },
    timeout_s: { type: 'integer', minimum: 1, maximum: 86_400, default: 300 },
    network: { type: 'boolean', default: false },
    secrets: { type: 'array', maxItems: 64, uniqueItems: true, default: [], items: SECRET_NAME },
  },
};

interface Document extends Omit<SkillManifest, 'exitCodes' | 'timeoutS'> {
  readonly exit_codes: SkillManifest['exitCodes'];
  readonly timeout_s: number;
}

let compiled: ValidateFunction | undefined;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field, problem}: it is none. */
export function readManifest(bytes: Uint8Array): SkillManifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid(MANIFEST, 'is no JSON in UTF-8');
  }
  compiled ??= new Ajv2020({ strict: false, useDefaults: true }).compile(SCHEMA);
  if (!compiled(value)) {
    const { instancePath = '', message = 'is wrong', params = {} } = compiled.errors?.[0] ?? {};
    const extra: unknown = params['additionalProperty'];
    const missing: unknown = params['missingProperty'];
    const field = [instancePath.slice(1), extra ?? missing].filter(
      (part) => part !== '' && part !== undefined,
    );
    const problem =
      extra !== undefined
        ? 'is no known field'
        : missing !== undefined
          ? 'is missing'
          : `${message}${allowed(params)}`;
    throw invalid(field.join('/') || MANIFEST, problem);
  }
  const { exit_codes: exitCodes, timeout_s: timeoutS, ...rest } = value as Document;
  const problem = nameProblem(rest.entry);
  if (problem !== undefined) throw invalid('entry', problem, rest.entry);
  compileArguments(rest.args, 'args');
  if (rest.destructive) requirePlainApply(rest.args);
  return { ...rest, exitCodes, timeoutS };
}

/** Who approves sees whether a task is to change something, and so does who hands it out: only `apply` true says so. */
function requirePlainApply(args: readonly ArgumentSpec[]): void {
  const at = args.findIndex(({ name }) => name === 'apply');
  const { type, secret, default: otherwise } = args[at] ?? { type: 'bool' };
  const problem =
    type !== 'bool'
      ? 'must be a bool in a destructive skill'
      : secret === true
        ? 'must not be secret in a destructive skill'
        : String(otherwise) === 'true'
          ? 'must not be true by default in a destructive skill'
          : undefined;
  if (problem !== undefined) throw invalid(`args/${at}`, problem, 'apply');
}

function allowed(params: Readonly<Record<string, unknown>>): string {
  const values: unknown = params['allowedValues'];
  return Array.isArray(values) ? `: ${values.join(', ')}` : '';
}

function invalid(field: string, problem: string, value?: unknown): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the skill's ${field} ${problem}`, {
    field,
    problem,
    ...(value === undefined ? {} : { value }),
  });
}
