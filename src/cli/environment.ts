/** Variables of the environment, as commands read them. */
import { ReeveError } from '../model/errors.ts';
import { textOf } from '../policy/auth/variables.ts';
import type { CliContext } from './command.ts';

type Environment = Pick<CliContext, 'env'>;

/** Undefined: not set, or blank. */
export function setting({ env }: Environment, name: string): string | undefined {
  return textOf(env, name);
}

export function isOn(ctx: CliContext, name: string): boolean {
  return ['1', 'true', 'yes', 'on'].includes(setting(ctx, name)?.toLowerCase() ?? '');
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function positive(
  ctx: CliContext,
  variable: string,
  kind: 'any' | 'whole' = 'any',
): number | undefined {
  const text = setting(ctx, variable);
  if (text === undefined) return undefined;
  const form = kind === 'whole' ? /^\d{1,9}$/ : /^\d{1,12}(\.\d{1,6})?$/;
  const value = form.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable} must be a ${kind === 'whole' ? 'whole ' : ''}number above 0, not ${JSON.stringify(text)}`,
    {
      variable,
      value: text.slice(0, 100),
    },
  );
}

/** The same, where what cannot be read is as good as unset; it is told. */
export function positiveOrOff(ctx: CliContext, name: string, isWhole: boolean): number | undefined {
  const text = setting(ctx, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0 && (!isWhole || Number.isSafeInteger(value))) return value;
  ctx.stderr.write(`${name} is ${JSON.stringify(text.slice(0, 100))}: no limit\n`);
  return undefined;
}
