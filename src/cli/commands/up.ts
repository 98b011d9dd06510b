import { defaultActor } from '../context.ts';
import type { CommandHandler } from '../command.ts';
import { isLoopback } from '../../doors/serve-rules.ts';
import { ReeveError } from '../../model/errors.ts';
import { jobFailures } from '../../doors/jobs/http-failures.ts';
import { jobRoutes } from '../../doors/jobs/routes.ts';
import { JobRunner } from '../../doors/jobs/runner.ts';
import { DEFAULT_QUEUE } from '../../doors/jobs/submit.ts';
import { ARP_QUEUE, measureQueues, progressCheck, PROGRESS_LIMIT_MS } from '../../doors/progress.ts';
import { CLIENT_SECRET_VARIABLE } from '../../policy/auth/client-settings.ts';
import { addressText } from '../../server/listen.ts';
import { mounted } from '../../server/mount.ts';
import { startServer } from '../../server/server.ts';
import { CONTROL_LIMITS, controlPlaneBeside } from '../agents/control.ts';
import { openStack } from '../arp/stack.ts';
import { aborted, announce, STOP_MS } from '../serve/announce.ts';
import { authentication, sharedAuthentication } from '../serve/auth.ts';
import { listenOf, serveSettings } from '../serve/settings.ts';
import { serverTelemetry } from '../serve/telemetry.ts';
import { outDirOf } from './verify.ts';

/** That of ARP's gateway: here clients come in. */
const PORT_DEFAULT = 8080;
const BODY_BYTES_MAX = 1_048_576;
/** Where agents find their control plane. */
const CONTROL_PLANE_PATH = '/control-plane';
/** Of the time to stop, for the answers to what was stopped, milliseconds. */
const ANSWER_MS = 2000;

/** Everything in one process, on one store and one port. */
export const up: CommandHandler = async (ctx, { flags }) => {
  const policy = flags.text('policy');
  const devAllow = flags.on('dev-allow');
  if (policy !== undefined && devAllow)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--policy and --dev-allow exclude each other', {
      flags: ['--policy', '--dev-allow'],
    });
  const settings = await serveSettings(ctx, flags, {
    listen: listenOf(flags, PORT_DEFAULT),
    maxBodyBytes: BODY_BYTES_MAX,
    jwtByVariables: true,
  });
  if (settings.jwt !== undefined) delete process.env[CLIENT_SECRET_VARIABLE]; // commands of steps inherit it (I9)
  const telemetry = await serverTelemetry(ctx, flags);
  const { metrics } = telemetry.options;
  const tracer = ctx.tracer('reeve');
  const jobs = await ctx.jobs({ waits: true, meter: metrics, note: telemetry.note });
  const { store, clock } = jobs.engine;
  const { authenticate } = await authentication(settings.jwt, telemetry.note);
  const stack = await openStack(ctx, {
    authenticate: authenticate ?? sharedAuthentication(settings.tokens),
    jwt: settings.jwt,
    policy,
    devAllow,
    flags,
    note: telemetry.note,
  });
  const { host, port } = settings.listen;
  const agents = await controlPlaneBeside(ctx, flags, {
    isLocal: isLoopback(addressText(host, port)),
    metrics,
    note: telemetry.note,
  });
  const failures = jobFailures({ version: ctx.version, strict: false, nowMs: () => Date.now() });
  const runner = new JobRunner(jobs, settings.concurrency);
  const jobService = {
    jobs,
    runner,
    outDir: outDirOf(ctx, flags),
    defaultActor: defaultActor(ctx),
    namedCallers: settings.namedCallers,
    stopping: ctx.signal,
  };
  const work = { store, queues: [DEFAULT_QUEUE, ARP_QUEUE], nowMs: () => clock.nowMs() };
  metrics?.beforeText(() => measureQueues(metrics, work));
  try {
    const server = await startServer({
      groups: [
        jobRoutes(() => jobService, failures),
        ...stack.groups,
        ...(agents === undefined ? [] : [mounted(agents.group, CONTROL_PLANE_PATH)]),
      ],
      failures: stack.groups[0]?.failures ?? failures,
      title: 'reeve',
      version: ctx.version,
      listen: settings.listen,
      ...(settings.tls === undefined ? {} : { tls: settings.tls }),
      tokens: settings.tokens,
      ...(authenticate === undefined ? {} : { authenticate }),
      names: settings.names,
      bodyBytesMax: settings.maxBodyBytes,
      ...(agents === undefined ? {} : { limits: CONTROL_LIMITS }),
      note: telemetry.note,
      isReady: () => stack.isReady(),
      checks: async () => [await progressCheck({ ...work, limitMs: PROGRESS_LIMIT_MS })],
      ...telemetry.options,
      ...(tracer === undefined ? {} : { tracer }),
    });
    runner.start();
    if (stack.deniesAll)
      telemetry.note(
        'no policy is configured, so every run is denied: give --policy FILE, or --dev-allow to try things',
      );
    announce(ctx, 'up', server, settings);
    await aborted(ctx.signal);
    await Promise.all([
      runner.stop(String(ctx.signal.reason)),
      server.stop(STOP_MS),
      stack.stop(STOP_MS - ANSWER_MS),
      agents?.stop(),
    ]);
  } finally {
    agents?.close();
    await stack.close();
  }
  return {};
};
