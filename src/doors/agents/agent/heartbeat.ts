/** A sign of life, and what is learned by it (contract agents §2.2). */
import { statfs } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { callControl, type ControlAddress } from '../client/control-client.ts';
import type { HeartbeatReply } from '../wire/agents.ts';
import { heartbeatIn } from './answers.ts';

/**
 * @param place whose disk the agent works on.
 * @param running ids of its tasks.
 * @returns undefined: the answer is none
 * @throws ControlRefusal; ReeveError E_SERVICE_UNAVAILABLE
 */
export async function heartbeat(
  address: ControlAddress,
  place: string,
  running: readonly string[],
  signal: AbortSignal,
): Promise<HeartbeatReply | undefined> {
  const { bavail, bsize } = await statfs(place);
  const { json } = await callControl(address, {
    method: 'POST',
    path: '/heartbeat',
    json: { running, load: loadavg()[0] ?? 0, disk_free: bavail * bsize },
    signal,
  });
  return heartbeatIn(json);
}
