import { isLoopback, serveProblems } from '../../doors/serve-rules.ts';
import { ReeveError } from '../../model/errors.ts';
import { parseListen } from '../../server/listen.ts';
import { startServer } from '../../server/server.ts';
import { openMetrics } from '../../telemetry/prometheus.ts';
import { CONTROL_LIMITS, controlPlane } from '../agents/control.ts';
import type { CommandHandler } from '../command.ts';
import { jsonText } from '../output.ts';
import { aborted, STOP_MS } from '../serve/announce.ts';
import { listenOf, tlsOptions } from '../serve/settings.ts';
import { serverTelemetry } from '../serve/telemetry.ts';

const PORT_DEFAULT = 5000;
/** Bodies outside of the service's own routes, bytes. */
const BODY_BYTES_MAX = 1_048_576;

export const serveControlPlane: CommandHandler = async (ctx, { flags }) => {
  const listen = listenOf(flags, PORT_DEFAULT);
  const allowNonLoopback = flags.on('allow-non-loopback');
  const address = parseListen(listen);
  const problems = serveProblems({
    listen,
    allowNonLoopback,
    requiresJwt: true, // tokens of its own are always asked for there
    maxBodyBytes: BODY_BYTES_MAX,
  });
  if (problems.length > 0)
    throw new ReeveError('E_UNSAFE_OPERATION', problems.join('; '), { listen, problems });
  const tls = await tlsOptions(ctx, flags);
  const telemetry = await serverTelemetry(ctx, flags);
  const metrics = telemetry.options.metrics ?? openMetrics();
  const tracer = ctx.tracer('reeve-control-plane');
  const { note } = telemetry;
  const plane = await controlPlane(ctx, flags, { isLocal: isLoopback(listen), metrics, note });
  try {
    const server = await startServer({
      groups: [plane.group],
      failures: plane.group.failures,
      title: 'reeve control plane',
      version: ctx.version,
      listen: address,
      ...(tls === undefined ? {} : { tls }),
      tokens: [],
      authenticate: plane.authenticate,
      names: flags.texts('allow-host'),
      bodyBytesMax: BODY_BYTES_MAX,
      limits: CONTROL_LIMITS,
      note,
      isReady: () => plane.isReady(),
      ...telemetry.options,
      metrics,
      ...(tracer === undefined ? {} : { tracer }),
    });
    const line = `${ctx.program} serve control-plane listening on ${server.address}\n`;
    (ctx.json ? ctx.stderr : ctx.stdout).write(line);
    if (ctx.json) ctx.stdout.write(jsonText({ listen: server.address, tls: tls !== undefined }));
    await aborted(ctx.signal);
    await Promise.all([plane.stop(), server.stop(STOP_MS)]);
  } finally {
    plane.close();
  }
  return {};
};
