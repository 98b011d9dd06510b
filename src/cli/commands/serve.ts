import { defaultActor } from '../context.ts';
import type { CommandHandler, Flags } from '../command.ts';
import { ReeveError } from '../../model/errors.ts';
import { jobFailures } from '../../doors/jobs/http-failures.ts';
import type { JobService } from '../../doors/jobs/http-service.ts';
import { jobRoutes } from '../../doors/jobs/routes.ts';
import { JobRunner } from '../../doors/jobs/runner.ts';
import { openApi } from '../../server/openapi.ts';
import { startServer } from '../../server/server.ts';
import { serviceGroup } from '../../server/service.ts';
import { jsonText } from '../output.ts';
import { CLIENT_SECRET_VARIABLE } from '../../policy/auth/client-settings.ts';
import { DEFAULT_QUEUE } from '../../doors/jobs/submit.ts';
import { measureQueues, progressCheck, PROGRESS_LIMIT_MS } from '../../doors/progress.ts';
import { aborted, announce, STOP_MS } from '../serve/announce.ts';
import { authentication } from '../serve/auth.ts';
import { serveSettings } from '../serve/settings.ts';
import { serverTelemetry } from '../serve/telemetry.ts';
import { outDirOf } from './verify.ts';

export const serve: CommandHandler = async (ctx, { flags }) => {
  const failures = jobFailures({
    version: ctx.version,
    strict: flags.on('strict-status'),
    nowMs: () => Date.now(),
  });
  const opened: { service?: JobService } = {};
  const routes = jobRoutes(() => {
    if (opened.service === undefined) throw new TypeError('a request came before the service was there');
    return opened.service;
  }, failures);
  const about = { groups: [routes], failures, title: ctx.program, version: ctx.version };
  if (flags.on('print-openapi')) {
    const groups = [routes, serviceGroup({ ...about, isReady: async () => true })];
    ctx.stdout.write(jsonText(openApi({ ...about, groups })));
    return {};
  }
  const settings = await serveSettings(ctx, flags);
  if (settings.jwt !== undefined) delete process.env[CLIENT_SECRET_VARIABLE]; // commands of steps inherit it (I9)
  const limitMs = progressLimitMs(flags);
  const telemetry = await serverTelemetry(ctx, flags);
  const { metrics } = telemetry.options;
  const tracer = ctx.tracer();
  const jobs = await ctx.jobs({ waits: true, meter: metrics, note: telemetry.note });
  const { store, clock } = jobs.engine;
  const work = { store, queues: [DEFAULT_QUEUE], nowMs: () => clock.nowMs() };
  metrics?.beforeText(() => measureQueues(metrics, work));
  const runner = new JobRunner(jobs, settings.concurrency);
  opened.service = {
    jobs,
    runner,
    outDir: outDirOf(ctx, flags),
    defaultActor: defaultActor(ctx),
    namedCallers: settings.namedCallers,
    stopping: ctx.signal,
  };
  const server = await startServer({
    ...about,
    listen: settings.listen,
    ...(settings.tls === undefined ? {} : { tls: settings.tls }),
    tokens: settings.tokens,
    ...(await authentication(settings.jwt, telemetry.note)),
    names: settings.names,
    bodyBytesMax: settings.maxBodyBytes,
    note: telemetry.note,
    async isReady() {
      await store.list({ limit: 1 });
      return !ctx.signal.aborted;
    },
    checks: async () => [await progressCheck({ ...work, limitMs })],
    ...telemetry.options,
    ...(tracer === undefined ? {} : { tracer }),
  });
  runner.start();
  announce(ctx, 'serve', server, settings);
  await aborted(ctx.signal);
  await Promise.all([runner.stop(String(ctx.signal.reason)), server.stop(STOP_MS)]);
  return {};
};

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
function progressLimitMs(flags: Flags): number {
  const seconds = flags.number('progress-limit') ?? PROGRESS_LIMIT_MS / 1000;
  if (seconds >= 1 && seconds <= 86_400) return seconds * 1000;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--progress-limit must be 1 to 86400, not ${seconds}`, {
    flag: '--progress-limit',
    value: seconds,
  });
}
