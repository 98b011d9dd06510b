/** What every `serve` says and waits for. */
import type { RunningServer } from '../../server/server.ts';
import type { CliContext } from '../command.ts';
import { jsonText } from '../output.ts';
import type { ServeSettings } from './settings.ts';

/** How long requests may take to finish once it is told to stop, milliseconds. */
export const STOP_MS = 10_000;

/** For whoever waits for it: the first line that it prints. @param command such as `serve` */
export function announce(
  ctx: CliContext,
  command: string,
  { address }: RunningServer,
  settings: ServeSettings,
): void {
  const line = `${ctx.program} ${command} listening on ${address}\n`;
  if (!ctx.json) {
    ctx.stdout.write(line);
    return;
  }
  ctx.stderr.write(line);
  ctx.stdout.write(
    jsonText({
      allow_non_loopback: settings.allowNonLoopback,
      auth_enabled: settings.tokens.length > 0 || settings.jwt?.mode === 'required',
      listen: address,
      max_body_bytes: settings.maxBodyBytes,
    }),
  );
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
