/** Opens what writes runs of ARP through to stores of others (contract arp §5). */
import { join } from 'node:path';
import { eventStreamClient } from '../../doors/arp/clients/event-stream-client.ts';
import type { ServiceAddress } from '../../doors/arp/clients/http-client.ts';
import { runStoreClient } from '../../doors/arp/clients/run-store-client.ts';
import { Mirror, type MirrorParts } from '../../doors/arp/coordinator/mirror/mirror.ts';
import { Positions } from '../../doors/arp/coordinator/mirror/positions.ts';
import type { HealthCheck } from '../../doors/arp/wire/common.ts';
import { escapeControls } from '../../model/visible-text.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import type { CliContext } from '../command.ts';

/** Services of others; at least one. */
export interface MirrorTargets {
  readonly runStore: Omit<ServiceAddress, 'name'> | undefined;
  readonly eventStream: Omit<ServiceAddress, 'name'> | undefined;
}

export interface OpenMirror {
  start(): void;
  health(): HealthCheck;
  stop(): Promise<void>;
  /** Stops it too, where it still runs. */
  close(): Promise<void>;
}

/** @param root directory of the store, where it keeps how far it is.  @throws ReeveError E_STORE_* */
export function openMirror(
  ctx: CliContext,
  { runStore, eventStream }: MirrorTargets,
  { engine, views, root }: Pick<MirrorParts, 'engine' | 'views'> & { readonly root: string },
): OpenMirror {
  const positions = new Positions(join(root, 'arp-mirror.sqlite'));
  const mirror = new Mirror({
    engine,
    views,
    positions,
    ...(runStore === undefined ? {} : { runStore: runStoreClient(runStore) }),
    ...(eventStream === undefined ? {} : { eventStream: eventStreamClient(eventStream) }),
    note: (text) => void ctx.stderr.write(`${escapeControls(redactText(text))}\n`),
  });
  return {
    start: () => mirror.start(),
    health: () => mirror.health(),
    stop: () => mirror.stop(),
    async close() {
      await mirror.stop();
      positions.close();
    },
  };
}
