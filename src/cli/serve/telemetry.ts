/** What a server is asked to tell of itself: `--metrics`, `--metrics-open`, `--log` with `LOG_LEVEL`. */
import { ReeveError } from '../../model/errors.ts';
import { escapeControls } from '../../model/visible-text.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import { jsonLog, levelOf, type Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/prometheus.ts';
import type { CliContext, Flags } from '../command.ts';

export interface ServerTelemetry {
  /** A line for whoever runs the server. */
  note(text: string): void;
  /** For the server's options. */
  readonly options: {
    readonly log?: Log;
    readonly metrics?: Metrics;
    readonly metricsOpen: boolean;
  };
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a level that there is not. */
export async function serverTelemetry(ctx: CliContext, flags: Flags): Promise<ServerTelemetry> {
  const metricsOpen = flags.on('metrics-open');
  const log = flags.on('log') ? logTo(ctx) : undefined;
  return {
    note(text) {
      if (log === undefined) ctx.stderr.write(`${escapeControls(text)}\n`);
      else log.say('warn', text);
    },
    options: {
      metricsOpen,
      ...(log === undefined ? {} : { log }),
      ...(metricsOpen || flags.on('metrics')
        ? { metrics: (await import('../../telemetry/prometheus.ts')).openMetrics() }
        : {}),
    },
  };
}

function logTo({ env, stderr }: CliContext): Log {
  const given = env['LOG_LEVEL']?.trim() ?? '';
  const level = given === '' ? 'info' : levelOf(given);
  if (level === undefined) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `LOG_LEVEL is ${JSON.stringify(given.slice(0, 100))}; it is debug, info, warn or error`,
      { variable: 'LOG_LEVEL', value: given.slice(0, 100) },
    );
  }
  return jsonLog({ level, nowMs: () => Date.now(), redact: redactText, write: (line) => stderr.write(line) });
}
