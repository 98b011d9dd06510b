/** How a service that another depends on says that it is. */
import { HEALTH, type HealthCheck } from '../wire/common.ts';
import type { TypeOf } from '../../wire-schema.ts';
import { get, type ServiceAddress } from './http-client.ts';

/** Of one try, milliseconds: whoever asks about us waits for it. */
const HEALTH_MS = 1000;

/** @returns its own word, or `down`; never throws. */
export async function healthOf({
  name,
  baseUrl,
}: Pick<ServiceAddress, 'name' | 'baseUrl'>): Promise<HealthCheck> {
  try {
    const call = { path: '/v1/health', schema: HEALTH };
    const { status } = (await get({ name, baseUrl, timeoutMs: HEALTH_MS }, call)) as TypeOf<typeof HEALTH>;
    return { name, status, details: { url: baseUrl } };
  } catch {
    return { name, status: 'down', message: 'does not answer', details: { url: baseUrl } };
  }
}
