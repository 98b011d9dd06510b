/** What the command of a run is told, and what it is not (contract agents §3). Pure. */
import { environmentFor } from '../../../executors/process/input.ts';
import type { OperationalRun } from './types.ts';

/** Also what every process of a run is known by. */
export const ARTIFACTS_VARIABLE = 'JARVAS_ARTIFACTS_DIR';

/** PATH, HOME, LANG and TZ of the caller, the secrets that were asked for, and what the runner says; nothing else. */
export function runEnvironment(run: OperationalRun, artifacts: string): Record<string, string> {
  const { runId, action, env, envRefs, secretArgs = {} } = run;
  const secrets = Object.entries(secretArgs).map(([name, value]): [string, string] => [
    argVariable(name),
    value,
  ]);
  const strict = env['JARVAS_STRICT'];
  return environmentFor(
    {
      set: {
        ...envRefs,
        ...Object.fromEntries(secrets),
        ...(strict === undefined ? {} : { JARVAS_STRICT: strict }),
        JARVAS_RUN_ID: runId,
        JARVAS_ACTION: action,
        [ARTIFACTS_VARIABLE]: artifacts,
      },
    },
    env,
  );
}

/** `JARVAS_ARG_<NAME>`: where a skill finds the value of a secret argument. */
function argVariable(name: string): string {
  return `JARVAS_ARG_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}
