import { SERVICES, type ServiceKey } from '../../doors/arp/services.ts';
import { ARP_QUEUE, measureQueues } from '../../doors/progress.ts';
import { startServer } from '../../server/server.ts';
import { openService } from '../arp/services.ts';
import type { CliContext, CommandHandler } from '../command.ts';
import { aborted, announce, STOP_MS } from '../serve/announce.ts';
import { authentication, sharedAuthentication } from '../serve/auth.ts';
import { listenOf, serveSettings } from '../serve/settings.ts';
import { serverTelemetry, type ServerTelemetry } from '../serve/telemetry.ts';

/** Bodies outside of the service's own routes, bytes. */
const BODY_BYTES_MAX = 1_048_576;
/** Of the time to stop, for the answers to what was stopped, milliseconds. */
const ANSWER_MS = 2000;
/** How long an upload may take, milliseconds. */
const UPLOAD_MS = 600_000;

export function serveArp(service: ServiceKey): CommandHandler {
  return async (ctx, { flags }) => {
    const settings = await serveSettings(ctx, flags, {
      listen: listenOf(flags, SERVICES[service].port),
      maxBodyBytes: BODY_BYTES_MAX,
      jwtByVariables: true,
    });
    const telemetry = await serverTelemetry(ctx, flags);
    const tracer = ctx.tracer(SERVICES[service].name);
    const { authenticate } = await authentication(settings.jwt, telemetry.note);
    const inbound = {
      jwt: settings.jwt,
      authenticate: authenticate ?? sharedAuthentication(settings.tokens),
    };
    if (service === 'run-coordinator') await meterEngine(ctx, telemetry);
    const { group, isReady, stop, close } = await openService(service, ctx, inbound, flags);
    try {
      const server = await startServer({
        groups: [group],
        failures: group.failures,
        title: SERVICES[service].name,
        version: ctx.version,
        listen: settings.listen,
        ...(settings.tls === undefined ? {} : { tls: settings.tls }),
        tokens: settings.tokens,
        ...(authenticate === undefined ? {} : { authenticate }),
        names: settings.names,
        bodyBytesMax: settings.maxBodyBytes,
        ...(service === 'artifact-store' ? { limits: { requestMs: UPLOAD_MS } } : {}),
        note: telemetry.note,
        isReady,
        ...telemetry.options,
        ...(tracer === undefined ? {} : { tracer }),
      });
      announce(ctx, `serve ${service}`, server, settings);
      await aborted(ctx.signal);
      await Promise.all([server.stop(STOP_MS), stop?.(STOP_MS - ANSWER_MS)]);
    } finally {
      await close();
    }
    return {};
  };
}

/** The coordinator works on the store of this process: what engine and queue do is part of its metrics. */
async function meterEngine(ctx: CliContext, { note, options: { metrics } }: ServerTelemetry): Promise<void> {
  const { engine } = await ctx.jobs({ waits: true, meter: metrics, note });
  const { store, clock } = engine;
  metrics?.beforeText(() =>
    measureQueues(metrics, { store, queues: [ARP_QUEUE], nowMs: () => clock.nowMs() }),
  );
}
