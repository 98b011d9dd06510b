/**
 * Arguments of a command with places for inputs: `{path}` is the input `path`, `{{` and `}}` are braces. Nothing is given to
 * a shell, so an input is never more than an argument. Pure.
 */
import { NodeFailure } from '../node.ts';
import type { CommandConfig } from '../config/schema.ts';

type Part = { readonly text: string } | { readonly input: string };

/** The parts of an argument; undefined where a brace stands alone. */
function partsOf(argument: string): readonly Part[] | undefined {
  const pieces = argument.split(/(\{\{|\}\}|\{[A-Za-z0-9_.-]+\})/);
  const parts = pieces.map((piece): Part => {
    if (piece === '{{' || piece === '}}') return { text: piece.charAt(0) };
    return /^\{.+\}$/.test(piece) ? { input: piece.slice(1, -1) } : { text: piece };
  });
  if (pieces.some((piece, at) => at % 2 === 0 && /[{}]/.test(piece))) return undefined;
  return parts.filter((part) => 'input' in part || part.text !== '');
}

export function templateProblems({
  argv,
  input_schema: schema,
}: Pick<CommandConfig, 'argv' | 'input_schema'>): readonly {
  readonly at: number;
  readonly problem: string;
}[] {
  const properties = schema?.['properties'] ?? {};
  return argv.flatMap((argument, at) => {
    const parts = partsOf(argument);
    if (argument.includes('\0')) return [{ at, problem: 'holds a NUL' }];
    if (parts === undefined) return [{ at, problem: 'has a brace alone; write {{ or }} for a brace' }];
    const inputs = parts.flatMap((part) => ('input' in part ? [part.input] : []));
    if (at === 0 && inputs.length > 0) return [{ at, problem: 'is the program: no input may choose it' }];
    if (at === 0 && argument === '') return [{ at, problem: 'is the program, and empty' }];
    const unknown = inputs.find((name) => !Object.hasOwn(properties, name));
    if (unknown === undefined) return [];
    return [{ at, problem: `names the input ${unknown}, which the input schema does not have` }];
  });
}

/**
 * The command with its inputs. An argument whose input is absent or null is left out. A list that is an argument by itself
 * becomes several. Such an argument may not look like an option, unless `--` stands before it.
 * @throws NodeFailure `invalid_inputs`
 */
export function filledArguments(
  argv: readonly string[],
  inputs: Readonly<Record<string, unknown>>,
): readonly string[] {
  const filled: string[] = [];
  for (const argument of argv) {
    const parts = partsOf(argument) ?? [];
    const [first] = parts;
    if (first !== undefined && 'input' in first && parts.length === 1) {
      const value = inputs[first.input] ?? [];
      for (const item of Array.isArray(value) ? value : [value]) {
        const text = textOf(item, first.input);
        if (text.startsWith('-') && !filled.includes('--'))
          throw unfit(first.input, 'begins with -, which the command would take for an option');
        filled.push(text);
      }
      continue;
    }
    const isAbsent = parts.some((part) => 'input' in part && (inputs[part.input] ?? null) === null);
    if (isAbsent) continue;
    const texts = parts.map((part) => ('input' in part ? textOf(inputs[part.input], part.input) : part.text));
    filled.push(texts.join(''));
  }
  return filled;
}

function textOf(value: unknown, input: string): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string')
    throw unfit(input, 'must be a text, a number, true or false to be an argument');
  if (value.includes('\0')) throw unfit(input, 'holds a NUL');
  return value;
}

function unfit(input: string, problem: string): NodeFailure {
  const errors = [{ type: 'argument', loc: ['inputs', input], msg: problem }];
  return new NodeFailure('invalid_inputs', `the input ${input} ${problem}`, {
    details: { errors },
    retryable: false,
  });
}
