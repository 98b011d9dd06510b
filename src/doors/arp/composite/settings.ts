/** How a composite executor works, from the variables `JARVIS_COMPOSITE_…` (contract arp §5). */
import { refusal, textOf } from '../../../policy/auth/variables.ts';
import type { Variables } from '../../../policy/key-source.ts';
import type { LimitDefaults } from './assignment.ts';

export interface CompositeSettings {
  readonly limits: LimitDefaults;
  /** How long a child may take, and the longest pause between two looks at it, milliseconds. */
  readonly pollTimeoutMs: number;
  readonly pollIntervalMs: number;
  /** How often arguments are asked for again when they do not fit. */
  readonly argumentRetries: number;
  /** How many earlier steps, the last ones, selection and strategy are told of. Undefined: all. */
  readonly contextWindow: number | undefined;
  /** How many assignments plan, select or make arguments at a time; waiting for a child does not count. Undefined: any number. */
  readonly concurrency: number | undefined;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA, naming the variable, its value and what is accepted */
export function compositeSettings(env: Variables): CompositeSettings {
  const whole = (name: string, least: number): number | undefined => {
    const text = textOf(env, name);
    if (text === undefined) return undefined;
    if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
    throw refusal(name, text.slice(0, 100), `a whole number from ${least} on`);
  };
  const seconds = (name: string, otherwise: number): number => {
    const text = textOf(env, name);
    if (text === undefined) return otherwise * 1000;
    const value = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Math.round(Number(text) * 1000) : 0;
    if (value > 0 && value <= 2_147_483_647) return value;
    throw refusal(name, text.slice(0, 100), 'a number of seconds, 0.001 to 2147483');
  };
  const maxSteps = whole('JARVIS_COMPOSITE_MAX_STEPS', 1);
  const maxDepth = whole('JARVIS_COMPOSITE_MAX_DEPTH', 0);
  return {
    limits: {
      ...(maxSteps === undefined ? {} : { maxSteps }),
      ...(maxDepth === undefined ? {} : { maxDepth }),
    },
    pollTimeoutMs: seconds('JARVIS_COMPOSITE_POLL_TIMEOUT_SEC', 30),
    pollIntervalMs: seconds('JARVIS_COMPOSITE_POLL_INTERVAL_SEC', 1),
    argumentRetries: whole('JARVIS_COMPOSITE_ARGGEN_MAX_RETRIES', 0) ?? 1,
    contextWindow: whole('JARVIS_COMPOSITE_CONTEXT_WINDOW', 0),
    concurrency: whole('JARVIS_MAX_CONCURRENCY', 1),
  };
}
