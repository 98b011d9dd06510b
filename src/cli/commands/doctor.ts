import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { doctor as examine } from '../../doors/jobs/doctor.ts';
import type { ServeRules } from '../../doors/serve-rules.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler, Flags } from '../command.ts';
import type { CliContext } from '../command.ts';
import { escapeControls } from '../output.ts';

export const doctor: CommandHandler = async (ctx, input) => {
  const { flags } = input;
  if (flags.on('stack')) return (await import('./doctor-stack.ts')).doctorStack(ctx, input);
  if (flags.text('url') !== undefined)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--url needs --stack', { flag: '--url' });
  const report = await examine({
    nowMs: Date.now(),
    production: flags.on('production-readiness'),
    storeRoot: ctx.storeRoot,
    ...(ctx.postgres === undefined ? {} : { storeName: ctx.postgres.shown }),
    outDir: ctx.outDir,
    cwd: ctx.cwd,
    env: ctx.env,
    serve: serveInputs(ctx, flags),
    inspectStore: () => inspectStore(ctx),
  });
  const lines = report.checks.flatMap(({ name, ok, severity, details, remediation }) => [
    `- ${name} ok=${ok} severity=${severity} ${escapeControls(details ?? '')}`.trimEnd(),
    ...(remediation === undefined ? [] : [`  remediation=${remediation}`]),
  ]);
  return {
    json: report,
    text: [`doctor profile=${report.profile} ok=${report.ok} checks=${report.checks.length}`, ...lines],
    exitCode: report.ok ? 0 : 1,
  };
};

function serveInputs({ env }: CliContext, flags: Flags): ServeRules {
  const listen = flags.text('serve-listen') ?? env['WRKR_SERVE_LISTEN'];
  const authToken = flags.text('serve-auth-token') ?? env['WRKR_SERVE_AUTH_TOKEN'];
  const max = flags.number('serve-max-body-bytes') ?? Number(env['WRKR_SERVE_MAX_BODY_BYTES'] ?? Number.NaN);
  const allowed = (env['WRKR_SERVE_ALLOW_NON_LOOPBACK'] ?? '').toLowerCase();
  return {
    allowNonLoopback: flags.on('serve-allow-non-loopback') || allowed === '1' || allowed === 'true',
    ...(listen === undefined ? {} : { listen }),
    ...(authToken === undefined ? {} : { authToken }),
    ...(Number.isFinite(max) ? { maxBodyBytes: max } : {}),
  };
}

/** Opens a store that is there, and reads from it; makes none. */
async function inspectStore(ctx: CliContext): Promise<string | undefined> {
  if (ctx.postgres === undefined && !existsSync(join(ctx.storeRoot, 'reeve.sqlite'))) return undefined;
  try {
    const jobs = await ctx.jobs({ create: false });
    await jobs.engine.store.list({ limit: 1 });
    return undefined;
  } catch (error) {
    return error instanceof ReeveError ? `${error.code}: ${error.message}` : (error as Error).message;
  }
}
