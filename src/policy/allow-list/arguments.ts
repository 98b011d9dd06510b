/**
 * Arguments of a skill: checked against what its reviewer signed or its manifest says, and turned into an argv. They never
 * pass a shell, so `$(…)` and `;` arrive as they are (J18). Values are not named in refusals: they may be secrets.
 */
import { isIP } from 'node:net';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { ReeveError } from '../../model/errors.ts';
import { linearPattern } from '../linear-pattern.ts';
import { Refusal } from './refusal.ts';
import type { ArgumentsSchema, ArgumentSpec } from './schema.ts';

/** Of all arguments together, as JSON. */
const ARGUMENTS_CHARS_MAX = 64 * 1024;
const VALUE_CHARS_MAX = 4096;

export type Arguments = Readonly<Record<string, unknown>>;

export interface Argv {
  /** Positional arguments in the order of the list, then `--name=value`, or `--name` for a bool that is true; `--name=false` where that is no default. */
  readonly argv: readonly string[];
  /** What must not stand on a command line, by name. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** @throws Refusal args_invalid {argument} */
export type CheckArguments = (args: Arguments) => void;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field}: the schema is none, or has a pattern that is not linear. */
export function compileArguments(schema: ArgumentsSchema, field: string): CheckArguments {
  if (isList(schema)) {
    requireArgumentList(schema, field);
    return (args) => void argvOf(schema, args);
  }
  const ajv = new Ajv2020({
    strict: false,
    validateFormats: false,
    logger: false,
    coerceTypes: true,
    // `--arg n=3` comes as text, and leaves as text.
    code: { regExp: Object.assign((pattern: string) => linearPattern(pattern, field), { code: '' }) },
  });
  let validate: ReturnType<typeof ajv.compile>;
  try {
    validate = ajv.compile(schema);
  } catch (cause) {
    if (cause instanceof ReeveError) throw cause;
    const why = cause instanceof Error ? cause.message : 'it cannot be read';
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${field} is no JSON Schema: ${why}`,
      { field },
      { cause },
    );
  }
  return (args) => {
    requireSmall(args);
    let fits = false;
    try {
      fits = validate(structuredClone(args));
    } catch {
      throw new Refusal('args_invalid', 'the arguments are nested too deeply');
    }
    if (fits) return;
    const { instancePath = '', params = {}, message = 'do not fit' } = validate.errors?.[0] ?? {};
    const name: unknown = params['additionalProperty'] ?? params['missingProperty'];
    throw refuse(typeof name === 'string' ? name : instancePath.slice(1), message);
  };
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field}: two of one name, an enum without values, a pattern that is not linear. */
export function requireArgumentList(list: readonly ArgumentSpec[], field: string): void {
  const seen = new Set<string>();
  for (const [index, spec] of list.entries()) {
    const at = `${field}/${index}`;
    if (seen.has(spec.name)) throw invalid(`${at}/name`, `is the name of another argument, too`, spec.name);
    seen.add(spec.name);
    if (spec.type === 'enum' && spec.enum === undefined) throw invalid(`${at}/enum`, 'is missing', spec.name);
    if (spec.secret === true && spec.positional === true)
      throw invalid(`${at}/positional`, 'would put a secret on the command line', spec.name);
    if (spec.pattern !== undefined) linearPattern(spec.pattern, `${at}/pattern`);
    if (spec.default === undefined) continue;
    if (spec.secret === true)
      throw invalid(`${at}/default`, 'would be a secret that everybody knows', spec.name);
    try {
      textOf(spec, spec.default);
    } catch {
      throw invalid(`${at}/default`, 'does not fit its own argument', spec.name);
    }
  }
}

/**
 * @param args by name; numbers and bools may be given as text. What is left out is the default, or left out.
 * @throws Refusal args_invalid {argument}
 */
export function argvOf(list: readonly ArgumentSpec[], args: Arguments): Argv {
  requireSmall(args);
  for (const name of Object.keys(args))
    if (!list.some((spec) => spec.name === name)) throw refuse(name, 'is not known');
  const positionals: string[] = [];
  const flags: string[] = [];
  const secrets: Record<string, string> = {};
  let gap: string | undefined;
  for (const spec of list) {
    const { name } = spec;
    const given = Object.hasOwn(args, name) ? args[name] : spec.default;
    if (given === undefined || given === null) {
      if (spec.required === true) throw refuse(name, 'is missing');
      if (spec.positional === true) gap ??= name;
      continue;
    }
    const text = textOf(spec, given);
    if (spec.secret === true) secrets[name] = text;
    else if (spec.positional === true) positionals.push(positional(spec, text, gap));
    else if (spec.type !== 'bool') flags.push(`--${name}=${text}`);
    else if (text === 'true') flags.push(`--${name}`);
    else if (spec.default !== undefined && String(spec.default) === 'true') flags.push(`--${name}=false`);
  }
  return { argv: [...positionals, ...flags], secrets };
}

function positional({ name, type }: ArgumentSpec, text: string, gap: string | undefined): string {
  if (gap !== undefined) throw refuse(gap, `is missing, and ${name} comes after it`);
  // It would be read as a flag, such as --apply.
  if (text.startsWith('-') && type !== 'int') throw refuse(name, 'begins with -');
  return text;
}

/** The value as text. @throws Refusal args_invalid {argument} */
function textOf(spec: ArgumentSpec, value: unknown): string {
  const { name, type } = spec;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    throw refuse(name, `must be ${type}`);
  const text = String(value);
  if (text.length > VALUE_CHARS_MAX) throw refuse(name, `is longer than ${VALUE_CHARS_MAX} characters`);
  if (text.includes('\0') || !text.isWellFormed()) throw refuse(name, 'holds a NUL or a lone surrogate');
  const isOfType = type === 'int' || type === 'bool' || typeof value === 'string';
  if (!isOfType || !FITS[type](text)) throw refuse(name, `must be ${type}`);
  if (spec.enum !== undefined && !spec.enum.includes(text))
    throw refuse(name, 'is none of the values that are allowed');
  if (spec.pattern !== undefined && !linearPattern(spec.pattern, name).matches(text))
    throw refuse(name, 'does not match its pattern');
  return text;
}

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?$/;

const FITS: Readonly<Record<ArgumentSpec['type'], (text: string) => boolean>> = {
  string: () => true,
  enum: () => true,
  int: (text) => /^-?\d{1,15}$/.test(text),
  path: (text) => text !== '',
  url: (text) => /^[a-z][a-z0-9+.-]*:\/\/[^\s/]/i.test(text) && URL.canParse(text),
  host: isHost,
  bool: (text) => text === 'true' || text === 'false',
};

/** A name or an address, perhaps with a port; IPv6 with a port in brackets. */
function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const {
    six,
    host,
    port = '1',
  } = /^(?:\[(?<six>[0-9A-Fa-f:.]+)\]|(?<host>[^:]*))(?::(?<port>\d{1,5}))?$/.exec(text)?.groups ?? {};
  if (Number(port) < 1 || Number(port) > 65_535) return false;
  return six === undefined ? HOST_NAME.test(host ?? '') : isIP(six) === 6;
}

function requireSmall(args: Arguments): void {
  let chars = Number.POSITIVE_INFINITY;
  try {
    chars = JSON.stringify(args).length;
  } catch {
    // Nested deeper than the stack.
  }
  if (chars > ARGUMENTS_CHARS_MAX) {
    throw new Refusal('args_invalid', `the arguments have more than ${ARGUMENTS_CHARS_MAX} characters`, {
      limit: ARGUMENTS_CHARS_MAX,
    });
  }
}

function isList(schema: ArgumentsSchema): schema is readonly ArgumentSpec[] {
  return Array.isArray(schema);
}

function refuse(argument: string, problem: string): Refusal {
  return new Refusal('args_invalid', `the argument ${JSON.stringify(argument)} ${problem}`, {
    argument,
    problem,
  });
}

function invalid(field: string, problem: string, value: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${field} ${problem}`, { field, problem, value });
}
