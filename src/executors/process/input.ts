/** What a node run by the process executor says, and the environment its command gets. Pure. */
import { isAbsolute } from 'node:path';
import type { Json, JsonObject } from '../../model/json.ts';
import { SIGNING_SECRETS } from '../../policy/key-source.ts';
import type { PriceTable, UsageSourceName } from './usage/index.ts';
import { USAGE_SOURCES } from './usage/index.ts';
import { compilePattern } from '../../policy/redaction/pattern-redactor.ts';

/**
 * The node's input. It becomes part of durable events, so it names environment variables and never holds their
 * values, other than those in `set`, which the author wrote into the job itself.
 */
export interface ProcessInput {
  /** Program and arguments; run without a shell, and the program looked up in the PATH of the command's environment. */
  readonly argv: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  /** Absent: the caller's whole environment, but for what signs. */
  readonly env?: EnvironmentRule;
  /** `tail` (default) keeps the last 64 KiB of each stream; `full` also writes all of both below `captureDir`. */
  readonly capture?: 'tail' | 'full';
  /** Absolute; the streams go to `output/stdout.log` and `output/stderr.log` below it. Required for `full`. */
  readonly captureDir?: string;
  /** Where the command leaves {tool_calls?, tokens?, estimated_cost?}; relative paths start at `cwd`. */
  readonly usageFile?: string;
  /** The agent whose event stream on standard output tells the usage while it runs. */
  readonly usageSource?: UsageSourceChoice;
  /** The arguments are shown here as they may be kept; the true ones come from the caller's memory, if it has them. */
  readonly argvRedacted?: boolean;
  /** Regular expressions, beside the secrets that are known anyway; what they match is kept as [REDACTED]. At most 100. */
  readonly redact?: readonly string[];
}

export interface EnvironmentRule {
  /** Names passed through from the caller. */
  readonly allow?: readonly string[];
  readonly set?: Readonly<Record<string, string>>;
}

export interface UsageSourceChoice {
  readonly name: UsageSourceName;
  /** Dollars per million tokens; these come before the built-in prices. */
  readonly prices?: PriceTable;
  /** The model the job asks for, until the stream names another. */
  readonly model?: string;
}

/** Always passed through under an allow list: programs are found and behave alike. TERM is not: there is no terminal. */
const ALWAYS = ['PATH', 'HOME', 'LANG', 'TZ'] as const;

/** The command's environment, by its node's rule and the caller's environment. What signs evidence has to be named (I9). */
export function environmentFor(
  rule: EnvironmentRule | undefined,
  caller: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const names =
    rule === undefined
      ? Object.keys(caller).filter((name) => !SIGNING_SECRETS.has(name))
      : [...ALWAYS, ...(rule.allow ?? [])];
  const environment: Record<string, string> = {};
  for (const name of names) {
    const value = Object.hasOwn(caller, name) ? caller[name] : undefined;
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...rule?.set };
}

/** Checks an input that comes from a stored event. @throws TypeError naming the field. */
export function parseProcessInput(input: Json): ProcessInput {
  const object = asObject(input, 'input');
  const argv = asStrings(object['argv'], 'argv', 10_000);
  if (argv.length === 0 || argv[0] === '') throw new TypeError('argv: the program is missing');
  const cwd = asPath(object['cwd'], 'cwd');
  const capture = object['capture'];
  if (capture !== undefined && capture !== 'tail' && capture !== 'full') {
    throw new TypeError(`capture: expected 'tail' or 'full', got ${JSON.stringify(capture)}`);
  }
  if (capture === 'full' && object['captureDir'] === undefined)
    throw new TypeError("captureDir: needed by capture 'full'");
  const redact = object['redact'] === undefined ? undefined : asStrings(object['redact'], 'redact', 100);
  for (const pattern of redact ?? []) compilePattern(pattern);
  return {
    argv,
    cwd,
    ...(object['env'] === undefined ? {} : { env: parseRule(object['env']) }),
    ...(capture === undefined ? {} : { capture }),
    ...(object['captureDir'] === undefined ? {} : { captureDir: asPath(object['captureDir'], 'captureDir') }),
    ...(object['usageFile'] === undefined ? {} : { usageFile: asString(object['usageFile'], 'usageFile') }),
    ...(object['usageSource'] === undefined ? {} : { usageSource: parseSource(object['usageSource']) }),
    ...(object['argvRedacted'] === true ? { argvRedacted: true } : {}),
    ...(redact === undefined ? {} : { redact }),
  };
}

function parseRule(value: Json): EnvironmentRule {
  const object = asObject(value, 'env');
  const set = object['set'] === undefined ? undefined : asObject(object['set'], 'env.set');
  return {
    ...(object['allow'] === undefined ? {} : { allow: asStrings(object['allow'], 'env.allow', 1000) }),
    ...(set === undefined
      ? {}
      : {
          set: Object.fromEntries(
            Object.entries(set).map(([name, v]) => [name, asString(v, `env.set.${name}`)]),
          ),
        }),
  };
}

function parseSource(value: Json): UsageSourceChoice {
  const object = asObject(value, 'usageSource');
  const name = USAGE_SOURCES.find((known) => known === object['name']);
  if (name === undefined)
    throw new TypeError(`usageSource.name: expected one of ${USAGE_SOURCES.join(', ')}`);
  return {
    name,
    ...(object['prices'] === undefined
      ? {}
      : { prices: parsePrices(asObject(object['prices'], 'usageSource.prices')) }),
    ...(object['model'] === undefined ? {} : { model: asString(object['model'], 'usageSource.model') }),
  };
}

/** A price that is missing or not a number would make use free of charge. */
function parsePrices(table: JsonObject): PriceTable {
  for (const [model, price] of Object.entries(table)) {
    const rates = asObject(price, `usageSource.prices.${model}`);
    const long =
      rates['longPrompt'] === undefined
        ? undefined
        : asObject(rates['longPrompt'], `usageSource.prices.${model}.longPrompt`);
    const numbers = ['input', 'output', 'cacheWrite', 'cacheRead'].flatMap((key) => [
      rates[key],
      ...(long === undefined ? [] : [long[key]]),
    ]);
    if (long !== undefined) numbers.push(long['overTokens']);
    if (!numbers.every((number) => typeof number === 'number' && number >= 0)) {
      throw new TypeError(
        `usageSource.prices.${model}: expected input, output, cacheWrite and cacheRead ≥ 0`,
      );
    }
  }
  return table as unknown as PriceTable;
}

function asObject(value: Json | undefined, field: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`${field}: expected an object`);
  return value as JsonObject;
}

function asString(value: Json | undefined, field: string): string {
  if (typeof value !== 'string' || value.includes('\0'))
    throw new TypeError(`${field}: expected a string without NUL`);
  return value;
}

function asPath(value: Json | undefined, field: string): string {
  const path = asString(value, field);
  if (!isAbsolute(path))
    throw new TypeError(`${field}: expected an absolute path, got ${JSON.stringify(path)}`);
  return path;
}

function asStrings(value: Json | undefined, field: string, countMax: number): string[] {
  if (!Array.isArray(value) || value.length > countMax) {
    throw new TypeError(`${field}: expected a list of at most ${countMax} strings`);
  }
  return value.map((item: Json, index) => asString(item, `${field}[${index}]`));
}
